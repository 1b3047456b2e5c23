//! How far a backfill is, for whoever shows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use pipeline::{Status, Tally};
use tokio_util::sync::CancellationToken;

use super::PartReport;
use crate::maintenance::jobs::VersionRange;

/// Why a backfill ends before its sources do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It was told to.
    Told,
    /// Going on would do harm, or cannot be.
    Halted(String),
}

/// How far it is.
#[derive(Debug)]
pub struct BackfillProgress {
    pub status: Arc<Status>,
    /// Of the sources' size, in its unit.
    pub read: Arc<AtomicU64>,
    pub lines: AtomicU64,
    /// Lines with nothing in them.
    pub empty: AtomicU64,
    /// Records that were not chosen.
    pub unchosen: AtomicU64,
    /// Records that were not written because their document was deleted later.
    pub deleted: AtomicU64,
    /// Records that were not written because their document may have been deleted and its tombstone purged.
    pub below_horizon: AtomicU64,
    pub tally: Mutex<Tally>,
    /// Of the events that were offered to the store, in all runs.
    pub versions: Mutex<Option<VersionRange>>,
    /// How far each part is, as the checkpoint tells it.
    pub parts: Mutex<Vec<PartReport>>,
    stop: CancellationToken,
    why: Mutex<Option<StopReason>>,
}

impl BackfillProgress {
    pub fn new(system: &'static str) -> Self {
        Self {
            status: Arc::new(Status::of(system)),
            read: Arc::default(),
            lines: AtomicU64::new(0),
            empty: AtomicU64::new(0),
            unchosen: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
            below_horizon: AtomicU64::new(0),
            tally: Mutex::default(),
            versions: Mutex::default(),
            parts: Mutex::default(),
            stop: CancellationToken::new(),
            why: Mutex::default(),
        }
    }

    /// Cancelled when it is to stop.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Ends it early; the first reason counts.
    pub fn halt(&self, why: StopReason) {
        self.why.lock().get_or_insert(why);
        self.stop.cancel();
    }

    /// Why it was ended early, if it was.
    pub fn stop_reason(&self) -> Option<StopReason> {
        let told = || self.stop.is_cancelled().then_some(StopReason::Told);
        self.why.lock().clone().or_else(told)
    }

    /// A count, as it is now.
    pub fn count(of: &AtomicU64) -> u64 {
        of.load(Ordering::Relaxed)
    }
}
