//! The screening of a batch before it goes to the engine: what is not chosen is left out, and so is what may not be written because
//! its document was deleted, or may have been deleted and forgotten. In a store with a history, what a younger tombstone supersedes
//! is offered all the same, for the history.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pipeline::Record;
use pipeline::engine::batcher::Batch;

use super::progress::BackfillProgress;
use super::selection::Selection;
use crate::maintenance::jobs::VersionRange;
use crate::maintenance::replay::{Revival, Screened, screen};
use crate::systems::Setup;

const PART: &str = "look-up";
/// The first and the longest pause before the store is asked again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// What decides about records.
pub(super) struct Screening {
    pub(super) setup: Setup,
    pub(super) selection: Selection,
    /// The time of a version.
    pub(super) micros: fn(i64) -> i64,
    pub(super) revival: Revival,
}

/// Records that were taken out of a batch. They are counted when the batch goes to the engine, not before: one that is dropped
/// at a stop is read again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeftOut {
    unchosen: u64,
    deleted: u64,
    below_horizon: u64,
}

impl LeftOut {
    pub(super) fn count(self, progress: &BackfillProgress) {
        progress.unchosen.fetch_add(self.unchosen, Ordering::Relaxed);
        progress.deleted.fetch_add(self.deleted, Ordering::Relaxed);
        progress.below_horizon.fetch_add(self.below_horizon, Ordering::Relaxed);
    }
}

impl Screening {
    /// Takes out of a batch what is not to be written. What it covers of the sources stays. Waits for the store; without an
    /// answer when it is to stop.
    pub(super) async fn screen(&self, mut batch: Batch, progress: &BackfillProgress) -> Option<(Batch, LeftOut)> {
        let mut left_out = LeftOut { unchosen: self.choose(&mut batch), ..LeftOut::default() };
        if batch.records.is_empty() {
            return Some((batch, left_out));
        }
        let mut pause = PAUSES.0;
        let screened = loop {
            match screen(&self.setup, &batch.records, self.revival).await {
                Ok(screened) => break screened,
                Err(failure) => progress.status.raise(PART, failure.why),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSES.1),
                () = progress.stop().cancelled() => return None,
            }
        };
        progress.status.clear(PART);
        let count = |what| screened.iter().filter(|(one, _)| *one == what).count() as u64;
        (left_out.deleted, left_out.below_horizon) = (count(Screened::Deleted), count(Screened::BelowHorizon));
        let kept: Vec<bool> = screened.iter().map(|(one, _)| *one == Screened::Write).collect();
        let offered = screened.iter().filter(|(one, _)| *one == Screened::Write).filter_map(|(_, version)| *version);
        VersionRange::widen(&mut progress.versions.lock(), offered);
        keep(&mut batch, &kept);
        Some((batch, left_out))
    }

    /// Keeps what is chosen; returns how many records are not.
    fn choose(&self, batch: &mut Batch) -> u64 {
        if self.selection.is_all() {
            return 0;
        }
        let chosen: Vec<bool> = {
            let events = self.setup.bound.binding.decode(&batch.records);
            let pairs = batch.records.iter().zip(events.as_slice());
            pairs.map(|(record, decoded)| self.selection.chooses(record, decoded, self.micros)).collect()
        };
        let left_out = chosen.iter().filter(|chosen| !**chosen).count();
        keep(batch, &chosen);
        left_out as u64
    }
}

/// Keeps these records.
fn keep(batch: &mut Batch, kept: &[bool]) {
    let mut kept = kept.iter();
    batch.records.retain(|_| kept.next().copied().unwrap_or(true));
    batch.bytes = batch.records.iter().map(Record::bytes).sum();
}
