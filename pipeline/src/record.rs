//! A record: the bytes of one Kafka message with the coordinates it came from.
//!
//! Payloads are held by reference count, so a batch, a retry and a dead letter share one copy.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl TopicPartition {
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// One assignment of one partition to this process. Every assignment of every partition gets a number of its own,
/// so what was begun under an older assignment can be told apart and left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// A header of a record; Kafka allows a header without a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: Option<Bytes>,
}

/// One message of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub at: TopicPartition,
    pub offset: i64,
    /// Kafka's own timestamp, in milliseconds since 1970, where the message has one.
    pub timestamp_ms: Option<i64>,
    pub key: Option<Bytes>,
    pub payload: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// 2001-01-01T00:00:00Z. An earlier time of a record is none: it is 0, or in seconds.
const FIRST_TIME_MS: i64 = 978_307_200_000;

impl Record {
    /// Kafka's own timestamp, in milliseconds since 1970, where it can be a time.
    pub fn time_ms(&self) -> Option<i64> {
        self.timestamp_ms.filter(|ms| *ms >= FIRST_TIME_MS)
    }

    /// Bytes that this record holds in memory: key, payload and header values, and a flat cost for the rest.
    pub fn bytes(&self) -> usize {
        const FLAT: usize = 160;
        let headers: usize = self
            .headers
            .iter()
            .map(|header| header.name.len() + header.value.as_ref().map_or(0, Bytes::len) + 48)
            .sum();
        FLAT + self.key.as_ref().map_or(0, Bytes::len) + self.payload.as_ref().map_or(0, Bytes::len) + headers
    }
}
