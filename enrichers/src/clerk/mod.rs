//! Owns Clerk's webhook events: which of them are read, what is taken out of them, and how they are ordered.
//! Guarantees: no payload makes it panic, and nothing outranks a deletion.
//!
//! Shapes: Clerk's OpenAPI description of its webhooks, see `fixtures/clerk/SOURCES.md`.

mod decode;
#[cfg(test)]
mod tests;
mod unindexed;

use std::borrow::Cow;

use crate::about::{Naming, names};

pub use crate::identity::version_at;
pub use decode::decode;
pub use unindexed::{Unstorable, storable};

/// Added to a deletion's version, above that of any event before the year 10000.
const FINAL: i64 = 1 << 60;

/// What became of a payload that is no poison.
#[derive(Debug)]
pub enum ClerkRecord<'a> {
    Event(Box<ClerkEvent<'a>>),
    /// Of a type that is not read here.
    Ignored,
}

/// A message that was understood.
#[derive(Debug)]
pub struct ClerkEvent<'a> {
    /// `data.id`: of the user, the membership or the session; 1 to 512 bytes.
    pub id: Cow<'a, str>,
    pub kind: ClerkKind,
    /// `data.updated_at`, else the webhook's `timestamp`, else the record's; microseconds since 1970, UTC.
    pub time_micros: i64,
    /// SHA-256 over id, event type and time.
    pub message_id: [u8; 32],
    pub subject: Subject,
    /// The whole event as it came, with U+FFFD for lone surrogates: one JSON object.
    pub payload: Cow<'a, str>,
}

impl ClerkEvent<'_> {
    /// The document's version: microseconds times four plus the kind's rank. A deletion's is above all others: it is
    /// final, whatever comes later. Equal versions are decided by log order.
    pub fn version(&self) -> i64 {
        let last = if self.is_delete() { FINAL } else { 0 };
        version_at(self.time_micros) + self.kind.rank() + last
    }

    /// Whether the subject is gone; a session never is.
    pub fn is_delete(&self) -> bool {
        self.kind == ClerkKind::Deleted
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClerkKind {
    Created,
    Updated,
    Deleted,
    Ended,
    Removed,
    Revoked,
}

impl ClerkKind {
    /// As the event type ends.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Ended => "ended",
            Self::Removed => "removed",
            Self::Revoked => "revoked",
        }
    }

    /// Orders events of one time.
    fn rank(self) -> i64 {
        match self {
            Self::Created => 0,
            Self::Updated | Self::Ended | Self::Removed | Self::Revoked => 1,
            Self::Deleted => 2,
        }
    }
}

/// Whom or what an event is about, as it is after the event; `None` when it was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    User(Option<User>),
    Membership(Option<OrganizationMembership>),
    Session(Session),
}

/// A user; times are milliseconds since 1970, UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The address that `primary_email_address_id` names; a user may have none.
    pub email: Option<String>,
    /// Whether that address is verified.
    pub email_verified: bool,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub username: Option<String>,
    pub image_url: Option<String>,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
}

/// A user's membership of an organization; times are milliseconds since 1970, UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrganizationMembership {
    pub user_id: String,
    pub organization_id: String,
    pub organization_name: Option<String>,
    pub organization_slug: Option<String>,
    pub role: Option<String>,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
}

/// A session of a user on one client; times are milliseconds since 1970, UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    pub user_id: String,
    pub client_id: Option<String>,
    pub status: Option<String>,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
    pub last_active_at: Option<i64>,
    pub expire_at: Option<i64>,
    pub abandon_at: Option<i64>,
}

/// The time of the events that have this version, deletions as well, in microseconds since 1970, UTC.
pub fn micros_of(version: i64) -> i64 {
    crate::identity::micros_of(if version >= FINAL { version - FINAL } else { version })
}

/// The version of what was erased at this one: that of a deletion of the same time, which is final. Nothing up to it, and no
/// event that is no deletion, comes over it.
pub fn erasure_version(version: i64) -> i64 {
    FINAL + version_at(micros_of(version)) + ClerkKind::Deleted.rank()
}

/// Whether a payload names this id in `data.id`. What follows may be broken.
pub fn is_about(payload: &[u8], id: &str) -> bool {
    names(payload, id, Naming { object: "data", outer: None })
}
