//! What the batches of one engine share, and the events of one batch on their way.

use std::sync::Arc;

use crate::binding::{Binding, DecodedBatch};
use crate::dead_letters::DeadLetters;
use crate::dedupe::{Candidate, Dedupe, Mark};
use crate::engine::batcher::Batch;
use crate::engine::inflight::{Apart, InFlight, Registration, WriteSlot, document_key, hashes};
use crate::mutant;
use crate::offsets::leases::Leases;
use crate::offsets::offset_tracker::Seq;
use crate::outcome::{Outcome, RecordResult};
use crate::park::Park;
use crate::status::Status;
use crate::system::{Decoded, Identity};
use crate::write::Writer;

/// What the batches of one engine share.
pub(crate) struct BatchContext {
    pub binding: Arc<dyn Binding>,
    pub group: String,
    pub writer: Arc<Writer>,
    pub dedupe: Dedupe,
    pub dead_letters: Arc<dyn DeadLetters>,
    pub in_flight: InFlight,
    /// Of a system with a ladder.
    pub park: Option<Park>,
    pub leases: Arc<Leases>,
    pub status: Arc<Status>,
}

/// An event on its way through the batch.
pub(crate) struct BatchItem<'e, 'r> {
    /// Index of the record in the batch.
    pub record: usize,
    identity: &'e Identity<'r>,
    pub candidate: Candidate,
}

/// Registers the events of a batch by what keeps them apart: their documents, or their keys where the system asks for order by key.
pub(crate) fn register<'a, 'r>(
    cx: &BatchContext,
    in_flight: &'a InFlight,
    seq: Seq,
    events: &dyn DecodedBatch<'r>,
    items: &[BatchItem<'_, 'r>],
) -> (Registration<'a>, Vec<WriteSlot>) {
    let apart = Apart::of(cx.binding.limits(), cx.park.is_some(), cx.binding.orders_keys());
    if cx.park.is_none() {
        let documents = items.iter().map(|item| (document_key(item.identity, apart), item.candidate.span));
        return in_flight.register(seq, apart, documents);
    }
    let keys = |item: &BatchItem<'_, '_>| (hashes(|each| events.keys(item.record, each)), item.candidate.span);
    in_flight.register(seq, apart, items.iter().map(keys))
}

pub(crate) fn set_result(results: &mut [RecordResult], record: usize, result: RecordResult) {
    if let Some(slot) = results.get_mut(record) {
        *slot = result;
    }
}

pub(crate) fn has_succeeded(results: &[RecordResult], record: usize) -> bool {
    match results.get(record) {
        Some(RecordResult::Ended(Outcome::Applied | Outcome::Superseded)) => true,
        Some(RecordResult::Ended(Outcome::DeadLettered) | RecordResult::Rejected { .. }) => mutant!(DeadRemembered),
        _ => false,
    }
}

pub(crate) fn is_copy(results: &[RecordResult], record: usize) -> bool {
    matches!(results.get(record), Some(RecordResult::Ended(Outcome::Duplicate)))
}

/// The events of a batch, in its order.
pub(crate) fn items<'e, 'r>(batch: &Batch, decoded: &'e [Decoded<'r>]) -> Vec<BatchItem<'e, 'r>> {
    let mut items = Vec::with_capacity(decoded.len());
    let mut span = 0;
    for (record, (source, decoded)) in batch.records.iter().zip(decoded).enumerate() {
        if batch.spans.get(span).is_none_or(|last| last.at != source.at) {
            span = batch.spans.iter().position(|span| span.at == source.at).unwrap_or(0);
        }
        if let Decoded::Event(identity, ()) = decoded {
            let payload = || source.payload.as_deref().unwrap_or_default();
            let mark = identity.message.as_ref().map(|message| Mark::of(message, payload()));
            let candidate = Candidate { mark, span, offset: source.offset };
            items.push(BatchItem { record, identity, candidate });
        }
    }
    items
}

/// The items of each wave, in order.
pub(crate) fn waves(places: &[WriteSlot]) -> Vec<Vec<usize>> {
    let count = places.iter().map(|place| place.wave + 1).max().unwrap_or(0);
    let mut waves = vec![Vec::new(); count];
    for (item, place) in places.iter().enumerate() {
        if let Some(wave) = waves.get_mut(place.wave) {
            wave.push(item);
        }
    }
    waves
}
