//! What a backfill reads, part by part: a file, or a partition. Each part gives records in its own order, and tells the place up
//! to which it was read, from which it can be read on.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use pipeline::sink::Reject;
use pipeline::{Record, TopicPartition};
use rdkafka::error::KafkaError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::stores::reader::EventKey;

/// Up to where a part was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The number of the next line, or the next offset.
    pub next: i64,
    /// Where that line begins, after decompression.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub byte: u64,
    /// The key of the last event that was read of a history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<EventKey>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(byte: &u64) -> bool {
    *byte == 0
}

/// What makes a part the one that it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceIdentity {
    File {
        size: u64,
        /// Nanoseconds since 1970.
        modified: i128,
        /// SHA-256 of the first and the last mebibyte.
        digest: String,
    },
    Object {
        size: u64,
        /// Changes whenever it is written anew.
        e_tag: Option<String>,
        /// Milliseconds since 1970.
        modified: i64,
    },
    /// It can be read once alone.
    Stream,
    /// A partition of a topic, to wherever it ends at the time.
    Partition,
    /// The history of an audit.
    History { store: String },
}

/// What a part gives.
#[derive(Debug)]
pub enum Item {
    Record(Record),
    /// Something at this place that no record can be made of.
    Reject(i64, Reject),
    /// Nothing, such as an empty line.
    Nothing(i64),
}

/// Why a part was not read to its end. What came before is written.
#[derive(Debug, Error)]
pub enum PartError {
    #[error("it cannot be read after line {line}: {source}")]
    Read { line: u64, source: std::io::Error },
    #[error("it ends in the middle of a {what}, in or after line {line}: whatever is whole before that is read")]
    Cut { what: &'static str, line: u64 },
    #[error("the {what} is damaged in or after line {line}: {source}")]
    Damaged { what: &'static str, line: u64, source: std::io::Error },
    #[error("{0}")]
    Format(String),
    #[error("it cannot be read on: {0}")]
    Store(String),
    #[error("Kafka gives no more of it: {0}")]
    Kafka(#[from] KafkaError),
    #[error(
        "its log holds the offsets from {low} to {high}, and {next} is the next one to read: begin anew with --restart"
    )]
    Beyond { low: i64, high: i64, next: i64 },
    #[error("it has changed while it was read: begin anew with --restart when nobody writes to it any more")]
    Changed,
}

/// A part that is being read.
pub trait Items {
    /// The next of it; none at its end.
    ///
    /// # Errors
    /// Why it cannot be read on.
    fn next(&mut self) -> Result<Option<Item>, PartError>;

    /// Up to where it was read.
    fn place(&self) -> Place;
}

/// A part.
pub trait SourcePart: Send + Sync {
    /// Names it in the checkpoint, wherever it is asked for from.
    fn name(&self) -> &str;

    fn identity(&self) -> &SourceIdentity;

    /// What its records stand in.
    fn at(&self) -> &TopicPartition;

    /// Its size in the unit of its progress; 0 where it is not known.
    fn size(&self) -> u64;

    /// Where its records begin.
    fn start(&self) -> Place;

    /// Whether something of it is behind a place that was its end once.
    fn grew(&self, _from: &Place) -> bool {
        false
    }

    /// Reads on from a place; counts how much of its size was read.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn open(&self, from: &Place, read: Arc<AtomicU64>) -> Result<Box<dyn Items + '_>, PartError>;
}
