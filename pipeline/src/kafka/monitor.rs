//! What the poll thread tells of itself: connection, rights, group, lag and progress.
//!
//! It also finds out that the log holds offsets without records, which never arrive as messages. To commit past them it needs
//! proof that no message is left below. The proof has three parts, in this order. librdkafka reports the end of the partition,
//! after the last pause or assignment. Its statistics name the offset of that end. A later poll finds the queue empty. The
//! report of the end names no topic. If a system reads several topics with a partition of the same number, the client is asked
//! for its position instead, which passes the markers of transactions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset, Statistics};

use super::assignment::{Assignment, of};
use super::consumer::FeedOptions;
use super::context::FeedContext;
use super::lag::Lag;
use super::oversize::Oversize;
use super::rights::Rights;
use super::stalls::Stalls;
use super::steady::Steady;
use super::stuck::{Remedy, Stuck};
use crate::engine::batcher::Batcher;
use crate::record::{Epoch, TopicPartition};
use crate::status::Status;

/// How often the client is asked for its position at most.
const POSITIONS: Duration = Duration::from_millis(500);

/// What keeps records from flowing that is nobody's fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowState {
    pub paused: bool,
    /// The rate that was set holds a batch back.
    pub held: bool,
}

/// Watches one consumer.
#[derive(Debug)]
pub(super) struct Monitor {
    system: &'static str,
    topics: String,
    /// Whether it reads more than one topic.
    several: bool,
    status: Arc<Status>,
    /// Where the end of a partition was seen.
    ends: Vec<(TopicPartition, Epoch, i64)>,
    rights: Rights,
    lag: Lag,
    oversize: Oversize,
    stalls: Stalls,
    steady: Steady,
    stuck: Stuck,
    /// Topics whose records have no time of their own.
    timeless: Vec<Arc<str>>,
    /// When the client was asked last for its position.
    positions: Option<Instant>,
    /// It was said that one of several topics does not exist.
    said_missing: bool,
}

impl Monitor {
    pub(super) fn new(client: &ClientConfig, options: &FeedOptions, status: Arc<Status>) -> Self {
        status.raise("assignment", "waiting for partitions");
        Self {
            system: options.system,
            topics: options.topics.join(", "),
            several: options.topics.len() > 1,
            status,
            ends: Vec::new(),
            rights: Rights::new(client, &options.topics, &options.group, options.session_timeout),
            lag: Lag::new(options.system),
            oversize: Oversize::default(),
            stalls: Stalls::default(),
            steady: Steady::new(&options.group, options.session_timeout),
            stuck: Stuck::new(options.stuck),
            timeless: Vec::new(),
            positions: None,
            said_missing: false,
        }
    }

    /// Takes in new statistics, about each second. Returns what is to be done about partitions that are not fetched.
    pub(super) fn look(
        &mut self,
        consumer: &Arc<BaseConsumer<FeedContext>>,
        assignment: &Assignment,
        flow: FlowState,
    ) -> Option<Remedy> {
        let statistics = consumer.context().take_statistics()?;
        if statistics.brokers.values().any(|broker| broker.nodeid >= 0 && broker.state == "UP") {
            self.status.clear("kafka");
        }
        self.note_ends(&statistics, assignment);
        self.oversize.look(&statistics, assignment, &self.status);
        let now = Instant::now();
        let steady = self.steady.look(statistics.cgrp.as_ref(), now, &self.status);
        self.rights.look(assignment, steady, consumer.context().take_commit(), &self.status);
        let behind = self.lag.look(consumer, &statistics, assignment, &self.status);
        match flow.held {
            // At the rate that was set, records of a partition wait their turn for as long as that takes.
            true => self.stalls.forget(&self.status),
            false => self.stalls.look(assignment, &behind, now, &self.status),
        }
        if flow.paused || !steady || self.oversize.stands() {
            self.stuck.forget();
            return None;
        }
        let fetched: Vec<_> = assignment.iter().map(|held| Some(of(&statistics, &held.at)?.next_offset)).collect();
        self.stuck.look(assignment, &behind, &fetched, now)
    }

    /// A record has no Kafka time, or one that can be none. Said once a topic.
    pub(super) fn timeless(&mut self, topic: &Arc<str>) {
        if !self.timeless.contains(topic) {
            self.timeless.push(topic.clone());
            tracing::warn!(
                system = self.system,
                topic = &**topic,
                "Records carry no Kafka time, or one before 2001: times in them have no upper bound"
            );
        }
    }

    fn note_ends(&mut self, statistics: &Statistics, assignment: &Assignment) {
        self.ends.clear();
        for held in assignment.iter().filter(|held| held.end_seen) {
            let found = of(statistics, &held.at);
            if let Some(found) = found
                && found.eof_offset == found.next_offset
                && !held.covers(found.eof_offset)
            {
                self.ends.push((held.at.clone(), held.epoch, found.eof_offset));
            }
        }
    }

    /// The queue was seen empty: all that was fetched before the last statistics has been polled.
    pub(super) fn quiet(
        &mut self,
        consumer: &BaseConsumer<FeedContext>,
        assignment: &mut Assignment,
        batcher: &mut Batcher,
    ) {
        self.take_positions(consumer, assignment, batcher);
        for (at, epoch, end) in self.ends.drain(..) {
            if let Some(held) = assignment.under(&at, epoch)
                && !held.covers(end)
            {
                held.note_poll(end, end);
                batcher.cover(&at, epoch, end, Instant::now());
            }
        }
    }

    /// Asks the client, which knows it without a broker, how far it has come in partitions whose ends cannot be told apart.
    fn take_positions(
        &mut self,
        consumer: &BaseConsumer<FeedContext>,
        assignment: &mut Assignment,
        batcher: &mut Batcher,
    ) {
        let now = Instant::now();
        if !shares_numbers(assignment) || self.positions.is_some_and(|at| now.duration_since(at) < POSITIONS) {
            return;
        }
        self.positions = Some(now);
        let Ok(positions) = consumer.position() else { return };
        for element in positions.elements() {
            let Offset::Offset(next) = element.offset() else { continue };
            let Some(held) = assignment.find(element.topic(), element.partition()) else { continue };
            // Before the first record of a partition was polled, a position says nothing of what was fetched.
            if held.position() >= 0 && !held.covers(next) {
                held.note_poll(next, next);
                batcher.cover(&held.at, held.epoch, next, now);
            }
        }
    }

    /// What was fetched ahead is thrown away, so what was seen of the ends says nothing any more.
    pub(super) fn forget_ends(&mut self) {
        self.ends.clear();
    }

    pub(super) fn on_assign(&mut self, assignment: &Assignment) {
        self.forget_ends();
        let partitions = assignment.iter().count();
        self.status.clear("assignment");
        if partitions > 0 {
            self.status.clear("topic");
        }
        self.lag.on_assign();
        self.rights.on_assign(&self.status);
        tracing::info!(system = self.system, partitions, "Partitions assigned");
    }

    pub(super) fn on_revoke(&mut self, assignment: &Assignment, gone: &[TopicPartition], lost: bool) {
        self.forget_ends();
        self.lag.on_revoke(gone);
        metrics::counter!("millrace_rebalances_total", "system" => self.system).increment(1);
        tracing::info!(
            system = self.system,
            revoked = gone.len(),
            partitions = assignment.iter().count(),
            lost,
            "Partitions revoked"
        );
    }

    /// An error that the consumer gets over by itself.
    pub(super) fn trouble(&mut self, error: &KafkaError, context: &FeedContext, assignment: &Assignment) {
        if self.rights.hear(error, &self.status) || self.oversize.hear(error, context.trouble().as_deref()) {
            return;
        }
        match error.rdkafka_error_code() {
            // One of several that does not exist holds up none of the others.
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)
                if self.several && assignment.iter().next().is_some() =>
            {
                if !std::mem::replace(&mut self.said_missing, true) {
                    let system = self.system;
                    tracing::warn!(system, "Not all of these topics exist; the others are read: {}", self.topics);
                }
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                let why =
                    format!("waiting for the topic {}: create it, or correct its name in the settings", self.topics);
                self.status.raise("topic", why);
            }
            _ => {
                let why = context.trouble().unwrap_or_else(|| error.to_string());
                self.status.raise("kafka", format!("{why}; check KAFKA_BOOTSTRAP_SERVERS, and that the brokers run"));
            }
        }
    }
}

/// Whether partitions of several topics have one number, so that their ends cannot be told apart.
fn shares_numbers(assignment: &Assignment) -> bool {
    let mut numbers: Vec<i32> = assignment.iter().map(|held| held.at.partition).collect();
    numbers.sort_unstable();
    numbers.windows(2).any(|pair| matches!(pair, [one, next] if one == next))
}
