//! The engine: opens a slot for each batch, runs a few of them at once, and publishes how far the log is finished.
//!
//! It owns the offset tracker and the permits, and waits for the feed and for its batches. It guarantees that the frontier never
//! passes an unfinished batch, that at most the byte budget is in flight, and that a revocation is answered in time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::dedupe::Dedupe;
use crate::engine::batch::{Turn, process};
use crate::engine::batch_item::BatchContext;
use crate::engine::batcher::{Batch, Span};
use crate::engine::finished_batch::{FinishedBatch, report};
use crate::engine::inflight::InFlight;
use crate::engine::options::{EngineError, EngineOptions, EngineParts};
use crate::engine::proceed::Proceed;
use crate::engine::queue::BatchQueue;
use crate::engine::slot_meter::SlotMeter;
use crate::feed::{Feed, Revocation};
use crate::mutant;
use crate::offsets::offset_tracker::{Frontier, OffsetTracker, Seq};
use crate::outcome::Tally;
use crate::park::Park;
use crate::park::climb::climb;
use crate::record::TopicPartition;
use crate::write::Writer;

/// Batches that may wait where order is asked for: a log is read in long runs of one partition.
const QUEUED: usize = 32;

/// Runs one system.
pub struct Engine {
    cx: Arc<BatchContext>,
    feed: Feed,
    options: EngineOptions,
    offsets: OffsetTracker,
    /// Batches that were received and wait: one, and where order is asked for more, so that no partition waits for another.
    queue: BatchQueue,
    tasks: JoinSet<FinishedBatch>,
    bytes: usize,
    /// Records in flight or parked.
    records: u64,
    /// Runs of what is parked that go on.
    climbing: Vec<(Seq, Span)>,
    /// Whether what began last was a run of what is parked: then a batch that waits comes first.
    climbed: bool,
    /// Completed when the batch opened last has registered its documents.
    last_turn: oneshot::Receiver<()>,
    revoking: Option<(Revocation, Instant)>,
    tally: watch::Sender<Tally>,
    /// With a delivery that is tuned.
    meter: Option<SlotMeter>,
}

impl Engine {
    pub fn new(parts: EngineParts, feed: Feed, options: EngineOptions) -> Self {
        let mut writer = Writer::new(parts.binding.clone(), options.retry, parts.status.clone(), options.seed);
        writer.delivery = options.delivery.clone();
        let meter = options.delivery.clone().map(|delivery| SlotMeter::new(delivery, Instant::now()));
        let park = parts.binding.ladder().map(Park::new);
        let cx = BatchContext {
            park,
            binding: parts.binding,
            group: options.group.clone(),
            writer: Arc::new(writer),
            dedupe: Dedupe::new(options.dedupe_window, parts.marks),
            dead_letters: parts.dead_letters,
            in_flight: InFlight::default(),
            leases: feed.leases.clone(),
            status: parts.status,
        };
        let most = if cx.binding.limits().ordered { QUEUED } else { 1 };
        // The first batch has nobody to wait for: its turn comes when this sender is dropped.
        let (_, last_turn) = oneshot::channel();
        Self {
            cx: Arc::new(cx),
            feed,
            options,
            queue: BatchQueue::new(most),
            offsets: OffsetTracker::default(),
            tasks: JoinSet::new(),
            bytes: 0,
            records: 0,
            climbing: Vec::new(),
            climbed: false,
            last_turn,
            revoking: None,
            tally: watch::Sender::default(),
            meter,
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
    pub async fn run(self) -> Result<Tally, EngineError> {
        let Some(delivery) = self.options.delivery.clone() else { return self.turn_over().await };
        let store = self.cx.binding.clone();
        tokio::select! {
            ended = self.turn_over() => ended,
            never = delivery.tend(&*store) => match never {},
        }
    }

    async fn turn_over(mut self) -> Result<Tally, EngineError> {
        let mut ended = false;
        loop {
            let yields = self.climbed && self.next().is_some();
            let wake = if yields { None } else { self.climb() };
            if let Some((place, partitions)) = self.next() {
                self.climbed = false;
                self.queue.take(place, &partitions).into_iter().for_each(|batch| self.open(batch));
                continue;
            }
            if ended
                && self.queue.is_empty()
                && self.tasks.is_empty()
                && self.cx.park.as_ref().is_none_or(Park::is_empty)
            {
                return Ok(*self.tally.borrow());
            }
            if let Some(meter) = &mut self.meter {
                meter.note(Instant::now(), self.tasks.len(), self.queue.len());
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
                () = await_parked(self.cx.park.as_ref(), wake), if self.cx.park.is_some() => {}
                batch = self.feed.batches.recv(), if !ended && self.has_room() => match batch {
                    Some(batch) => self.queue.push(batch),
                    None => ended = true,
                },
                () = self.cx.leases.sleep(Duration::from_millis(200)), if ended => {
                    if !self.cx.leases.any() {
                        // What is still in flight belongs to nobody here; whoever has it next reads it again.
                        self.queue.clear();
                        self.tasks.shutdown().await;
                        self.cx.park.iter().for_each(Park::clear);
                        let left = std::mem::take(&mut self.records);
                        self.tally.send_modify(|tally| tally.abandoned += left);
                    }
                }
            }
        }
    }

    /// What begins next, where something may: a permit and bytes are free, and where order is asked for its partitions are idle. What
    /// is only too large for now is not passed.
    fn next(&self) -> Option<(usize, Vec<TopicPartition>)> {
        let (place, partitions) = self.queue.find_idle(|span| self.is_idle(std::slice::from_ref(span)))?;
        let fits = self.permits() && self.queue.bytes_at(place) <= self.room();
        (!self.is_full() && (self.tasks.is_empty() || fits)).then_some((place, partitions))
    }

    /// Bytes that are free for what begins.
    fn room(&self) -> usize {
        let parks = if self.cx.park.is_some() { self.options.max_bytes / 2 } else { 0 };
        let most =
            self.meter.as_ref().map_or(self.options.max_bytes, |meter| meter.limit_bytes(self.options.max_bytes));
        most.saturating_sub(parks + self.bytes)
    }

    /// Whether what is parked takes its half: then nothing begins, and no more is read.
    fn is_full(&self) -> bool {
        self.cx.park.as_ref().is_some_and(|park| park.bytes() >= self.options.max_bytes / 2)
    }

    /// Whether another batch may wait.
    fn has_room(&self) -> bool {
        self.queue.wants(if self.is_full() { 0 } else { self.room() })
    }

    fn permits(&self) -> bool {
        let most = self.meter.as_ref().map_or(self.options.max_in_flight.get(), SlotMeter::number);
        self.tasks.len() < most
    }

    /// Whether nothing that goes on keeps something of these partitions from beginning: where order is asked for, whatever is of them;
    /// else a run of an older assignment, whose request may still land.
    fn is_idle(&self, spans: &[Span]) -> bool {
        let ordered = self.cx.binding.limits().ordered;
        let bars = |run: &Span, span: &Span| run.at == span.at && (ordered || run.epoch != span.epoch);
        let barred = self.climbing.iter().any(|(_, run)| spans.iter().any(|span| bars(run, span)));
        !(barred || ordered && self.offsets.busy(spans))
    }

    /// Begins the runs of what is parked and due, one a partition. Returns when to look again.
    fn climb(&mut self) -> Option<Instant> {
        self.cx.park.as_ref()?;
        let cx = self.cx.clone();
        let park = cx.park.as_ref()?;
        let mut wake = park.gauge(cx.binding.system());
        for (span, due) in park.due_runs() {
            if due > Instant::now() {
                wake = wake.into_iter().chain([due]).min();
            } else if self.permits() && self.is_idle(std::slice::from_ref(&span)) {
                self.begin(span.clone(), park.begin(span));
            }
        }
        wake
    }

    /// Starts a run. Its number is that of a slot that nobody waits for: what it holds keeps the commit back while it is parked.
    fn begin(&mut self, span: Span, batch: Batch) {
        let seq = self.offsets.open(Vec::new());
        self.offsets.settle(seq);
        self.climbing.push((seq, span));
        self.climbed = true;
        let cx = self.cx.clone();
        self.tasks.spawn(async move {
            let begun = Instant::now();
            let tally = match &cx.park {
                Some(park) => climb(&cx, park, seq, &batch).await,
                None => Tally::default(),
            };
            let records = (tally.total() + tally.abandoned) as usize;
            FinishedBatch { seq, bytes: 0, records, parked: 0, tally, took: begun.elapsed(), climb: true }
        });
    }

    /// Opens a slot for a batch and starts it; what is being revoked is left out.
    fn open(&mut self, mut batch: Batch) {
        batch.forget(|span| !self.cx.leases.open(span));
        if batch.is_empty() {
            return;
        }
        let seq = self.offsets.open(batch.spans.clone());
        self.meter.iter_mut().for_each(|meter| meter.note_open(seq));
        if mutant!(CommitBeforeWrite) {
            self.note_settled(seq);
        }
        if batch.records.is_empty() {
            return self.note_settled(seq);
        }
        let (next, last_turn) = oneshot::channel();
        let turn = Turn { before: std::mem::replace(&mut self.last_turn, last_turn), next };
        let cx = self.cx.clone();
        self.bytes += batch.bytes;
        self.records += batch.records.len() as u64;
        self.tasks.spawn(async move {
            let begun = Instant::now();
            let (tally, parked) = process(&cx, seq, &batch, turn).await;
            let (bytes, records, took) = (batch.bytes, batch.records.len(), begun.elapsed());
            FinishedBatch { seq, bytes, records, parked, tally, took, climb: false }
        });
    }

    fn settle(&mut self, finished: FinishedBatch) {
        self.bytes -= finished.bytes;
        self.records -= (finished.records - finished.parked) as u64;
        self.tally.send_modify(|tally| tally.merge(finished.tally));
        report(self.cx.binding.system(), &finished);
        self.meter.iter_mut().for_each(|meter| meter.finish(Instant::now(), &finished));
        if finished.climb {
            self.climbing.retain(|(seq, _)| *seq != finished.seq);
            self.publish();
        }
        self.note_settled(finished.seq);
    }

    fn note_settled(&mut self, seq: Seq) {
        if self.offsets.settle(seq) {
            self.publish();
        }
        if self.revoking.as_ref().is_some_and(|(revocation, _)| !self.holds(&revocation.partitions)) {
            self.finish_revocation();
        }
    }

    /// Whether anything of these partitions is on its way; what is parked is not.
    fn holds(&self, partitions: &[TopicPartition]) -> bool {
        self.offsets.holds(partitions) || self.climbing.iter().any(|(_, run)| partitions.contains(&run.at))
    }

    /// How far each partition is finished: never past what is parked.
    fn frontier(&self) -> Frontier {
        let mut frontier = self.offsets.frontier().clone();
        self.cx.park.iter().for_each(|park| park.hold_back(&mut frontier));
        frontier
    }

    fn publish(&self) {
        self.feed.frontier.send_replace(self.frontier());
    }

    fn revoke(&mut self, revocation: Revocation) {
        let deadline = Instant::now() + revocation.grace;
        self.cx.park.iter().for_each(|park| park.close(&revocation.partitions));
        self.queue.forget(|span| !self.cx.leases.open(span));
        let idle = !self.holds(&revocation.partitions);
        self.revoking = Some((revocation, deadline));
        if idle {
            self.finish_revocation();
        }
    }

    /// Hands the feed what it may commit for the last time, and forgets the partitions.
    fn finish_revocation(&mut self) {
        let Some((revocation, _)) = self.revoking.take() else { return };
        let last = self.frontier();
        self.offsets.forget(&revocation.partitions);
        if let Some(park) = &self.cx.park {
            let left = park.forget(&revocation.partitions, |at| self.cx.leases.epoch(at));
            self.records -= left;
            self.tally.send_modify(|tally| tally.abandoned += left);
        }
        revocation.done.send(last).ok();
    }
}

/// Waits until something is parked, or until then.
async fn await_parked(park: Option<&Park>, until: Option<Instant>) {
    match park {
        Some(park) => park.await_change(until).await,
        None => std::future::pending().await,
    }
}
