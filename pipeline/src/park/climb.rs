//! A run of what is in the park: it goes the way of a batch, and what may still pass later stays.
//!
//! A run owns its records until it ends, and waits for what a batch waits for, but for other batches: nothing else that is on
//! its way holds one of its keys. It guarantees that a record is only tried when those before it on its keys have their
//! outcome, the broker's word on a dead letter among it.

use rustc_hash::FxHashSet;

use crate::binding::DecodedBatch;
use crate::engine::batch::{send_dead_letters, write};
use crate::engine::batch_item::{BatchContext, BatchItem, has_succeeded, items, register, set_result, waves};
use crate::engine::batcher::Batch;
use crate::engine::inflight::InFlight;
use crate::offsets::offset_tracker::Seq;
use crate::outcome::{Outcome, RecordResult, Tally};
use crate::park::Park;
use crate::park::entrance::keys_of;

/// Tries what is due of a partition. Gives the counts of what does not wait any more.
pub(crate) async fn climb(cx: &BatchContext, park: &Park, seq: Seq, batch: &Batch) -> Tally {
    let spans = &batch.spans;
    let events = cx.binding.decode(&batch.records);
    let mut results: Vec<RecordResult> = events.as_slice().iter().map(RecordResult::of).collect();
    let items = items(batch, events.as_slice());
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
                set_result(&mut results, item.record, RecordResult::Ended(Outcome::Duplicate));
            } else {
                fresh.push(item);
            }
        }
        write(cx, seq, spans, &*events, &fresh, &mut results).await;
        cx.dedupe.insert_local(
            spans,
            fresh.iter().filter(|item| has_succeeded(&results, item.record)).map(|item| &item.candidate),
        );
        for item in fresh {
            judge(park, batch, &*events, item, &mut results, &mut stopped);
        }
    }
    send_dead_letters(cx, seq, batch, &mut results).await;
    let known = items.iter().filter(|item| has_succeeded(&results, item.record));
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
        RecordResult::Later(_) => park.note_try(span, item.candidate.offset),
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
