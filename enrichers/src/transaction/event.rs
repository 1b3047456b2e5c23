//! Owns what a decoded message is: its kind, identity, time and version.

use std::borrow::Cow;

use crate::identity::version_at;
use crate::{Fields, Timestamp};
use wire::json::Changes;

/// What happened to the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionKind {
    Created,
    Updated,
    Deleted,
}

impl TransactionKind {
    /// What happened, in a word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }

    /// Reads an event type as it stands on the topic; `None` for one that is not known.
    pub fn parse(event_type: &str) -> Option<Self> {
        match event_type {
            "transaction.created" => Some(Self::Created),
            "transaction.updated" => Some(Self::Updated),
            "transaction.deleted" => Some(Self::Deleted),
            _ => None,
        }
    }

    /// The event type as it stands on the topic.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Created => "transaction.created",
            Self::Updated => "transaction.updated",
            Self::Deleted => "transaction.deleted",
        }
    }

    /// Orders events with one timestamp: a delete after an update after a create.
    pub fn rank(self) -> i64 {
        match self {
            Self::Created => 0,
            Self::Updated => 1,
            Self::Deleted => 2,
        }
    }
}

/// A message that was understood; borrows from the payload it was decoded from.
#[derive(Debug)]
pub struct TransactionEvent<'a> {
    pub kind: TransactionKind,
    /// The transaction's id, 1 to 512 bytes.
    pub id: Cow<'a, str>,
    pub timestamp: Timestamp,
    /// The timestamp as received: a string's content, a number's digits.
    pub timestamp_received: Cow<'a, str>,
    /// SHA-256 over id, event type and timestamp as received.
    pub message_id: [u8; 32],
    /// Who sent it, when the envelope says so in a string.
    pub source: Option<Cow<'a, str>>,
    /// The transaction's fields in the producer's order, without the dropped ones; may be empty for a delete.
    pub transaction: Fields<'a>,
    /// How many of the transaction's fields were left out because their names are reserved.
    pub dropped_fields: usize,
    /// What has to be changed of values that are spliced.
    pub(crate) changes: Changes,
}

impl TransactionEvent<'_> {
    /// The event's time in microseconds since 1970, UTC.
    pub fn timestamp_micros(&self) -> i64 {
        self.timestamp.micros()
    }

    /// The document's version: microseconds times four plus the kind's rank. Equal versions are decided by log order.
    pub fn version(&self) -> i64 {
        version_at(self.timestamp.micros()) + self.kind.rank()
    }

    pub fn is_delete(&self) -> bool {
        self.kind == TransactionKind::Deleted
    }
}
