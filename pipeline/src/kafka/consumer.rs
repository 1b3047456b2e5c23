//! What the consumer is given: its options, and the configuration that the rules ask for.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset};
use thiserror::Error;

use super::rate_limiter::RateLimiter;
use crate::engine::batcher::BatchLimits;
use crate::engine::delivery::Delivery;
use crate::record::TopicPartition;

/// What a Kafka feed reads and how.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// The system, for metrics and logs.
    pub system: &'static str,
    pub topics: Vec<String>,
    pub group: String,
    /// Where losses are written down.
    pub state_topic: String,
    pub session_timeout: Duration,
    pub heartbeat_interval: Duration,
    pub limits: BatchLimits,
    /// Bytes that the client may fetch ahead.
    pub prefetch_bytes: usize,
    /// After this long a partition that is not fetched while others are is assigned anew; `None`: never.
    pub stuck: Option<Duration>,
    /// Stop when the group has committed what was in the log at the start.
    pub once: bool,
    /// What chooses the size of batches instead of `limits`; `None`: it stays.
    pub delivery: Option<Arc<Delivery>>,
    /// What holds batches back; `None`: nothing does.
    pub rate: Option<Arc<RateLimiter>>,
}

impl FeedOptions {
    /// When a batch is cut.
    pub(super) fn batch_limits(&self) -> BatchLimits {
        self.rate.as_ref().map_or(self.limits, |rate| rate.fit(self.limits))
    }

    /// Records in a batch, where so many were chosen.
    pub(super) fn fit_records(&self, records: usize) -> usize {
        let limits = BatchLimits { records, ..self.limits };
        self.rate.as_ref().map_or(limits, |rate| rate.fit(limits)).records
    }

    /// How long the engine may take to finish what is being revoked.
    pub(super) fn grace(&self) -> Duration {
        grace(self.session_timeout)
    }

    /// How long the broker may take to answer a commit; with the grace before it, shorter than a session.
    pub(super) fn answer_limit(&self) -> Duration {
        answer_limit(self.session_timeout)
    }

    /// How long a stop may take.
    pub(super) fn stop_limit(&self) -> Duration {
        stop_limit(self.session_timeout)
    }
}

fn grace(session_timeout: Duration) -> Duration {
    (session_timeout / 2).min(Duration::from_secs(10))
}

fn answer_limit(session_timeout: Duration) -> Duration {
    (session_timeout / 3).min(Duration::from_secs(5))
}

/// How long a feed with this session timeout takes to stop at most: its drain, and two answers of the broker.
pub fn stop_limit(session_timeout: Duration) -> Duration {
    grace(session_timeout) + 2 * answer_limit(session_timeout)
}

/// Why the feed cannot go on. Nothing unfinished was committed.
#[derive(Debug, Error)]
pub enum FeedError {
    #[error("the Kafka consumer does not accept its configuration: {0}")]
    Configuration(KafkaError),
    #[error("the Kafka consumer failed for good: {0}")]
    Fatal(KafkaError),
    #[error(
        "nothing of {0} is fetched for {limit} s though its log goes on, nor after it was assigned anew; started again, the process reads on",
        limit = .1.as_secs()
    )]
    Stuck(TopicPartition, Duration),
    #[error("the engine stopped")]
    EngineStopped,
}

/// Defaults that a user's properties may change.
const CHANGEABLE: [(&str, &str); 2] = [
    // New partitions and a missing topic are noticed soon.
    ("topic.metadata.refresh.interval.ms", "10000"),
    // A partition whose prefetch was full is fetched again after this time. The client's default is 1,000, and a batch is
    // written sooner than that, so the engine would wait for records.
    ("fetch.queue.backoff.ms", "10"),
];

/// What the rules against losing data ask of the consumer; a user's properties come before and cannot change it.
pub(super) fn consumer_config(client: &ClientConfig, options: &FeedOptions) -> ClientConfig {
    // Cloned, and not copied property by property: `config_map` has a placeholder where the password is.
    let mut config = client.clone();
    for (property, default) in CHANGEABLE {
        if config.get(property).is_none() {
            config.set(property, default);
        }
    }
    config
        .set("group.id", &options.group)
        .set("session.timeout.ms", options.session_timeout.as_millis().to_string())
        .set("heartbeat.interval.ms", options.heartbeat_interval.as_millis().to_string())
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "true")
        // Soon: little is read again after a crash, and others see how far the group is.
        .set("auto.commit.interval.ms", "250")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("statistics.interval.ms", "1000")
        .set("queued.max.messages.kbytes", (options.prefetch_bytes / 1024).clamp(1_024, 2_097_151).to_string())
        // The client looks at its queue before it asks for more, and what it asks for is counted as compressed. So an answer is
        // bounded as if it grew eightfold; a single larger batch comes all the same.
        .set("fetch.max.bytes", (options.prefetch_bytes / 8).clamp(1_048_576, 52_428_800).to_string())
        // A message costs some hundred bytes besides its own, which the limit above does not count.
        .set("queued.min.messages", (options.prefetch_bytes / 1024).clamp(1_000, 100_000).to_string());
    config
}

/// The offset, where the list has one.
pub(super) fn offset_number(offset: Offset) -> Option<i64> {
    match offset {
        Offset::Offset(next) => Some(next),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_consumer_keeps_the_password_and_what_users_may_change() {
        let options = FeedOptions {
            system: "s",
            topics: Vec::new(),
            group: "g".to_owned(),
            state_topic: "millrace.state".to_owned(),
            session_timeout: Duration::from_secs(6),
            heartbeat_interval: Duration::from_secs(1),
            limits: BatchLimits { records: 1, bytes: 1, age: Duration::ZERO },
            prefetch_bytes: 1,
            stuck: None,
            once: false,
            delivery: None,
            rate: None,
        };
        let mut client = ClientConfig::new();
        client.set("sasl.password", "hunter2");
        assert_eq!(consumer_config(&client, &options).get("topic.metadata.refresh.interval.ms"), Some("10000"));
        assert_eq!(consumer_config(&client, &options).get("fetch.queue.backoff.ms"), Some("10"));
        client.set("topic.metadata.refresh.interval.ms", "5000").set("fetch.queue.backoff.ms", "7");
        let config = consumer_config(&client, &options);
        assert_eq!(config.get("sasl.password"), Some("hunter2"));
        assert_eq!(config.get("topic.metadata.refresh.interval.ms"), Some("5000"));
        assert_eq!(config.get("fetch.queue.backoff.ms"), Some("7"));
        assert_eq!(config.get("enable.auto.offset.store"), Some("false"));
        // librdkafka takes it: an answer is at least as large as `message.max.bytes`, and the receive limit larger.
        config.create_native_config().unwrap();
        assert_eq!(config.get("fetch.max.bytes"), Some("1048576"));
        let config = consumer_config(&client, &FeedOptions { prefetch_bytes: 64 << 20, ..options });
        assert_eq!(config.get("fetch.max.bytes"), Some("8388608"));
    }
}
