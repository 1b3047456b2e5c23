//! What the poll thread tells of itself: lag, progress and connection.
//!
//! It also finds out that the log holds offsets without records, which no message ever shows: librdkafka's statistics
//! name the offset at which it saw the end of a partition. Once an end was polled since the last pause or assignment, and the
//! queue was seen empty after the statistics, everything below was polled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Statistics;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::assignment::Assignment;
use super::context::Context;
use super::oversize::Oversize;
use crate::batcher::Batcher;
use crate::record::{Epoch, TopicPartition};
use crate::status::Status;

/// Lag without progress for this long is trouble.
const STUCK: Duration = Duration::from_secs(60);

/// Watches one consumer.
#[derive(Debug)]
pub(super) struct Monitor {
    system: &'static str,
    status: Arc<Status>,
    /// Where the end of a partition was seen.
    ends: Vec<(TopicPartition, Epoch, i64)>,
    finished: i64,
    progress: Instant,
    oversize: Oversize,
}

impl Monitor {
    pub(super) fn new(system: &'static str, status: Arc<Status>) -> Self {
        status.raise("assignment", "waiting for partitions");
        Self { system, status, ends: Vec::new(), finished: 0, progress: Instant::now(), oversize: Oversize::default() }
    }

    /// Takes in new statistics, about each second.
    pub(super) fn look(&mut self, consumer: &BaseConsumer<Context>, assignment: &Assignment) {
        let Some(statistics) = consumer.context().take_statistics() else { return };
        if statistics.brokers.values().any(|broker| broker.nodeid >= 0 && broker.state == "UP") {
            self.status.clear("kafka");
        }
        self.note_ends(&statistics, assignment);
        self.oversize.look(&statistics, assignment, &self.status);
        self.measure(&statistics, assignment);
    }

    fn note_ends(&mut self, statistics: &Statistics, assignment: &Assignment) {
        self.ends.clear();
        for held in assignment.iter().filter(|held| held.end_seen) {
            let found = statistics.topics.get(&*held.at.topic).and_then(|t| t.partitions.get(&held.at.partition));
            if let Some(found) = found
                && found.eof_offset == found.next_offset
                && !held.covers(found.eof_offset)
            {
                self.ends.push((held.at.clone(), held.epoch, found.eof_offset));
            }
        }
    }

    /// The queue was seen empty: all that was fetched before the last statistics has been polled.
    pub(super) fn quiet(&mut self, assignment: &mut Assignment, batcher: &mut Batcher) {
        for (at, epoch, end) in self.ends.drain(..) {
            if let Some(held) = assignment.under(&at, epoch)
                && !held.covers(end)
            {
                held.polled(end, end);
                batcher.cover(&at, epoch, end, Instant::now());
            }
        }
    }

    /// What was fetched ahead is thrown away, so what was seen of the ends says nothing any more.
    pub(super) fn forget_ends(&mut self) {
        self.ends.clear();
    }

    fn measure(&mut self, statistics: &Statistics, assignment: &Assignment) {
        let (mut lag, mut finished) = (0, 0);
        for held in assignment.iter() {
            let found = statistics.topics.get(&*held.at.topic).and_then(|t| t.partitions.get(&held.at.partition));
            let Some(next) = held.finished.or(held.start) else { continue };
            let Some(end) = found.map(|found| found.ls_offset).filter(|end| *end >= 0) else { continue };
            let behind = (end - next).max(0);
            lag += behind;
            finished += next;
            metrics::gauge!("millrace_consumer_lag_records", "system" => self.system, "topic" => held.at.topic.to_string(),
                "partition" => held.at.partition.to_string())
            .set(behind as f64);
        }
        if finished != self.finished || lag == 0 {
            self.finished = finished;
            self.progress = Instant::now();
            self.status.clear("progress");
        } else if self.progress.elapsed() > STUCK {
            let seconds = self.progress.elapsed().as_secs();
            self.status.raise("progress", format!("no record finished for {} min with a backlog", seconds / 60));
        }
    }

    pub(super) fn assigned(&mut self, assignment: &Assignment) {
        self.forget_ends();
        let partitions = assignment.iter().count();
        self.status.clear("assignment");
        if partitions > 0 {
            self.status.clear("topic");
        }
        self.progress = Instant::now();
        tracing::info!(system = self.system, partitions, "Partitions assigned");
    }

    pub(super) fn revoked(&mut self, assignment: &Assignment, gone: &[TopicPartition], lost: bool) {
        self.forget_ends();
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
    pub(super) fn trouble(&mut self, error: &KafkaError, context: &Context, topics: &[String]) {
        if self.oversize.hear(error, context.trouble().as_deref()) {
            return;
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                self.status.raise(
                    "topic",
                    format!(
                        "waiting for the topic {}: create it, or correct its name in the settings",
                        topics.join(", ")
                    ),
                );
            }
            _ => {
                let why = context.trouble().unwrap_or_else(|| error.to_string());
                self.status.raise("kafka", format!("{why}; check KAFKA_BOOTSTRAP_SERVERS, and that the brokers run"));
            }
        }
    }
}
