//! The feed: the seam between the engine and where records come from.
//!
//! A source (Kafka's poll thread, files, memory) holds the `Intake` end, the engine the `Feed` end. Dropping the intake
//! ends the engine when all that was offered is finished. At most one batch waits in between.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::engine::batcher::Batch;
use crate::offsets::leases::Leases;
use crate::offsets::offset_tracker::Frontier;
use crate::record::TopicPartition;

/// Partitions that are being taken away.
#[derive(Debug)]
pub struct Revocation {
    pub partitions: Vec<TopicPartition>,
    /// How long what is in flight may take to finish; zero when the partitions are lost already.
    pub grace: Duration,
    /// Answered with the frontier as it is final for these partitions.
    pub done: oneshot::Sender<Frontier>,
}

/// The source's end.
#[derive(Debug)]
pub struct Intake {
    pub batches: mpsc::Sender<Batch>,
    pub revocations: mpsc::Sender<Revocation>,
    pub frontier: watch::Receiver<Frontier>,
    pub leases: Arc<Leases>,
}

/// The engine's end.
#[derive(Debug)]
pub struct Feed {
    pub(crate) batches: mpsc::Receiver<Batch>,
    pub(crate) revocations: mpsc::Receiver<Revocation>,
    pub(crate) frontier: watch::Sender<Frontier>,
    pub(crate) leases: Arc<Leases>,
}

/// Makes both ends. `session_timeout` is how long the source may be silent before its leases are doubted.
pub fn channel(session_timeout: Duration) -> (Intake, Feed) {
    let (batches_in, batches) = mpsc::channel(1);
    let (revocations_in, revocations) = mpsc::channel(1);
    let (frontier, frontier_out) = watch::channel(Frontier::default());
    let leases = Arc::new(Leases::new(session_timeout));
    let intake =
        Intake { batches: batches_in, revocations: revocations_in, frontier: frontier_out, leases: leases.clone() };
    (intake, Feed { batches, revocations, frontier, leases })
}
