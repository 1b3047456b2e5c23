//! What librdkafka tells outside of messages: kept for the poll thread, which acts on it in straight-line code.
//!
//! The callbacks only note; they run inside `poll`, where committing or assigning would re-enter the client.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Statistics, TopicPartitionList};

/// A change of the assignment that the poll thread has to act on.
#[derive(Debug)]
pub(super) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

#[derive(Debug, Default)]
struct Notes {
    rebalances: Vec<Rebalance>,
    statistics: Option<Statistics>,
    /// What the client said last of its connections.
    trouble: Option<String>,
    /// How the last commit ended.
    commit: Option<KafkaResult<()>>,
}

/// Notes of the callbacks.
#[derive(Debug, Default)]
pub(super) struct FeedContext {
    notes: Mutex<Notes>,
    /// Counts everything that `poll` served besides messages.
    served: AtomicU64,
}

impl FeedContext {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.served.fetch_add(1, Ordering::Relaxed);
        self.notes.lock()
    }

    pub(super) fn count_served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    pub(super) fn take_rebalances(&self) -> Vec<Rebalance> {
        std::mem::take(&mut self.notes().rebalances)
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.notes.lock().trouble.clone()
    }

    pub(super) fn take_commit(&self) -> Option<KafkaResult<()>> {
        self.notes().commit.take()
    }

    pub(super) fn take_statistics(&self) -> Option<Statistics> {
        self.notes().statistics.take()
    }
}

/// What the client says of a connection; `None` where it says nothing that helps: that all brokers are down says less than
/// why the last one is, and the end of a partition passes by here on its way to `poll`.
pub(super) fn trouble(error: &KafkaError, reason: &str) -> Option<String> {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::PartitionEOF) => None,
        // How often and in which state says nothing to a person.
        _ => Some(reason.split(" (after ").next().unwrap_or(reason).to_owned()),
    }
}

impl ClientContext for FeedContext {
    fn stats(&self, statistics: Statistics) {
        self.notes().statistics = Some(statistics);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.served.fetch_add(1, Ordering::Relaxed);
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::error!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(trouble) = trouble(&error, reason) {
            self.notes().trouble = Some(trouble);
        } else {
            self.served.fetch_add(1, Ordering::Relaxed);
        }
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            // Whoever polls the client raises a reason, and librdkafka has a line of its own for it.
            tracing::debug!(target: "librdkafka", %error, reason, "Kafka client error");
        }
    }
}

impl ConsumerContext for FeedContext {
    fn rebalance(&self, _: &BaseConsumer<Self>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let rebalance = match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assign(partitions.clone()),
            // Whatever else is told of an assignment, the answer that is always safe is to give it up.
            _ => Rebalance::Revoke(partitions.clone()),
        };
        self.notes().rebalances.push(rebalance);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = &result {
            metrics::counter!("millrace_commit_errors_total").increment(1);
            tracing::warn!(%error, "Offsets could not be committed; they are committed again with the next ones");
        }
        self.notes().commit = Some(result);
    }
}
