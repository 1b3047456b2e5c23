//! What an erasure leaves in the stores.

use pipeline::Record;

/// What a history keeps in the place of an event that was erased.
pub(crate) const ERASED: &str = r#"{"_erased":true}"#;
/// The topic that the deletions of an erasure are said to come from. Migrations name it.
pub(crate) const ERASE_TOPIC: &str = "millrace.erase";
/// Rows that are looked through at once.
pub(super) const SEARCHED_AT_ONCE: i64 = 5_000;

/// Whether a history has nothing left of this event.
pub(crate) fn is_erased(event: &Record) -> bool {
    event.payload.as_deref() == Some(ERASED.as_bytes())
}
