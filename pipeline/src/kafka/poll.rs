//! The poll thread: the only one that talks to the consumer. It polls, cuts batches, offers them to the engine, and commits.
//!
//! It owns the consumer and the batcher, and never blocks on the engine: it keeps one batch in hand, and after a second
//! without room pauses its partitions and goes on polling. It guarantees that what it commits is finished, and that an
//! assignment is only worked under while the group is known to agree.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::assignment::{Assigned, Assignment, partitions_of};
use super::commit::Committer;
use super::consumer::{FeedError, FeedOptions, consumer_config, take};
use super::context::{Context, Rebalance};
use super::ends::Goal;
use super::monitor::{Monitor, Start};
use crate::batcher::{Batch, Batcher};
use crate::feed::{Intake, Revocation};
use crate::ledger::Frontier;
use crate::record::TopicPartition;
use crate::status::Status;

/// The longest poll, which bounds how late a finished batch is noticed.
const POLL: Duration = Duration::from_millis(50);
/// How long a batch waits for room before the partitions are paused.
const PATIENCE: Duration = Duration::from_secs(1);
/// Messages taken in a row before the rest of the loop is looked after.
const RUN: usize = 500;

/// Feeds an engine from Kafka.
pub struct KafkaFeed {
    options: FeedOptions,
    topics: Vec<Arc<str>>,
    consumer: Arc<BaseConsumer<Context>>,
    committer: Committer,
    intake: Intake,
    runtime: Handle,
    stop: CancellationToken,
    stopping: bool,
    /// When a stop that is under way is given up on.
    leave_by: Option<Instant>,
    assignment: Assignment,
    batcher: Batcher,
    in_hand: VecDeque<Batch>,
    /// Since when the first batch in hand has had no room.
    waiting: Option<Instant>,
    paused: bool,
    /// With `once`.
    goal: Option<Goal>,
    monitor: Monitor,
    status: Arc<Status>,
}

impl KafkaFeed {
    /// Makes the consumer and subscribes. Must be called inside a tokio runtime; `client` has the brokers and their security.
    ///
    /// # Errors
    /// When librdkafka does not accept the configuration.
    pub fn new(
        client: &ClientConfig,
        options: FeedOptions,
        intake: Intake,
        status: Arc<Status>,
        stop: CancellationToken,
    ) -> Result<Self, FeedError> {
        let consumer: BaseConsumer<Context> = consumer_config(client, &options)
            .create_with_context(Context::default())
            .map_err(FeedError::Configuration)?;
        let consumer = Arc::new(consumer);
        let names: Vec<&str> = options.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(FeedError::Configuration)?;
        Ok(Self {
            topics: options.topics.iter().map(|topic| Arc::from(topic.as_str())).collect(),
            batcher: Batcher::new(options.limits),
            monitor: Monitor::new(options.system, status.clone()),
            goal: options.once.then(|| Goal::new(&options.topics)),
            committer: Committer::new(consumer.clone(), options.answer_limit()),
            options,
            consumer,
            intake,
            runtime: Handle::current(),
            stop,
            stopping: false,
            leave_by: None,
            assignment: Assignment::default(),
            in_hand: VecDeque::new(),
            waiting: None,
            paused: false,
            status,
        })
    }

    /// Runs until told to stop, or until the end with `once`; returns whether that end was reached. To be called on a
    /// thread of its own.
    ///
    /// # Errors
    /// When the consumer or the engine failed for good.
    pub fn run(mut self) -> Result<bool, FeedError> {
        let ended = self.turn_over();
        // The consumer has to be closed whatever happened, or its drop would wait for an answer that nobody gives.
        if !self.consumer.closed() && self.leave_by.is_none() {
            self.begin_close();
        }
        while !self.consumer.closed() && !self.overdue() {
            self.consumer.poll(POLL);
            self.rebalance().ok();
        }
        if !self.consumer.closed() {
            tracing::warn!(
                "The broker does not answer; left without its word, and what it did not confirm is read again"
            );
            std::mem::forget(self.consumer);
        }
        ended.map(|()| self.goal.is_some_and(|goal| goal.reached))
    }

    fn turn_over(&mut self) -> Result<(), FeedError> {
        while !self.consumer.closed() && !self.overdue() {
            if self.stop.is_cancelled() && !self.stopping {
                self.begin_close();
            }
            if self.intake.batches.is_closed() {
                return Err(FeedError::EngineStopped);
            }
            self.store_frontier();
            self.offer();
            self.poll()?;
            self.rebalance()?;
            self.monitor.look(&self.consumer, &self.assignment);
            self.check_end();
        }
        Ok(())
    }

    fn overdue(&self) -> bool {
        self.leave_by.is_some_and(|by| by < Instant::now())
    }

    /// Leaves the group: librdkafka answers with a revocation, which drains and commits as any other.
    fn begin_close(&mut self) {
        self.stopping = true;
        self.leave_by = Some(Instant::now() + self.options.stop_limit());
        self.monitor.forget_ends();
        if let Err(error) = self.consumer.close_queue() {
            tracing::warn!(%error, "The Kafka consumer could not be closed in order");
        }
    }

    /// Hands what is finished to librdkafka, which commits it each second.
    fn store_frontier(&mut self) {
        if !self.intake.frontier.has_changed().unwrap_or(false) {
            return;
        }
        let moved = self.assignment.advance(&self.intake.frontier.borrow_and_update());
        self.store(&moved);
    }

    fn store(&self, offsets: &TopicPartitionList) {
        if offsets.count() > 0
            && let Err(error) = self.consumer.store_offsets(offsets)
        {
            // Refused for partitions that are not assigned any more; whoever has them next starts from what was committed.
            tracing::debug!(%error, "Offsets not stored");
        }
    }

    /// Offers the batch in hand, waiting a little; pauses when the engine has had no room for long, and resumes when it has.
    fn offer(&mut self) {
        if self.batcher.due().is_some_and(|due| due <= Instant::now()) {
            self.in_hand.extend(self.batcher.cut());
        }
        while let Some(batch) = self.in_hand.pop_front() {
            let batches = self.intake.batches.clone();
            let wait = if self.paused { Duration::ZERO } else { POLL };
            let room = self.runtime.block_on(async { tokio::time::timeout(wait, batches.reserve()).await });
            match room {
                Ok(Ok(room)) => {
                    room.send(batch);
                    self.waiting = None;
                }
                Ok(Err(_)) => return,
                Err(_) => {
                    self.in_hand.push_front(batch);
                    let since = *self.waiting.get_or_insert_with(Instant::now);
                    if since.elapsed() >= PATIENCE && !self.paused {
                        self.pause(true);
                    }
                    return;
                }
            }
        }
        if self.paused {
            self.pause(false);
        }
    }

    fn pause(&mut self, pause: bool) {
        let all = self.assignment.list();
        let done = if pause { self.consumer.pause(&all) } else { self.consumer.resume(&all) };
        match done {
            Ok(()) => self.paused = pause,
            Err(error) => tracing::warn!(%error, pause, "Partitions could not be paused or resumed"),
        }
        self.monitor.forget_ends();
        self.assignment.forget_ends();
        tracing::debug!(pause, "Partitions paused or resumed");
    }

    /// Polls until a batch is in hand, a run of messages was taken, or there is nothing more.
    fn poll(&mut self) -> Result<(), FeedError> {
        // With a batch in hand and not yet paused, waiting for room is all there is to do.
        if !self.in_hand.is_empty() && !self.paused && !self.stopping {
            self.confirm_membership();
            return Ok(());
        }
        for _ in 0..RUN {
            let now = Instant::now();
            let wait = self.batcher.due().map_or(POLL, |due| due.saturating_duration_since(now).min(POLL));
            let served = self.consumer.context().served();
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let full = take(&mut self.assignment, &mut self.batcher, &self.topics, &message, self.stopping);
                    self.in_hand.extend(full);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => self.assignment.saw_end(partition),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(FeedError::Fatal(error)),
                Some(Err(error)) => self.monitor.trouble(&error, self.consumer.context(), &self.options.topics),
                None => {
                    if !self.paused && !self.stopping && self.consumer.context().served() == served && wait == POLL {
                        self.monitor.quiet(&mut self.assignment, &mut self.batcher);
                    }
                    break;
                }
            }
            if !self.in_hand.is_empty() || self.consumer.context().served() != served {
                break;
            }
        }
        self.confirm_membership();
        Ok(())
    }

    /// Says that the group was heard of. After a sleep longer than the session (a suspended process, a stalled machine)
    /// the broker has to confirm it first: a commit is only taken from a member.
    fn confirm_membership(&mut self) {
        if self.intake.leases.overslept() && self.intake.leases.any() {
            let positions = self.assignment.positions();
            if let Err(error) = self.committer.commit(Some(positions)) {
                tracing::warn!(%error, "Slept longer than the session lasts; waiting for the group's word");
                return;
            }
        }
        self.intake.leases.polled();
    }

    fn rebalance(&mut self) -> Result<(), FeedError> {
        for event in self.consumer.context().take_rebalances() {
            match event {
                Rebalance::Assign(list) => self.assign(&list)?,
                Rebalance::Revoke(list) => self.revoke(&list)?,
            }
        }
        Ok(())
    }

    fn cooperative(&self) -> bool {
        matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
    }

    fn assign(&mut self, list: &TopicPartitionList) -> Result<(), FeedError> {
        let starts = self.monitor.starts(&self.consumer, list);
        let (mut list, mut anew) = (list.clone(), TopicPartitionList::new());
        for (at, start) in partitions_of(&list, &self.topics).into_iter().zip(starts) {
            let epoch = self.intake.leases.grant(&at);
            if let Start { next: Some(next), anew: true } = start {
                let (topic, partition, offset) = (&at.topic, at.partition, Offset::Offset(next));
                let set = list.set_partition_offset(topic, partition, offset);
                set.and_then(|()| anew.add_partition_offset(topic, partition, offset)).map_err(FeedError::Fatal)?;
            }
            let polled = start.next.unwrap_or(-1);
            self.assignment.add(Assigned { at, epoch, end_seen: false, start: start.next, polled, finished: None });
        }
        self.assignment.begin();
        let done =
            if self.cooperative() { self.consumer.incremental_assign(&list) } else { self.consumer.assign(&list) };
        done.map_err(FeedError::Fatal)?;
        if anew.count() > 0
            && let Err(error) = self.committer.commit(Some(anew))
        {
            tracing::warn!(%error, "The offsets of the old log could not be taken back; the new one is read anew after a restart");
        }
        // Being paused outlives an assignment in librdkafka, so it is set either way.
        let set = if self.paused { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        set.map_err(FeedError::Fatal)?;
        self.monitor.assigned(&self.assignment);
        Ok(())
    }

    /// Stops intake, lets the engine drain to a deadline, commits what is finished, gives the partitions back.
    fn revoke(&mut self, list: &TopicPartitionList) -> Result<(), FeedError> {
        let lost = self.consumer.assignment_lost();
        let partitions = partitions_of(list, &self.topics);
        self.batcher.forget(&partitions);
        self.in_hand.iter_mut().for_each(|batch| batch.forget(|span| partitions.contains(&span.at)));
        self.in_hand.retain(|batch| !batch.is_empty());
        self.intake.leases.close_intake(&partitions);
        let grace = if lost { Duration::ZERO } else { self.options.grace() };
        let last = self.drain(partitions.clone(), grace);
        if let (Some(last), false) = (&last, lost) {
            let moved = self.assignment.advance(last);
            self.store(&moved);
            self.commit();
        }
        self.assignment.remove(&partitions);
        self.intake.leases.end(&partitions);
        self.monitor.revoked(&self.assignment, &partitions, lost);
        let done = if self.cooperative() { self.consumer.incremental_unassign(list) } else { self.consumer.unassign() };
        done.map_err(FeedError::Fatal)?;
        last.map(|_| ()).ok_or(FeedError::EngineStopped)
    }

    /// Asks the engine to finish these partitions; `None` when it is gone.
    fn drain(&self, partitions: Vec<TopicPartition>, grace: Duration) -> Option<Frontier> {
        let (done, answer) = oneshot::channel();
        self.intake.revocations.blocking_send(Revocation { partitions, grace, done }).ok()?;
        answer.blocking_recv().ok()
    }

    /// Commits what is stored, and waits for the broker's answer.
    fn commit(&self) {
        match self.committer.commit(None) {
            // Nothing new to commit.
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => tracing::warn!(%error, "Offsets could not be committed; what follows them is read again"),
        }
    }

    /// With `once`: stops when the group has committed what was in the log at the start.
    fn check_end(&mut self) {
        let Some(mut goal) = self.goal.take_if(|_| !self.stopping) else { return };
        match goal.look(&self.consumer, &self.assignment, || self.commit()) {
            Ok(true) => self.stop.cancel(),
            Ok(false) => {}
            Err(error) => self.status.raise("kafka", format!("the end of the log could not be asked for: {error}")),
        }
        self.goal = Some(goal);
    }
}
