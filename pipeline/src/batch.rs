//! One batch, in a straight line: decode, dedupe, enrich, write, dead-letter, remember.
//!
//! It owns the batch from the moment its slot is open until every record has its outcome. It waits for the store, for
//! the broker's word on dead letters, and for earlier batches that hold an equal version of one of its documents.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::batcher::{Batch, Span};
use crate::dead_letters::{DeadLetters, Letter};
use crate::dedupe::{Candidate, Dedupe, Mark};
use crate::inflight::{Apart, InFlight, Place};
use crate::leases::Leases;
use crate::ledger::Seq;
use crate::mutants::{self, Mutant};
use crate::outcome::{Outcome, Tally};
use crate::sink::{Failure, Reject};
use crate::status::Status;
use crate::system::{Decoded, Identity, System};
use crate::write::{Fate, Pending, Writer};

/// What the batches of one engine share.
pub(crate) struct Context<S: System> {
    pub system: S,
    pub group: String,
    pub writer: Arc<Writer<S::Write>>,
    pub dedupe: Dedupe,
    pub dead_letters: Arc<dyn DeadLetters>,
    pub in_flight: InFlight,
    pub leases: Arc<Leases>,
    pub status: Arc<Status>,
}

/// A batch's place in the line: it registers its documents after the batch before, and lets the next one follow.
pub(crate) struct Turn {
    pub before: oneshot::Receiver<()>,
    pub next: oneshot::Sender<()>,
}

/// A decoded record on its way through the batch.
struct Item<'r, E> {
    /// Index of the record in the batch.
    record: usize,
    identity: Identity<'r>,
    event: E,
    candidate: Candidate,
}

/// What is known of a record so far.
enum End {
    Open,
    Is(Outcome),
    Dead(Reject, u32),
    Abandoned,
}

/// Takes a batch from bytes to outcomes.
pub(crate) async fn process<S: System>(cx: &Context<S>, seq: Seq, batch: &Batch, turn: Turn) -> Tally {
    let spans = &batch.spans;
    let mut ends: Vec<End> = batch.records.iter().map(|_| End::Open).collect();

    let items = decode(cx, batch, &mut ends);
    let apart = Apart::of(cx.writer.sink().limits());
    // An error means that the batch before is over, which is as good as registered.
    turn.before.await.ok();
    let (registration, places) =
        cx.in_flight.register(seq, apart, items.iter().map(|item| (&item.identity, item.candidate.span)));
    turn.next.send(()).ok();

    let candidates: Vec<Candidate> = items.iter().map(|item| item.candidate).collect();
    let copies = cx.dedupe.look_up(spans, &candidates).await;
    let waves = places.iter().map(|place| place.wave + 1).max().unwrap_or(0);
    for wave in 0..waves {
        let members: Vec<usize> =
            places.iter().enumerate().filter(|(_, place)| place.wave == wave).map(|(item, _)| item).collect();
        earlier_batches(members.iter().filter_map(|&item| places.get(item))).await;
        let fresh: Vec<&Item<'_, _>> = members
            .into_iter()
            .filter_map(|item| items.get(item).zip(copies.get(item)))
            .filter(|(item, copy)| {
                let duplicate = **copy || cx.dedupe.seen(spans, &item.candidate);
                if duplicate {
                    set(&mut ends, item.record, End::Is(Outcome::Duplicate));
                }
                !duplicate
            })
            .map(|(item, _)| item)
            .collect();
        if mutants::on(Mutant::RememberBeforeSuccess) {
            cx.dedupe.learn(spans, fresh.iter().map(|item| &item.candidate));
            cx.dedupe.remember(spans, fresh.iter().map(|item| &item.candidate)).await;
        }
        write(cx, seq, spans, &fresh, &mut ends).await;
        cx.dedupe.learn(spans, fresh.iter().filter(|item| succeeded(&ends, item.record)).map(|item| &item.candidate));
    }

    bury(cx, seq, batch, &mut ends).await;
    // Copies too: they raise the highest offset that was ever offered, below which nothing is skipped.
    let known = items.iter().filter(|item| succeeded(&ends, item.record) || copied(&ends, item.record));
    cx.dedupe.remember(spans, known.map(|item| &item.candidate)).await;
    drop(registration);
    tally(&ends)
}

fn set(ends: &mut [End], record: usize, end: End) {
    if let Some(slot) = ends.get_mut(record) {
        *slot = end;
    }
}

fn succeeded(ends: &[End], record: usize) -> bool {
    match ends.get(record) {
        Some(End::Is(Outcome::Applied | Outcome::Superseded)) => true,
        Some(End::Is(Outcome::DeadLettered) | End::Dead(..)) => mutants::on(Mutant::DeadRemembered),
        _ => false,
    }
}

fn copied(ends: &[End], record: usize) -> bool {
    matches!(ends.get(record), Some(End::Is(Outcome::Duplicate)))
}

/// Reads every record; what is no event of this system gets its end here.
fn decode<'r, S: System>(cx: &Context<S>, batch: &'r Batch, ends: &mut [End]) -> Vec<Item<'r, S::Event<'r>>> {
    let mut items = Vec::with_capacity(batch.records.len());
    let mut span = 0;
    for (record, source) in batch.records.iter().enumerate() {
        if batch.spans.get(span).is_none_or(|last| last.at != source.at) {
            span = batch.spans.iter().position(|span| span.at == source.at).unwrap_or(0);
        }
        match cx.system.decode(source) {
            Decoded::Event(identity, event) => {
                let mark = Mark::of(&identity.message, source.payload.as_deref().unwrap_or_default());
                let candidate = Candidate { mark, span, offset: source.offset };
                items.push(Item { record, identity, event, candidate });
            }
            Decoded::Reject(reject) => set(ends, record, End::Dead(reject, 0)),
            Decoded::Ignore => set(ends, record, End::Is(Outcome::Ignored)),
        }
    }
    items
}

/// Waits for the earlier batches that hold equal versions, even if the partition is taken away meanwhile: a request of
/// theirs may still land, and when the partition is back, whoever comes next waits for us alone.
async fn earlier_batches(places: impl Iterator<Item = &Place>) {
    for done in places.filter_map(|place| place.after.as_ref()) {
        done.cancelled().await;
    }
}

/// Enriches and writes; what the store or the enrichment rejects is dead.
async fn write<'r, S: System>(
    cx: &Context<S>,
    seq: Seq,
    spans: &[Span],
    fresh: &[&Item<'r, S::Event<'r>>],
    ends: &mut [End],
) {
    if fresh.is_empty() {
        return;
    }
    let events = fresh.iter().map(|item| (&item.identity, &item.event)).collect();
    let enriched = cx.system.enrich(events).await;
    let mut records = Vec::with_capacity(fresh.len());
    let mut writes = Vec::with_capacity(fresh.len());
    for (item, enriched) in fresh.iter().zip(enriched) {
        match enriched {
            Ok(write) => {
                records.push(item.record);
                writes.push(Pending { write, span: item.candidate.span, offset: item.candidate.offset });
            }
            Err(reject) => set(ends, item.record, End::Dead(reject, 0)),
        }
    }
    let fates = cx.writer.write(seq, &cx.leases, spans, &writes).await;
    for (record, fate) in records.into_iter().zip(fates) {
        let end = match fate {
            Fate::Applied => End::Is(Outcome::Applied),
            Fate::Superseded => End::Is(Outcome::Superseded),
            Fate::Rejected { reject, attempts } => End::Dead(reject, attempts),
            Fate::Abandoned => End::Abandoned,
        };
        set(ends, record, end);
    }
}

/// Sends the dead letters and waits until the broker has each.
async fn bury<S: System>(cx: &Context<S>, seq: Seq, batch: &Batch, ends: &mut [End]) {
    const PART: &str = "dead letters";
    let failed_at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let mut pause = Duration::from_millis(200);
    loop {
        let mut dead = Vec::new();
        let mut letters = Vec::new();
        for (index, (record, end)) in batch.records.iter().zip(ends.iter()).enumerate() {
            if let End::Dead(reject, attempts) = end {
                dead.push(index);
                letters.push(Letter {
                    record,
                    reject: reject.clone(),
                    attempts: *attempts,
                    system: cx.system.name(),
                    group: &cx.group,
                    failed_at: failed_at.clone(),
                });
            }
        }
        if letters.is_empty() {
            return cx.status.clear_by(seq.0, PART);
        }
        if !cx.leases.confirm(&batch.spans).await && abandon_dead(cx, batch, ends) {
            continue;
        }
        let answers = cx.dead_letters.send(&letters).await;
        let silent = || Failure::broken("the dead letters gave fewer answers than there were letters");
        let mut open = (answers.len() < letters.len()).then(silent);
        for ((index, letter), answer) in dead.into_iter().zip(&letters).zip(answers) {
            match answer {
                Ok(()) => {
                    count_letter(letter);
                    set(ends, index, End::Is(Outcome::DeadLettered));
                }
                Err(_) if mutants::on(Mutant::LettersNotAwaited) => {
                    set(ends, index, End::Is(Outcome::DeadLettered));
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

fn count_letter(letter: &Letter<'_>) {
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
fn abandon_dead<S: System>(cx: &Context<S>, batch: &Batch, ends: &mut [End]) -> bool {
    let gone: Vec<&Span> = batch.spans.iter().filter(|span| !cx.leases.live(span)).collect();
    let mut any = false;
    for (record, end) in batch.records.iter().zip(ends) {
        if matches!(end, End::Dead(..)) && gone.iter().any(|span| span.at == record.at) {
            *end = End::Abandoned;
            any = true;
        }
    }
    any
}

fn tally(ends: &[End]) -> Tally {
    let mut tally = Tally::default();
    for end in ends {
        match end {
            End::Is(outcome) => tally.add(*outcome),
            End::Open | End::Dead(..) | End::Abandoned => tally.abandoned += 1,
        }
    }
    tally
}
