//! The poll thread: polls, cuts batches, offers them to the engine, and commits.
//!
//! It owns the consumer and the batcher, and never blocks on the engine: it keeps one batch in hand, and after a second
//! without room pauses its partitions and goes on polling. Outside of revocation and stop it waits for no broker: questions
//! are asked on threads of their own, and their answers looked for here. It guarantees that what it commits is finished, and that an
//! assignment is only worked under while the group is known to agree.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::assignment::Assignment;
use super::commit::Committer;
use super::consumer::{FeedError, FeedOptions, consumer_config};
use super::context::FeedContext;
use super::ends::Goal;
use super::losses::Losses;
use super::membership::GroupMembership;
use super::monitor::Monitor;
use super::starts::{Late, Opening};
use super::state::StateTopic;
use super::stuck::Remedy;
use super::take::take;
use crate::engine::batcher::{Batch, Batcher};
use crate::feed::Intake;
use crate::state::{Loss, LossBook, LossKey};
use crate::status::Status;

/// The longest poll, which bounds how late a finished batch is noticed.
pub(super) const POLL: Duration = Duration::from_millis(50);
/// Messages taken in a row before the rest of the loop is looked after.
const RUN: usize = 500;

/// Feeds an engine from Kafka.
pub struct KafkaFeed {
    pub(super) options: FeedOptions,
    pub(super) topics: Vec<Arc<str>>,
    pub(super) consumer: Arc<BaseConsumer<FeedContext>>,
    pub(super) committer: Committer,
    pub(super) intake: Intake,
    pub(super) runtime: Handle,
    pub(super) stop: CancellationToken,
    pub(super) stopping: bool,
    /// When a stop that is under way is given up on.
    pub(super) leave_by: Option<Instant>,
    pub(super) assignment: Assignment,
    pub(super) batcher: Batcher,
    pub(super) in_hand: VecDeque<Batch>,
    /// Since when the first batch in hand has had no room.
    pub(super) waiting: Option<Instant>,
    pub(super) paused: bool,
    /// With `once`.
    pub(super) goal: Option<Goal>,
    pub(super) monitor: Monitor,
    /// What the group gave us and is not ours to read yet.
    pub(super) opening: Option<Opening>,
    pub(super) late: Late,
    losses: Losses,
    membership: GroupMembership,
    /// Ends whoever follows the state topic.
    _followed: DropGuard,
    pub(super) status: Arc<Status>,
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
        let consumer: BaseConsumer<FeedContext> = consumer_config(client, &options)
            .create_with_context(FeedContext::default())
            .map_err(FeedError::Configuration)?;
        let consumer = Arc::new(consumer);
        let names: Vec<&str> = options.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(FeedError::Configuration)?;
        let state = StateTopic::new(client, &options.state_topic);
        let followed = CancellationToken::new();
        follow(state.clone(), &options, &status, followed.clone()).map_err(FeedError::Configuration)?;
        Ok(Self {
            opening: None,
            late: Late::new(),
            losses: Losses::new(options.system, &options.group, state, status.clone()),
            membership: GroupMembership::new(options.session_timeout),
            _followed: followed.drop_guard(),
            topics: options.topics.iter().map(|topic| Arc::from(topic.as_str())).collect(),
            batcher: Batcher::new(options.batch_limits()),
            monitor: Monitor::new(client, &options, status.clone()),
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
            self.take_answers();
            self.mend()?;
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

    /// Hands what is finished to librdkafka, which commits it four times a second.
    fn store_frontier(&mut self) {
        if !self.intake.frontier.has_changed().unwrap_or(false) {
            return;
        }
        let moved = self.assignment.advance(&self.intake.frontier.borrow_and_update());
        self.store(&moved);
    }

    pub(super) fn store(&self, offsets: &TopicPartitionList) {
        if offsets.count() > 0
            && let Err(error) = self.consumer.store_offsets(offsets)
        {
            // Refused for partitions that are not assigned any more; whoever has them next starts from what was committed.
            tracing::debug!(%error, "Offsets not stored");
        }
    }

    /// Polls until a batch is in hand, a run of messages was taken, or there is nothing more.
    fn poll(&mut self) -> Result<(), FeedError> {
        // With a batch in hand and not yet paused, waiting for room is all there is to do.
        if !self.in_hand.is_empty() && !self.paused && !self.stopping {
            self.confirm_membership();
            return Ok(());
        }
        let mut now = Instant::now();
        for _ in 0..RUN {
            let served = self.consumer.context().count_served();
            // Most messages wait in the client's queue, and reading the clock costs more than taking one.
            let (mut message, mut wait) = (self.consumer.poll(Duration::ZERO), Duration::ZERO);
            if message.is_none() && self.consumer.context().count_served() == served {
                now = Instant::now();
                wait = self.batcher.due_at().map_or(POLL, |due| due.saturating_duration_since(now).min(POLL));
                message = self.consumer.poll(wait);
                now = Instant::now();
            }
            match message {
                Some(Ok(message)) => {
                    let full = take(
                        &mut self.assignment,
                        &mut self.batcher,
                        &mut self.monitor,
                        &self.topics,
                        &message,
                        now,
                        self.stopping,
                    );
                    self.in_hand.extend(full);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => self.assignment.saw_end(partition),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(FeedError::Fatal(error)),
                Some(Err(error)) => self.monitor.trouble(&error, self.consumer.context(), &self.assignment),
                None => {
                    if !self.paused
                        && !self.stopping
                        && self.consumer.context().count_served() == served
                        && wait == POLL
                    {
                        self.monitor.quiet(&self.consumer, &mut self.assignment, &mut self.batcher);
                    }
                    break;
                }
            }
            if !self.in_hand.is_empty() || self.consumer.context().count_served() != served {
                break;
            }
        }
        self.confirm_membership();
        Ok(())
    }

    /// Says that the group was heard of. After a sleep longer than the session (a suspended process, a stalled machine) it
    /// has to confirm the membership first.
    fn confirm_membership(&mut self) {
        let doubtful = self.intake.leases.overslept() && self.intake.leases.any();
        if !doubtful || self.membership.confirm(&self.consumer, &self.assignment) {
            self.intake.leases.note_poll();
        }
    }

    /// Looks for what the brokers have answered, and stores what may be committed since.
    fn take_answers(&mut self) {
        let known = self.late.look(&self.consumer, &mut self.assignment);
        let explained = self.losses.look(&self.consumer, &mut self.assignment);
        if known || explained {
            let moved = self.assignment.release();
            self.store(&moved);
        }
    }

    /// Looks after itself, about each second.
    fn mend(&mut self) -> Result<(), FeedError> {
        match self.monitor.look(&self.consumer, &self.assignment, self.flow()) {
            Some(Remedy::Reassign(partitions)) if !self.stopping => self.reassign(&partitions),
            Some(Remedy::GiveUp(at)) if !self.stopping => {
                Err(FeedError::Stuck(at, self.options.stuck.unwrap_or_default()))
            }
            _ => Ok(()),
        }
    }

    /// With `once`: stops when the group has committed what was in the log at the start.
    fn check_end(&mut self) {
        let Some(mut goal) = self.goal.take_if(|_| !self.stopping) else { return };
        match goal.look(&self.consumer, &self.assignment) {
            Ok(true) => self.stop.cancel(),
            Ok(false) => {}
            Err(error) => self.status.raise("kafka", format!("the end of the log could not be asked for: {error}")),
        }
        self.goal = Some(goal);
    }
}

/// Follows the losses of the group: red while one stands that nobody has acknowledged, and until they are known.
fn follow(state: StateTopic, options: &FeedOptions, status: &Arc<Status>, stop: CancellationToken) -> KafkaResult<()> {
    let (group, red, unread) = (options.group.clone(), status.clone(), status.clone());
    status.raise("losses", format!("waiting for {}, where losses are written down", options.state_topic));
    let changed = move |book: &LossBook| {
        match describe_losses(book, &group) {
            Some(why) => red.raise("retention", why),
            None => red.clear("retention"),
        }
        red.clear("losses");
    };
    state.follow(stop, changed, move |why| unread.raise("losses", why))
}

/// What stands of a group's losses, in one sentence.
fn describe_losses(book: &LossBook, group: &str) -> Option<String> {
    let standing: Vec<Loss> = book.standing(group).collect();
    let first = standing.first()?;
    let records: u64 = standing.iter().map(|loss| loss.lost).sum();
    let LossKey(_, topic, partition, offset) = &first.key;
    let (next, more) = (first.next, standing.len() - 1);
    let others = if more > 0 { format!(" and {more} other places") } else { String::new() };
    Some(format!(
        "{records} records were deleted by retention before they were read, from {topic}[{partition}]@{offset} to {next}{others}: `millrace losses` names them, and acknowledges what is dealt with"
    ))
}
