//! Partitions of a topic as parts of a backfill: read outside of any consumer group, to the end that they have when it begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pipeline::TopicPartition;
use pipeline::kafka::{PartitionReader, ranges};
use rdkafka::ClientConfig;

use super::files::SourceError;
use super::parts::{Item, Items, PartError, Place, SourceIdentity, SourcePart};

/// A partition, with the ends that its log had.
pub struct PartitionPart {
    client: ClientConfig,
    name: String,
    at: TopicPartition,
    low: i64,
    high: i64,
}

impl PartitionPart {
    /// The partitions of a topic, or those that are named. Blocks the thread.
    ///
    /// # Errors
    /// Where there is no such topic or partition, or the brokers do not answer.
    pub fn of_topic(client: &ClientConfig, topic: &str, only: &[i32]) -> Result<Vec<Self>, SourceError> {
        let found = ranges(client, topic).map_err(|error| SourceError::Kafka(error.to_string()))?;
        if found.is_empty() {
            return Err(SourceError::NoTopic(topic.to_owned()));
        }
        if let Some(partition) = only.iter().find(|partition| !found.contains_key(partition)) {
            return Err(SourceError::NoPartition { topic: topic.to_owned(), partition: *partition });
        }
        let part = |(partition, (low, high)): (i32, (i64, i64))| Self {
            client: client.clone(),
            name: format!("kafka:{topic}/{partition}"),
            at: TopicPartition::new(topic, partition),
            low,
            high,
        };
        Ok(found.into_iter().filter(|(id, _)| only.is_empty() || only.contains(id)).map(part).collect())
    }
}

impl SourcePart for PartitionPart {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> &SourceIdentity {
        &SourceIdentity::Partition
    }

    fn at(&self) -> &TopicPartition {
        &self.at
    }

    fn size(&self) -> u64 {
        0
    }

    fn start(&self) -> Place {
        Place { next: self.low, byte: 0, key: None }
    }

    fn grew(&self, from: &Place) -> bool {
        from.next != self.high
    }

    fn open(&self, from: &Place, read: Arc<AtomicU64>) -> Result<Box<dyn Items + '_>, PartError> {
        let (low, high, next) = (self.low, self.high, from.next);
        // Retention has taken what was to come, or the topic was made anew.
        if next < low || next > high {
            return Err(PartError::Beyond { low, high, next });
        }
        let reader = PartitionReader::new(&self.client, self.at.clone(), next, high)?;
        Ok(Box::new(PartitionItems { reader, read }))
    }
}

struct PartitionItems {
    reader: PartitionReader,
    read: Arc<AtomicU64>,
}

impl Items for PartitionItems {
    fn next(&mut self) -> Result<Option<Item>, PartError> {
        let record = self.reader.next_record()?;
        let bytes = record.as_ref().map_or(0, |record| record.payload.as_ref().map_or(0, bytes::Bytes::len));
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(record.map(Item::Record))
    }

    fn place(&self) -> Place {
        Place { next: self.reader.next_offset(), byte: 0, key: None }
    }
}
