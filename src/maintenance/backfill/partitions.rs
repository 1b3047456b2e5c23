//! Partitions of a topic as parts of a backfill: read outside of any consumer group, to the end that they have when it begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pipeline::TopicPartition;
use pipeline::kafka::{PartitionReader, ranges};
use rdkafka::ClientConfig;

use super::parts::{Item, Items, PartError, Place, SourceIdentity, SourcePart};
use super::source_error::SourceError;

/// Offsets: from the first, and before the second. The same of each partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffsetRange {
    pub from: Option<i64>,
    pub to: Option<i64>,
}

impl OffsetRange {
    /// Whether neither is given.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// The part of a log from `low` to `high`; none where its beginning is gone.
    fn within(self, low: i64, high: i64) -> Option<(i64, i64)> {
        let from = self.from.unwrap_or(low);
        let begin = from.min(high);
        (from >= low).then(|| (begin, self.to.unwrap_or(high).clamp(begin, high)))
    }
}

/// A partition, with the ends that its log had.
pub struct PartitionPart {
    client: ClientConfig,
    name: String,
    at: TopicPartition,
    low: i64,
    high: i64,
}

impl PartitionPart {
    /// The partitions of a topic, or those that are named, each between these offsets. Blocks the thread.
    ///
    /// # Errors
    /// Where there is no such topic or partition, retention has taken what is asked for, or the brokers do not answer.
    pub fn of_topic(
        client: &ClientConfig,
        topic: &str,
        only: &[i32],
        range: OffsetRange,
    ) -> Result<Vec<Self>, SourceError> {
        let found = ranges(client, topic).map_err(|error| SourceError::Kafka(error.to_string()))?;
        if found.is_empty() {
            return Err(SourceError::NoTopic(topic.to_owned()));
        }
        if let Some(partition) = only.iter().find(|partition| !found.contains_key(partition)) {
            return Err(SourceError::NoPartition { topic: topic.to_owned(), partition: *partition });
        }
        let part = |(partition, (low, high)): (i32, (i64, i64))| {
            let gone = || SourceError::Gone { topic: topic.to_owned(), partition, low };
            let (low, high) = range.within(low, high).ok_or_else(gone)?;
            let (name, at) = (format!("kafka:{topic}/{partition}"), TopicPartition::new(topic, partition));
            Ok(Self { client: client.clone(), name, at, low, high })
        };
        found.into_iter().filter(|(id, _)| only.is_empty() || only.contains(id)).map(part).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_log_and_never_begins_before_it() {
        let within = |from, to| OffsetRange { from, to }.within(10, 20);
        assert_eq!(within(None, None), Some((10, 20)));
        assert_eq!(within(Some(10), Some(11)), Some((10, 11)));
        assert_eq!(within(Some(15), Some(99)), Some((15, 20)));
        assert_eq!(within(Some(30), None), Some((20, 20)));
        assert_eq!(within(None, Some(5)), Some((10, 10)));
        assert_eq!(within(Some(15), Some(12)), Some((15, 15)));
        assert_eq!(within(Some(9), None), None);
    }
}
