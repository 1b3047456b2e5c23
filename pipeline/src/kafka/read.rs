//! Reads a topic outside of any consumer group: from its start to its present end, or to where somebody saw its end.

use std::collections::BTreeMap;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::context::FeedContext;
use super::fetched_message::record_of;
use super::offsets::{Edge, edges};
use super::topics::fit_largest_message;
use super::{NO_SESSION, REQUEST};
use crate::record::{Record, TopicPartition};

/// From which offset to which, by partition; the second is not read any more.
pub type Ranges = BTreeMap<i32, (i64, i64)>;

pub(super) fn reader(mut config: ClientConfig) -> Result<BaseConsumer<FeedContext>, KafkaError> {
    // The client asks for a name, but with assigned partitions and no commits there is no group.
    config
        .set("group.id", "millrace-reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", NO_SESSION)
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false");
    config.create_with_context(FeedContext::default())
}

/// Where a topic begins and ends now; nothing for one that does not exist. Blocks the thread.
///
/// # Errors
/// When the brokers cannot be reached.
pub fn ranges(client: &ClientConfig, topic: &str) -> Result<Ranges, KafkaError> {
    let consumer = reader(client.clone())?;
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    let partitions = found.map(|found| found.partitions()).unwrap_or_default();
    let partitions: Vec<TopicPartition> =
        partitions.iter().map(|partition| TopicPartition::new(topic, partition.id())).collect();
    let lows = edges(&consumer, &partitions, Edge::Start)?;
    let highs = edges(&consumer, &partitions, Edge::End)?;
    let range = |at: &TopicPartition| Some((at.partition, (*lows.get(at)?, *highs.get(at)?)));
    let untold = || KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable);
    partitions.iter().map(|at| range(at).ok_or_else(untold)).collect()
}

/// Reads every record of a topic, partition by partition in offset order but partitions mixed; blocks the thread.
/// Returns how many there were; 0 for a topic that does not exist.
///
/// # Errors
/// When the brokers cannot be reached, or fail for good.
pub fn read_topic(client: &ClientConfig, topic: &str, each: impl FnMut(Record)) -> Result<u64, KafkaError> {
    read_ranges(client, topic, &ranges(client, topic)?, each)
}

/// As [`read_topic`], for a part of it.
///
/// # Errors
/// As [`read_topic`].
pub fn read_ranges(
    client: &ClientConfig,
    topic: &str,
    ranges: &Ranges,
    mut each: impl FnMut(Record),
) -> Result<u64, KafkaError> {
    let mut open: BTreeMap<i32, i64> =
        ranges.iter().filter(|(_, (from, to))| from < to).map(|(id, (_, to))| (*id, *to)).collect();
    let mut list = TopicPartitionList::new();
    for (partition, (from, _)) in ranges.iter().filter(|(id, _)| open.contains_key(id)) {
        list.add_partition_offset(topic, *partition, Offset::Offset(*from))?;
    }
    let consumer = reader(fit_largest_message(client, &[topic.to_owned()]))?;
    consumer.assign(&list)?;
    let mut records = 0;
    while !open.is_empty() {
        match consumer.poll(REQUEST) {
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                let Some(&to) = open.get(&partition) else { continue };
                if offset < to {
                    records += 1;
                    each(record_of(&message, TopicPartition::new(topic, partition)));
                }
                if offset + 1 >= to {
                    open.remove(&partition);
                }
            }
            // Offsets without records lie at the end.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => return Err(error),
            None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
        }
    }
    Ok(records)
}

/// Reads one partition record by record, outside of any group, up to an end.
pub struct PartitionReader {
    consumer: BaseConsumer<FeedContext>,
    at: TopicPartition,
    next: i64,
    end: i64,
}

impl PartitionReader {
    /// From one offset up to, not including, another.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn new(client: &ClientConfig, at: TopicPartition, from: i64, end: i64) -> Result<Self, KafkaError> {
        let consumer = reader(fit_largest_message(client, &[at.topic.to_string()]))?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&at.topic, at.partition, Offset::Offset(from))?;
        consumer.assign(&list)?;
        Ok(Self { consumer, at, next: from, end })
    }

    /// Everything below is read.
    pub fn next_offset(&self) -> i64 {
        self.next
    }

    /// The next record; none at the end. Blocks the thread.
    ///
    /// # Errors
    /// When the brokers do not answer, or fail for good.
    pub fn next_record(&mut self) -> Result<Option<Record>, KafkaError> {
        while self.next < self.end {
            match self.consumer.poll(REQUEST) {
                Some(Ok(message)) if message.offset() < self.end => {
                    self.next = message.offset() + 1;
                    return Ok(Some(record_of(&message, self.at.clone())));
                }
                // Offsets without records lie at the end.
                Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => self.next = self.end,
                Some(Err(error)) => return Err(error),
                None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
            }
        }
        Ok(None)
    }
}
