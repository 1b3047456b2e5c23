//! The engine: opens a slot for each batch, runs a few of them at once, and publishes how far the log is finished.
//!
//! It owns the offset tracker and the permits, and waits for the feed and for its batches. It guarantees that the frontier never
//! passes an unfinished batch, that at most the byte budget is in flight, and that a revocation is answered in time.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::batch::{BatchContext, Turn, process};
use crate::batcher::Batch;
use crate::binding::Binding;
use crate::dead_letters::DeadLetters;
use crate::dedupe::{Dedupe, MarkStore};
use crate::feed::{Feed, Revocation};
use crate::inflight::InFlight;
use crate::mutants::{self, Mutant};
use crate::offset_tracker::{OffsetTracker, Seq};
use crate::outcome::{Outcome, Tally};
use crate::status::Status;
use crate::write::{RetryPolicy, Writer};

/// How an engine runs.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The consumer group, which names the dedupe marks and the dead letters.
    pub group: String,
    /// Batches in flight at once.
    pub max_in_flight: NonZeroUsize,
    /// Bytes of records in flight at once; a single larger batch goes alone.
    pub max_bytes: usize,
    pub retry: RetryPolicy,
    /// Marks kept in memory.
    pub dedupe_window: NonZeroUsize,
    /// Seeds the jitter of the pauses.
    pub seed: u64,
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

/// Runs one system.
pub struct Engine {
    cx: Arc<BatchContext>,
    feed: Feed,
    options: EngineOptions,
    offsets: OffsetTracker,
    tasks: JoinSet<FinishedBatch>,
    bytes: usize,
    /// Records in flight.
    records: u64,
    /// Completed when the batch opened last has registered its documents.
    last_turn: oneshot::Receiver<()>,
    revoking: Option<(Revocation, Instant)>,
    tally: watch::Sender<Tally>,
}

struct FinishedBatch {
    seq: Seq,
    bytes: usize,
    records: usize,
    tally: Tally,
    took: Duration,
}

/// Lets an open breaker go on, and gives up on what fails or waits alone for long; shared with whoever can be told to.
pub trait Proceed: Send + Sync {
    /// Whether the breaker is open, so that a person has to decide.
    fn is_open(&self) -> bool;

    /// Lets an open breaker go on. Does nothing to one that is not open. Returns whether it was open.
    fn proceed(&self) -> bool;
}

impl Proceed for Writer {
    fn is_open(&self) -> bool {
        Writer::is_open(self)
    }

    fn proceed(&self) -> bool {
        Writer::proceed(self)
    }
}

impl Engine {
    pub fn new(parts: EngineParts, feed: Feed, options: EngineOptions) -> Self {
        let writer = Writer::new(parts.binding.clone(), options.retry, parts.status.clone(), options.seed);
        let cx = BatchContext {
            binding: parts.binding,
            group: options.group.clone(),
            writer: Arc::new(writer),
            dedupe: Dedupe::new(options.dedupe_window, parts.marks),
            dead_letters: parts.dead_letters,
            in_flight: InFlight::default(),
            leases: feed.leases.clone(),
            status: parts.status,
        };
        // The first batch has nobody to wait for: its turn comes when this sender is dropped.
        let (_, last_turn) = oneshot::channel();
        Self {
            cx: Arc::new(cx),
            feed,
            options,
            offsets: OffsetTracker::default(),
            tasks: JoinSet::new(),
            bytes: 0,
            records: 0,
            last_turn,
            revoking: None,
            tally: watch::Sender::default(),
        }
    }

    /// A handle that tells an open breaker to go on.
    pub fn proceed(&self) -> Arc<dyn Proceed> {
        self.cx.writer.clone()
    }

    /// The counts so far.
    pub fn tally(&self) -> watch::Receiver<Tally> {
        self.tally.subscribe()
    }

    /// Runs until the feed ends and everything that may still be finished is; gives the counts of all outcomes.
    ///
    /// # Errors
    /// When a batch panics. The feed must then end without committing more.
    pub async fn run(mut self) -> Result<Tally, EngineError> {
        let mut next: Option<Batch> = None;
        let mut ended = false;
        loop {
            if next.as_ref().is_some_and(|batch| self.admits(batch)) {
                next.take().into_iter().for_each(|batch| self.open(batch));
                continue;
            }
            if ended && next.is_none() && self.tasks.is_empty() {
                return Ok(*self.tally.borrow());
            }
            let deadline = self.revoking.as_ref().map(|(_, deadline)| *deadline);
            tokio::select! {
                biased;
                Some(finished) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    self.settle(finished.map_err(EngineError::Panicked)?);
                }
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.finish_revocation();
                }
                Some(revocation) = self.feed.revocations.recv(), if self.revoking.is_none() => {
                    self.revoke(revocation);
                }
                batch = self.feed.batches.recv(), if next.is_none() && !ended => match batch {
                    Some(batch) => next = Some(batch),
                    None => ended = true,
                },
                () = self.cx.leases.sleep(Duration::from_millis(200)), if ended => {
                    if !self.cx.leases.any() {
                        // What is still in flight belongs to nobody here; whoever has it next reads it again.
                        next = None;
                        self.tasks.shutdown().await;
                        let left = std::mem::take(&mut self.records);
                        self.tally.send_modify(|tally| tally.abandoned += left);
                    }
                }
            }
        }
    }

    /// Whether a batch may begin: a permit and bytes are free, and where order is asked for its partitions are idle.
    fn admits(&self, batch: &Batch) -> bool {
        let idle = self.tasks.is_empty();
        let fits = self.tasks.len() < self.options.max_in_flight.get()
            && self.bytes.saturating_add(batch.bytes) <= self.options.max_bytes;
        let ordered = self.cx.binding.limits().ordered;
        (idle || fits) && !(ordered && self.offsets.busy(&batch.spans))
    }

    /// Opens a slot for a batch and starts it; what is being revoked is left out.
    fn open(&mut self, mut batch: Batch) {
        batch.forget(|span| !self.cx.leases.open(span));
        if batch.is_empty() {
            return;
        }
        let seq = self.offsets.open(batch.spans.clone());
        if mutants::on(Mutant::CommitBeforeWrite) {
            self.settled(seq);
        }
        if batch.records.is_empty() {
            return self.settled(seq);
        }
        let (next, last_turn) = oneshot::channel();
        let turn = Turn { before: std::mem::replace(&mut self.last_turn, last_turn), next };
        let cx = self.cx.clone();
        self.bytes += batch.bytes;
        self.records += batch.records.len() as u64;
        self.tasks.spawn(async move {
            let begun = Instant::now();
            let tally = process(&cx, seq, &batch, turn).await;
            FinishedBatch { seq, bytes: batch.bytes, records: batch.records.len(), tally, took: begun.elapsed() }
        });
    }

    fn settle(&mut self, finished: FinishedBatch) {
        self.bytes -= finished.bytes;
        self.records -= finished.records as u64;
        self.tally.send_modify(|tally| tally.merge(finished.tally));
        report(self.cx.binding.system(), &finished);
        self.settled(finished.seq);
    }

    fn settled(&mut self, seq: Seq) {
        if self.offsets.settle(seq) {
            self.publish();
        }
        if self.revoking.as_ref().is_some_and(|(revocation, _)| !self.offsets.holds(&revocation.partitions)) {
            self.finish_revocation();
        }
    }

    fn publish(&self) {
        self.feed.frontier.send_replace(self.offsets.frontier().clone());
    }

    fn revoke(&mut self, revocation: Revocation) {
        let deadline = Instant::now() + revocation.grace;
        let idle = !self.offsets.holds(&revocation.partitions);
        self.revoking = Some((revocation, deadline));
        if idle {
            self.finish_revocation();
        }
    }

    /// Hands the feed what it may commit for the last time, and forgets the partitions.
    fn finish_revocation(&mut self) {
        let Some((revocation, _)) = self.revoking.take() else { return };
        let last = self.offsets.frontier().clone();
        self.offsets.forget(&revocation.partitions);
        revocation.done.send(last).ok();
    }
}

fn report(system: &'static str, finished: &FinishedBatch) {
    let FinishedBatch { records, tally, took, .. } = *finished;
    for outcome in Outcome::ALL {
        let count = tally.count(outcome);
        if count > 0 {
            metrics::counter!("millrace_records_total", "system" => system, "outcome" => outcome.name())
                .increment(count);
        }
    }
    if tally.abandoned > 0 {
        metrics::counter!("millrace_records_abandoned_total", "system" => system).increment(tally.abandoned);
    }
    metrics::histogram!("millrace_batch_records", "system" => system).record(records as f64);
    metrics::histogram!("millrace_batch_duration_seconds", "system" => system).record(took.as_secs_f64());
    tracing::info!(
        system,
        records,
        applied = tally.applied,
        superseded = tally.superseded,
        duplicate = tally.duplicate,
        dead_lettered = tally.dead_lettered,
        ignored = tally.ignored,
        abandoned = tally.abandoned,
        duration_ms = took.as_millis() as u64,
        "Batch processed"
    );
}
