//! The screening of a batch before it goes to the engine: what may not be written, because its document may have been deleted and
//! forgotten since.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pipeline::engine::batcher::Batch;

use super::progress::BackfillProgress;
use crate::maintenance::replay::{Screened, screen};
use crate::systems::Setup;

const PART: &str = "look-up";
/// The first and the longest pause before the store is asked again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Takes out of a batch what may not be written. What it covers of the sources stays. Waits for the store; without an answer
/// when it is to stop.
pub(super) async fn screened(setup: &Setup, mut batch: Batch, progress: &BackfillProgress) -> Option<Batch> {
    let mut pause = PAUSES.0;
    let screened = loop {
        match screen(setup, &batch.records).await {
            Ok(screened) => break screened,
            Err(failure) => progress.status.raise(PART, failure.why),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSES.1),
            () = progress.stop().cancelled() => return None,
        }
    };
    progress.status.clear(PART);
    for (what, counter) in [(Screened::Deleted, &progress.deleted), (Screened::BelowHorizon, &progress.below_horizon)] {
        counter.fetch_add(screened.iter().filter(|one| **one == what).count() as u64, Ordering::Relaxed);
    }
    let mut screened = screened.into_iter();
    batch.records.retain(|_| screened.next().is_none_or(|one| one == Screened::Write));
    batch.bytes = batch.records.iter().map(pipeline::Record::bytes).sum();
    Some(batch)
}
