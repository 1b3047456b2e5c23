//! Owns the events of reviews: decoding a payload and judging it.
//! Guarantees: no payload makes it panic, and what it says of one holds no payload value.

mod decode;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::about::{Naming, names};
use crate::{TransactionKind, version_at};

pub use decode::decode;

/// A message that was understood.
#[derive(Debug)]
pub struct ReviewEvent<'a> {
    /// `data.id`: the review's id, 1 to 512 bytes.
    pub id: Cow<'a, str>,
    pub kind: TransactionKind,
    /// `data.updatedAt`, else the event's `timestamp`; microseconds since 1970, UTC.
    pub time_micros: i64,
    /// SHA-256 over id, event type and time.
    pub message_id: [u8; 32],
    /// The review as it is after the event; `None` when it was deleted.
    pub review: Option<Review>,
}

impl ReviewEvent<'_> {
    /// The document's version: microseconds times four plus the kind's rank. Equal versions are decided by log order.
    pub fn version(&self) -> i64 {
        version_at(self.time_micros) + self.kind.rank()
    }

    pub fn is_delete(&self) -> bool {
        self.kind == TransactionKind::Deleted
    }
}

/// A review of a creator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// 1 to 512 bytes.
    pub creator_id: String,
    pub user_id: Option<String>,
    /// 1 to 5.
    pub stars: u8,
    pub title: Option<String>,
    pub content: Option<String>,
    /// As sent.
    pub created_at: Option<String>,
    /// As sent.
    pub updated_at: Option<String>,
}

/// Whether a payload names this id in `data.id`. What follows may be broken.
pub fn is_about(payload: &[u8], id: &str) -> bool {
    names(payload, id, Naming { object: "data", outer: None })
}
