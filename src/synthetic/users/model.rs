//! What a document must say in the end; reckoned without the program's own decoder.

use super::super::SyntheticKind;

/// Above the version of whatever is no deletion.
const FINAL: i64 = 1 << 60;

/// The final state of one document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedPerson {
    /// Of the last event: its time in microseconds, times four, plus the rank of its type; a deletion is last.
    pub version: i64,
    pub deleted: bool,
    /// `users`, `organizationMemberships` or `userSessions`.
    pub collection: &'static str,
    /// Whose membership or session it is. This and what follows is empty once it is deleted.
    pub user_id: Option<String>,
    pub email: Option<String>,
    pub email_verified: bool,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub username: Option<String>,
    pub image_url: Option<String>,
    pub organization_id: Option<String>,
    pub organization_name: Option<String>,
    pub role: Option<String>,
    /// Of a session.
    pub status: Option<String>,
}

impl ExpectedPerson {
    /// A state without content, as an event of this kind and time leaves it.
    pub(super) fn at(collection: &'static str, kind: SyntheticKind, micros: i64) -> Self {
        let rank = match kind {
            SyntheticKind::Created => 0,
            SyntheticKind::Deleted => FINAL + 2,
            _ => 1,
        };
        Self { version: micros * 4 + rank, deleted: kind == SyntheticKind::Deleted, collection, ..Self::default() }
    }
}
