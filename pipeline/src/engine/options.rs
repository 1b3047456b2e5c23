//! What an engine is made of, and why it ends early.

use std::num::NonZeroUsize;
use std::sync::Arc;

use thiserror::Error;
use tokio::task::JoinError;

use crate::binding::Binding;
use crate::dead_letters::DeadLetters;
use crate::dedupe::MarkStore;
use crate::engine::delivery::Delivery;
use crate::status::Status;
use crate::write::RetryPolicy;

/// How an engine runs.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The consumer group, which names the dedupe marks and the dead letters.
    pub group: String,
    /// Batches in flight at once.
    pub max_in_flight: NonZeroUsize,
    /// Bytes of records in flight at once; a single larger batch goes alone. With a ladder, half of them are for what is parked.
    pub max_bytes: usize,
    pub retry: RetryPolicy,
    /// Marks kept in memory.
    pub dedupe_window: NonZeroUsize,
    /// Seeds the jitter of the pauses.
    pub seed: u64,
    /// What chooses the number in flight instead; `None`: it stays.
    pub delivery: Option<Arc<Delivery>>,
}

/// The outside parts of an engine.
pub struct EngineParts {
    pub binding: Arc<dyn Binding>,
    pub dead_letters: Arc<dyn DeadLetters>,
    pub marks: Option<Arc<dyn MarkStore>>,
    pub status: Arc<Status>,
}

/// Why an engine cannot go on. What was in flight is not committed.
#[derive(Debug, Error)]
pub enum EngineError {
    #[error("a batch panicked, which is a bug; nothing of it was committed: {0}")]
    Panicked(JoinError),
}
