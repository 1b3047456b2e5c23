//! One batch, in a straight line: decode, dedupe, enrich, write, dead-letter, remember.
//!
//! It owns the batch from the moment its slot is open until every record has its outcome. It waits for the store, for
//! the broker's word on dead letters, and for earlier batches that hold an equal version of one of its documents, or one of its
//! keys where the system asks for order by key. What waits on a ladder, or behind what does, leaves it for the park.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::binding::{DecodedBatch, Enriched};
use crate::dead_letters::DeadLetter;
use crate::dedupe::Candidate;
use crate::engine::batch_item::{BatchContext, BatchItem, has_succeeded, is_copy, items, register, set_result, waves};
use crate::engine::batcher::{Batch, Span};
use crate::engine::inflight::WriteSlot;
use crate::mutant;
use crate::offsets::offset_tracker::Seq;
use crate::outcome::{Outcome, RecordResult, Tally};
use crate::park::entrance::{leave, queue};
use crate::record::Record;
use crate::sink::{Failure, Reject};
use crate::write::WriteOrigin;

/// A batch's place in the line: it registers its documents after the batch before, and lets the next one follow.
pub(crate) struct Turn {
    pub before: oneshot::Receiver<()>,
    pub next: oneshot::Sender<()>,
}

/// Takes a batch from bytes to outcomes, and what waits to the park. Gives the counts, and how many wait.
pub(crate) async fn process(cx: &BatchContext, seq: Seq, batch: &Batch, turn: Turn) -> (Tally, usize) {
    let spans = &batch.spans;
    let events = cx.binding.decode(&batch.records);
    let mut results: Vec<RecordResult> = events.as_slice().iter().map(RecordResult::of).collect();
    let items = items(batch, events.as_slice());
    // An error means that the batch before is over, which is as good as registered.
    turn.before.await.ok();
    let (registration, places) = register(cx, &cx.in_flight, seq, &*events, &items);
    turn.next.send(()).ok();

    let candidates: Vec<Candidate> = items.iter().map(|item| item.candidate).collect();
    let copies = cx.dedupe.fetch_marks(spans, &candidates).await;
    for wave in waves(&places) {
        earlier_batches(wave.iter().filter_map(|&item| places.get(item))).await;
        let mut fresh: Vec<&BatchItem<'_, '_>> = Vec::with_capacity(wave.len());
        for (item, copy) in wave.into_iter().filter_map(|item| items.get(item).zip(copies.get(item))) {
            if *copy || cx.dedupe.contains(spans, &item.candidate) {
                set_result(&mut results, item.record, RecordResult::Ended(Outcome::Duplicate));
            } else if queue(cx, batch, &*events, item) {
                set_result(&mut results, item.record, RecordResult::Parked);
            } else {
                fresh.push(item);
            }
        }
        if mutant!(RememberBeforeSuccess) {
            cx.dedupe.insert_local(spans, fresh.iter().map(|item| &item.candidate));
            cx.dedupe.store_marks(spans, fresh.iter().map(|item| &item.candidate)).await;
        }
        write(cx, seq, spans, &*events, &fresh, &mut results).await;
        leave(cx, batch, &*events, &fresh, &mut results);
        cx.dedupe.insert_local(
            spans,
            fresh.iter().filter(|item| has_succeeded(&results, item.record)).map(|item| &item.candidate),
        );
    }

    send_dead_letters(cx, seq, batch, &mut results).await;
    // Copies too: they raise the highest offset that was ever offered, below which nothing is skipped.
    let known = items.iter().filter(|item| has_succeeded(&results, item.record) || is_copy(&results, item.record));
    cx.dedupe.store_marks(spans, known.map(|item| &item.candidate)).await;
    drop(registration);
    (tally(&results), results.iter().filter(|result| matches!(result, RecordResult::Parked)).count())
}

/// Waits for the earlier batches that hold equal versions, even if the partition is taken away meanwhile: a request of
/// theirs may still land, and when the partition is back, whoever comes next waits for us alone.
async fn earlier_batches(places: impl Iterator<Item = &WriteSlot>) {
    for done in places.flat_map(|place| &place.after) {
        done.cancelled().await;
    }
}

/// Enriches and writes; what the store or the enrichment rejects is dead.
pub(crate) async fn write<'r>(
    cx: &BatchContext,
    seq: Seq,
    spans: &[Span],
    events: &dyn DecodedBatch<'r>,
    fresh: &[&BatchItem<'_, 'r>],
    results: &mut [RecordResult],
) {
    if fresh.is_empty() {
        return;
    }
    let chosen: Vec<usize> = fresh.iter().map(|item| item.record).collect();
    let Enriched { writes, records, rejected } = events.enrich(&chosen).await;
    for (record, reject) in rejected {
        set_result(results, record, RecordResult::from_reject(reject));
    }
    // Both are in the order of the records.
    let mut items = fresh.iter();
    let source_of = |record: &usize| items.find(|item| item.record == *record).map(|item| item.candidate);
    let source = |candidate: Candidate| WriteOrigin { span: candidate.span, offset: candidate.offset };
    let sources: Vec<WriteOrigin> = records.iter().filter_map(source_of).map(source).collect();
    let written = cx.writer.write(seq, &cx.leases, spans, &*writes, &sources, cx.park.as_ref()).await;
    for (record, result) in records.into_iter().zip(written) {
        set_result(results, record, result);
    }
}

/// Sends the dead letters and waits until the broker has each.
pub(crate) async fn send_dead_letters(cx: &BatchContext, seq: Seq, batch: &Batch, results: &mut [RecordResult]) {
    const PART: &str = "dead letters";
    let failed_at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let mut pause = Duration::from_millis(200);
    let mut told = HashSet::new();
    loop {
        let mut dead = Vec::new();
        let mut letters = Vec::new();
        for (index, (record, result)) in batch.records.iter().zip(results.iter()).enumerate() {
            if let RecordResult::Rejected { reject, attempts } = result {
                dead.push(index);
                letters.push(DeadLetter {
                    record,
                    reject: reject.clone(),
                    attempts: *attempts,
                    system: cx.binding.system(),
                    group: &cx.group,
                    failed_at: failed_at.clone(),
                });
            }
        }
        if letters.is_empty() {
            return cx.status.clear_by(seq.0, PART);
        }
        if !cx.leases.confirm(&batch.spans).await && abandon_dead(cx, batch, results) {
            continue;
        }
        let answers = match tell(cx, &dead, &letters, &mut told).await {
            Ok(()) => cx.dead_letters.send(&letters).await,
            Err(failure) => letters.iter().map(|_| Err(failure.clone())).collect(),
        };
        let silent = || Failure::broken("the dead letters gave fewer answers than there were letters");
        let mut open = (answers.len() < letters.len()).then(silent);
        for ((index, letter), answer) in dead.into_iter().zip(&letters).zip(answers) {
            match answer {
                Ok(()) => {
                    count_letter(letter);
                    cx.binding.on_letter(letter.record, &letter.reject);
                    set_result(results, index, RecordResult::Ended(Outcome::DeadLettered));
                }
                Err(_) if mutant!(LettersNotAwaited) => {
                    set_result(results, index, RecordResult::Ended(Outcome::DeadLettered));
                }
                Err(failure) => open = Some(failure),
            }
        }
        if let Some(failure) = open {
            cx.status.raise_by(seq.0, PART, failure.why);
            cx.leases.sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(10));
        }
    }
}

/// Tells whom the system tells of letters, each once.
async fn tell(
    cx: &BatchContext,
    dead: &[usize],
    letters: &[DeadLetter<'_>],
    told: &mut HashSet<usize>,
) -> Result<(), Failure> {
    let new = dead.iter().zip(letters).filter(|(index, _)| !told.contains(*index));
    let new: Vec<(&Record, &Reject)> = new.map(|(_, letter)| (letter.record, &letter.reject)).collect();
    if !new.is_empty() {
        cx.binding.before_letters(&new).await?;
        told.extend(dead);
    }
    Ok(())
}

fn count_letter(letter: &DeadLetter<'_>) {
    let class = letter.reject.class.to_string();
    metrics::counter!("millrace_dead_letters_total", "system" => letter.system, "class" => class.clone()).increment(1);
    let record = letter.record;
    tracing::warn!(
        topic = &*record.at.topic,
        partition = record.at.partition,
        offset = record.offset,
        class,
        reason = &*letter.reject.why,
        "Message sent to dead letters"
    );
}

/// Leaves the dead of partitions that are gone to whoever has them next. Returns whether there were any.
fn abandon_dead(cx: &BatchContext, batch: &Batch, results: &mut [RecordResult]) -> bool {
    let gone: Vec<&Span> = batch.spans.iter().filter(|span| !cx.leases.live(span)).collect();
    let mut any = false;
    for (record, result) in batch.records.iter().zip(results) {
        if matches!(result, RecordResult::Rejected { .. }) && gone.iter().any(|span| span.at == record.at) {
            *result = RecordResult::Abandoned;
            any = true;
        }
    }
    any
}

pub(crate) fn tally(results: &[RecordResult]) -> Tally {
    let mut tally = Tally::default();
    for result in results {
        match result {
            RecordResult::Ended(outcome) => tally.add(*outcome),
            RecordResult::Parked => {}
            RecordResult::Open
            | RecordResult::Rejected { .. }
            | RecordResult::Later(_)
            | RecordResult::Behind
            | RecordResult::Abandoned => tally.abandoned += 1,
        }
    }
    tally
}
