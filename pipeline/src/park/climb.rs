//! What a batch leaves to the park, and a run of what is there: it goes the way of a batch, and what may still pass later stays.
//!
//! A run owns its records until it ends, and waits for what a batch waits for, but for other batches: nothing else that is on
//! its way holds one of its keys. It guarantees that a record is only tried when those before it on its keys have their
//! outcome, the broker's word on a dead letter among it.

use rustc_hash::FxHashSet;

use crate::binding::DecodedBatch;
use crate::engine::batch::{BatchContext, BatchItem, items, register, send_dead_letters, set, succeeded, waves, write};
use crate::engine::batcher::{Batch, Span};
use crate::engine::inflight::InFlight;
use crate::offsets::offset_tracker::Seq;
use crate::outcome::{Outcome, RecordResult, Tally};
use crate::park::Park;
use crate::record::Record;

fn keys_of(events: &dyn DecodedBatch<'_>, record: usize) -> Vec<String> {
    let mut keys = Vec::new();
    events.keys(record, &mut |key| keys.push(key.to_owned()));
    keys
}

/// What stands for a record where it may wait: its span, and itself.
fn place<'b>(batch: &'b Batch, item: &BatchItem<'_, '_>) -> Option<(&'b Span, &'b Record)> {
    Some((batch.spans.get(item.candidate.span)?, batch.records.get(item.record)?))
}

/// Whether a record has to wait behind one of its keys that waits, and was left there.
pub(crate) fn queued(
    cx: &BatchContext,
    batch: &Batch,
    events: &dyn DecodedBatch<'_>,
    item: &BatchItem<'_, '_>,
) -> bool {
    let (Some(park), Some((span, record))) = (&cx.park, place(batch, item)) else { return false };
    park.queue(span, record, || keys_of(events, item.record))
}

/// Parks what may pass later, and what stands behind it.
pub(crate) fn leave(
    cx: &BatchContext,
    batch: &Batch,
    events: &dyn DecodedBatch<'_>,
    fresh: &[&BatchItem<'_, '_>],
    results: &mut [RecordResult],
) {
    let Some(park) = &cx.park else { return };
    for item in fresh {
        let why = match results.get(item.record) {
            Some(RecordResult::Later(why)) => Some(why),
            Some(RecordResult::Behind) => None,
            _ => continue,
        };
        let Some((span, record)) = place(batch, item) else { continue };
        let parked = park.park(span, record, &keys_of(events, item.record), why);
        set(results, item.record, if parked { RecordResult::Parked } else { RecordResult::Abandoned });
    }
}

/// Tries what is due of a partition. Gives the counts of what does not wait any more.
pub(crate) async fn climb(cx: &BatchContext, park: &Park, seq: Seq, batch: &Batch) -> Tally {
    let spans = &batch.spans;
    let events = cx.binding.decode(&batch.records);
    let mut results: Vec<RecordResult> = events.decoded().iter().map(RecordResult::of).collect();
    let items = items(batch, events.decoded());
    let line = InFlight::default();
    let (_registration, places) = register(cx, &line, seq, &*events, &items);
    let mut stopped = FxHashSet::default();
    for wave in waves(&places) {
        let mut fresh: Vec<&BatchItem<'_, '_>> = Vec::with_capacity(wave.len());
        for item in wave.into_iter().filter_map(|item| items.get(item)) {
            let keys = keys_of(&*events, item.record);
            if keys.iter().any(|key| stopped.contains(key)) {
                stopped.extend(keys);
            } else if cx.dedupe.contains(spans, &item.candidate) {
                set(&mut results, item.record, RecordResult::Ended(Outcome::Duplicate));
            } else {
                fresh.push(item);
            }
        }
        write(cx, seq, spans, &*events, &fresh, &mut results).await;
        cx.dedupe.insert_local(
            spans,
            fresh.iter().filter(|item| succeeded(&results, item.record)).map(|item| &item.candidate),
        );
        for item in fresh {
            judge(park, batch, &*events, item, &mut results, &mut stopped);
        }
    }
    send_dead_letters(cx, seq, batch, &mut results).await;
    let known = items.iter().filter(|item| succeeded(&results, item.record));
    cx.dedupe.store_marks(spans, known.map(|item| &item.candidate)).await;
    end(park, batch, &results)
}

/// Tells the park what was said of a write; those behind it are not tried in this run unless it passed.
fn judge(
    park: &Park,
    batch: &Batch,
    events: &dyn DecodedBatch<'_>,
    item: &BatchItem<'_, '_>,
    results: &mut [RecordResult],
    stopped: &mut FxHashSet<String>,
) {
    let (Some(result), Some(span)) = (results.get_mut(item.record), batch.spans.get(item.candidate.span)) else {
        return;
    };
    match result {
        RecordResult::Ended(_) => return,
        RecordResult::Later(_) => park.tried(span, item.candidate.offset),
        RecordResult::Rejected { reject, attempts } => {
            *attempts += park.gave_up(span, item.candidate.offset, reject.class.clone());
        }
        RecordResult::Open | RecordResult::Behind | RecordResult::Parked | RecordResult::Abandoned => {}
    }
    stopped.extend(keys_of(events, item.record));
}

/// Takes what has its outcome out of the park; the rest goes on waiting there, if the partition is still ours.
fn end(park: &Park, batch: &Batch, results: &[RecordResult]) -> Tally {
    let mut tally = Tally::default();
    let mut done = Vec::new();
    let mut waiting = 0;
    for (record, result) in batch.records.iter().zip(results) {
        match result {
            RecordResult::Ended(outcome) => {
                tally.add(*outcome);
                done.push(record.offset);
            }
            _ => waiting += 1,
        }
    }
    let ours = batch.spans.first().is_some_and(|span| park.end(span, done.into_iter()));
    tally.abandoned = if ours { 0 } else { waiting };
    tally
}
