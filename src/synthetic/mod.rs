//! Synthetic events: what the publisher sends and what tests compare the stores with; here those of transactions, in
//! [`users`] and [`reviews`] those of the systems called so, in [`operations`] those of `database`, in
//! [`events`] those of `reactions`.
//!
//! Pure: the same [`GeneratorOptions`] give the same events, byte for byte. Memory is bounded whatever the count: a subject is
//! derived from seed and number, and only a window of recent ones is kept to pick updates and deletes from.

mod catalogue;
mod duplicates;
pub mod events;
mod message;
pub mod operations;
mod plan;
pub mod reviews;
#[cfg(test)]
mod tests;
mod transaction;
mod transactions;
pub mod users;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::Uuid;

use duplicates::Duplicated;
use message::newest;
pub use message::{Message, SyntheticRecord};
use transactions::TransactionTemplate;

/// The `source` of every message.
pub const SOURCE: &str = "synthetic_data_generator";

/// An option that cannot be, by its name on the command line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct OptionsError(String);

/// What to generate.
#[derive(Clone, Debug)]
pub struct GeneratorOptions {
    /// Transactions, users with their memberships and sessions, or reviews to create.
    pub count: u64,
    /// The user of all transactions, unless `users` is given.
    pub user_id: String,
    /// This many users instead, `user_000001` and so on; of reviews: this many creators, 100 without.
    pub users: Option<u32>,
    /// Updates on top, as a share of the creates.
    pub update_ratio: f64,
    /// Deletes on top, as a share of the creates.
    pub delete_ratio: f64,
    /// Updates on top that are older than what was sent before, as a share of the creates.
    pub late_ratio: f64,
    /// Messages that cannot be indexed on top, as a share of the creates.
    pub malformed_ratio: f64,
    /// Messages without a payload on top, as a share of the creates.
    pub null_ratio: f64,
    /// The share of all messages that is sent a second time.
    pub duplicate_ratio: f64,
    pub seed: u64,
    /// No event is later than this.
    pub until: DateTime<Utc>,
}

impl GeneratorOptions {
    /// The publisher's defaults, with a seed and an end.
    pub fn new(seed: u64, until: DateTime<Utc>) -> Self {
        Self {
            count: 1000,
            user_id: "test_user_123".to_owned(),
            users: None,
            update_ratio: 0.1,
            delete_ratio: 0.0,
            late_ratio: 0.0,
            malformed_ratio: 0.0,
            null_ratio: 0.0,
            duplicate_ratio: 0.0,
            seed,
            until,
        }
    }

    /// How many messages of each kind there will be.
    ///
    /// # Errors
    /// A ratio or a number that cannot be, by its name on the command line.
    pub fn counts(&self) -> Result<Counts, OptionsError> {
        if self.count > 10_000_000_000 {
            return Err(OptionsError("--count is at most 10000000000".to_owned()));
        }
        if self.users == Some(0) {
            return Err(OptionsError("--users is at least 1".to_owned()));
        }
        if self.users.is_none() && self.user_id.is_empty() {
            return Err(OptionsError("--user-id must not be empty".to_owned()));
        }
        let mut counts = Counts {
            creates: self.count,
            updates: share(self.count, self.update_ratio, 100.0, "--update-ratio")?,
            deletes: share(self.count, self.delete_ratio, 1.0, "--delete-ratio")?,
            late: share(self.count, self.late_ratio, 1.0, "--late-ratio")?,
            malformed: share(self.count, self.malformed_ratio, 1.0, "--malformed-ratio")?,
            nulls: share(self.count, self.null_ratio, 1.0, "--null-ratio")?,
            duplicates: 0,
        };
        counts.duplicates = share(counts.distinct(), self.duplicate_ratio, 1.0, "--duplicate-ratio")?;
        Ok(counts)
    }

    /// The events, in the order in which they are to be sent.
    ///
    /// # Errors
    /// As [`GeneratorOptions::counts`].
    pub fn events(&self) -> Result<SyntheticEvents, OptionsError> {
        let counts = self.counts()?;
        Ok(SyntheticEvents(Duplicated::new(TransactionTemplate::new(self), self, counts)))
    }

    /// What the stores must hold when everything has been indexed, by document id; deleted ones are marked.
    ///
    /// # Errors
    /// As [`GeneratorOptions::counts`].
    pub fn expect_documents(&self) -> Result<HashMap<String, ExpectedDocument>, OptionsError> {
        let documents = self.events()?.filter_map(|event| Some((event.id.to_string(), event.document()?)));
        Ok(newest(documents, |document| document.version))
    }
}

fn share(whole: u64, ratio: f64, most: f64, name: &str) -> Result<u64, OptionsError> {
    if !(0.0..=most).contains(&ratio) {
        return Err(OptionsError(format!("{name} is a number from 0 to {most}")));
    }
    // Both are far below the numbers that a float holds exactly.
    Ok((whole as f64 * ratio).round() as u64)
}

/// Messages by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub creates: u64,
    pub updates: u64,
    pub deletes: u64,
    pub late: u64,
    pub malformed: u64,
    pub nulls: u64,
    pub duplicates: u64,
}

impl Counts {
    /// Messages without their repetitions.
    pub fn distinct(&self) -> u64 {
        self.creates + self.updates + self.deletes + self.late + self.malformed + self.nulls
    }

    /// All messages.
    pub fn records(&self) -> u64 {
        self.distinct() + self.duplicates
    }

    /// Living documents in the end.
    pub fn documents(&self) -> u64 {
        self.creates - self.deletes
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntheticKind {
    Created,
    Updated,
    Deleted,
    /// An update that is older than what was sent of its subject before.
    Late,
    /// To be dead-lettered.
    Malformed,
    /// Without a payload, to be ignored.
    Null,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntheticEvent {
    pub kind: SyntheticKind,
    /// The transaction; nil for malformed and null messages.
    pub id: Uuid,
    /// The key of the record: the user.
    pub key: String,
    pub payload: Option<String>,
    /// The event's time, in microseconds since 1970.
    pub micros: i64,
    /// The transaction's status; empty where there is none.
    pub status: &'static str,
    /// The amount, digit for digit; empty where there is none.
    pub amount: String,
    /// The same message was sent before.
    pub duplicate: bool,
}

impl SyntheticEvent {
    fn document(&self) -> Option<ExpectedDocument> {
        let rank = match self.kind {
            SyntheticKind::Created => 0,
            SyntheticKind::Updated | SyntheticKind::Late => 1,
            SyntheticKind::Deleted => 2,
            SyntheticKind::Malformed | SyntheticKind::Null => return None,
        };
        Some(ExpectedDocument {
            version: self.micros * 4 + rank,
            micros: self.micros,
            deleted: self.kind == SyntheticKind::Deleted,
            status: self.status,
            amount: self.amount.clone(),
            payload_digest: Sha256::digest(self.payload.as_deref().unwrap_or_default()).into(),
        })
    }
}

impl From<SyntheticEvent> for SyntheticRecord {
    fn from(event: SyntheticEvent) -> Self {
        Self { event: None, key: event.key, payload: event.payload }
    }
}

/// The final state of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedDocument {
    /// Of the last event: its time in microseconds, times four, plus the rank of its type.
    pub version: i64,
    pub micros: i64,
    pub deleted: bool,
    pub status: &'static str,
    pub amount: String,
    /// SHA-256 of the last event's payload.
    pub payload_digest: [u8; 32],
}

/// The events, one by one.
#[derive(Debug)]
pub struct SyntheticEvents(Duplicated<TransactionTemplate>);

impl Iterator for SyntheticEvents {
    type Item = SyntheticEvent;

    fn next(&mut self) -> Option<SyntheticEvent> {
        self.0.next()
    }
}
