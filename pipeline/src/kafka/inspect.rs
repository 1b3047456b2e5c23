//! A look at brokers, topics and a group, for whoever wants to know what is wrong. It changes nothing.

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::ask::{consumer, metadata};
use super::offsets::{PartitionOffsets, standing};
use super::topics::{max_message_bytes, settings};
use crate::record::TopicPartition;

/// What the brokers say.
#[derive(Clone, Debug)]
pub struct Inspection {
    pub brokers: usize,
    /// Those asked for, in their order; `None` for one that does not exist.
    pub topics: Vec<Option<Topic>>,
}

/// A topic.
#[derive(Clone, Debug)]
pub struct Topic {
    pub name: String,
    pub partitions: usize,
    /// Copies of its least copied partition.
    pub copies: usize,
    /// The largest batch it takes, in bytes as it is compressed.
    pub max_message_bytes: Option<u64>,
    /// How long it keeps messages, in milliseconds; `-1` for ever.
    pub retention_ms: Option<i64>,
    pub compacted: bool,
}

/// Where a group stands in a partition.
#[derive(Clone, Debug)]
pub struct GroupPosition {
    pub at: TopicPartition,
    pub low: i64,
    pub high: i64,
    pub committed: Option<i64>,
}

impl GroupPosition {
    /// Records that the group has not committed and that are still there.
    pub fn lag(&self) -> i64 {
        self.high - self.committed.unwrap_or(self.low).max(self.low)
    }

    /// Records that were deleted before the group committed them.
    pub fn count_lost(&self) -> i64 {
        self.committed.map_or(0, |committed| (self.low - committed).max(0))
    }
}

/// The names of all topics; blocks the thread for some seconds at most.
///
/// # Errors
/// Why the brokers do not answer, in the client's words.
pub fn topic_names(client: &ClientConfig) -> Result<Vec<String>, String> {
    Ok(metadata(client)?.topics().iter().map(|topic| topic.name().to_owned()).collect())
}

/// Asks for the brokers and these topics; blocks the thread for some seconds at most.
///
/// # Errors
/// Why the brokers do not answer, in the client's words.
pub fn inspect(client: &ClientConfig, topics: &[String]) -> Result<Inspection, String> {
    let metadata = metadata(client)?;
    let found = |name: &String| {
        let topic = metadata.topics().iter().find(|topic| topic.name() == name)?;
        let copies = topic.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
        let entries = settings(client, name);
        let value = |name: &str| entries.iter().find(|entry| entry.name == name).and_then(|entry| entry.value.clone());
        Some(Topic {
            name: name.clone(),
            partitions: topic.partitions().len(),
            copies,
            max_message_bytes: max_message_bytes(&entries),
            retention_ms: value("retention.ms").and_then(|text| text.parse().ok()),
            compacted: value("cleanup.policy").is_some_and(|policy| policy.contains("compact")),
        })
    };
    Ok(Inspection { brokers: metadata.brokers().len(), topics: topics.iter().map(found).collect() })
}

/// Asks where a group stands in a topic; blocks the thread.
///
/// # Errors
/// Why the brokers do not tell, in the client's words.
pub fn standings(client: &ClientConfig, topic: &Topic, group: &str) -> Result<Vec<GroupPosition>, String> {
    let (consumer, trouble) = consumer(client, group)?;
    let ask = || {
        let count = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
        let partitions: Vec<TopicPartition> =
            (0..count).map(|id| TopicPartition::new(topic.name.as_str(), id)).collect();
        let found = standing(&consumer, &partitions)?;
        if found.len() < partitions.len() {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable));
        }
        let one = |(at, PartitionOffsets { committed, low, high })| GroupPosition { at, low, high, committed };
        Ok(found.into_iter().map(one).collect())
    };
    ask().map_err(|error: KafkaError| trouble.why(&error))
}
