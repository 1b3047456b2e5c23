//! What a batch leaves to the park.

use crate::binding::DecodedBatch;
use crate::engine::batch_item::{BatchContext, BatchItem, set_result};
use crate::engine::batcher::{Batch, Span};
use crate::outcome::RecordResult;
use crate::record::Record;

/// The keys of a record.
pub(crate) fn keys_of(events: &dyn DecodedBatch<'_>, record: usize) -> Vec<String> {
    let mut keys = Vec::new();
    events.keys(record, &mut |key| keys.push(key.to_owned()));
    keys
}

/// What stands for a record where it may wait: its span, and itself.
fn place<'b>(batch: &'b Batch, item: &BatchItem<'_, '_>) -> Option<(&'b Span, &'b Record)> {
    Some((batch.spans.get(item.candidate.span)?, batch.records.get(item.record)?))
}

/// Whether a record has to wait behind one of its keys that waits, and was left there.
pub(crate) fn queue(cx: &BatchContext, batch: &Batch, events: &dyn DecodedBatch<'_>, item: &BatchItem<'_, '_>) -> bool {
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
        set_result(results, item.record, if parked { RecordResult::Parked } else { RecordResult::Abandoned });
    }
}
