//! A store as it is read back: everything it holds, tombstones too, for whoever compares it with the log.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use pipeline::sink::Failure;
use pipeline::{Record, TopicPartition};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::stores::folded::FoldedRows;
use crate::stores::follow_up::FollowUps;
use crate::walk::first_bytes;

/// The field that differs each time a document is made.
const ENRICHED_AT: &str = "_enriched_at";

/// What a store holds under an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredVersion {
    pub version: i64,
    /// Whether it is a tombstone.
    pub deleted: bool,
    pub content: u64,
    /// Of the fields that pass through, by the plain walk; none of a tombstone, and where the store does not keep them.
    pub passed: Option<u64>,
}

/// A document as it was seen in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedVersion {
    pub id: String,
    pub version: i64,
    /// Whether it is a tombstone.
    pub deleted: bool,
}

/// What a store holds under an id, and its text: the document, or the raw event in an audit; none of a tombstone there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDocument {
    pub version: StoredVersion,
    pub text: Option<String>,
}

/// A column of a table that may be empty.
pub(crate) type Column = Option<String>;

/// Names an event in a history: its message id and the digest of its payload. Empty texts stand before all.
pub type EventKey = (String, String);

/// A row of a history: the key, where the event stood, and its payload.
pub(crate) type EventRow = (String, String, String, i32, i64, String);

/// Takes what a store holds, one by one.
pub type Visit<'a> = &'a mut (dyn FnMut(&str, StoredVersion) -> Result<(), Failure> + Send);

/// Reads a store.
#[async_trait]
pub trait StoreReader: Send + Sync + 'static {
    /// As the sink is called.
    fn name(&self) -> &'static str;

    /// Gives everything it holds, in any order.
    ///
    /// # Errors
    /// Why it cannot be read, or what the visitor says.
    async fn read(&self, visit: Visit<'_>) -> Result<(), Failure>;

    /// Looks documents up, tombstones too: one answer an id, in order.
    ///
    /// # Errors
    /// Why it cannot be read.
    async fn find(&self, ids: &[String]) -> Result<Vec<Option<StoredDocument>>, Failure>;

    /// As [`Self::find`], of each document only the version, and whether it is a tombstone.
    ///
    /// # Errors
    /// Why it cannot be read.
    async fn versions(&self, ids: &[String]) -> Result<Vec<Option<(i64, bool)>>, Failure> {
        let found = self.find(ids).await?.into_iter();
        Ok(found.map(|found| found.map(|found| (found.version.version, found.version.deleted))).collect())
    }

    /// Every event of a document that it keeps, as a record without key and time; `None` where it keeps no history.
    ///
    /// # Errors
    /// Why it cannot be read.
    async fn history(&self, _id: &str) -> Result<Option<Vec<Record>>, Failure> {
        Ok(None)
    }

    /// Whether it keeps every event, also one that a newer version stands above.
    fn keeps_history(&self) -> bool {
        false
    }

    /// Events of the history behind this key, in the order of their keys, erased ones too; `None` where it keeps none.
    ///
    /// # Errors
    /// Why it cannot be read.
    async fn events_after(&self, _after: &EventKey, _most: i64) -> Result<Option<Vec<(EventKey, Record)>>, Failure> {
        Ok(None)
    }

    /// Removes documents that are still as they were seen, leaving no tombstone; returns how many.
    ///
    /// # Errors
    /// Why they cannot be removed.
    async fn remove(&self, seen: &[ObservedVersion]) -> Result<u64, Failure>;

    /// The documents that hold values of a person, tombstones too where something is kept beside them; `None` where no document
    /// says whose it is.
    ///
    /// # Errors
    /// Why they cannot be looked for.
    async fn of_person(&self, _person: &str) -> Result<Option<Vec<ObservedVersion>>, Failure> {
        Ok(None)
    }

    /// Takes out what a deletion leaves of a person: fields of a deleted document, what was held before, a history. Of these
    /// documents, and of what names the person itself; returns how many places there were, which stay where it only looks.
    ///
    /// # Errors
    /// Why it cannot be taken out.
    async fn forget(&self, _person: &str, _seen: &[ObservedVersion], _only_look: bool) -> Result<u64, Failure> {
        Ok(0)
    }

    /// Names what follows from the documents (a rating, what another store shows of it) and is not as it should be; with
    /// `mend` it is made so.
    ///
    /// # Errors
    /// Why it cannot be read or mended.
    async fn check_derived(&self, _mend: bool) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }

    /// Which of these events are marked as applied; `None` where a store holds no marks by which it could be told.
    ///
    /// # Errors
    /// Why they cannot be looked up.
    async fn find_marked(&self, _ids: &[String]) -> Result<Option<HashSet<String>>, Failure> {
        Ok(None)
    }

    /// Marks of records before this time may have been purged, in milliseconds since 1970.
    ///
    /// # Errors
    /// Why it cannot be read.
    async fn mark_horizon(&self) -> Result<i64, Failure> {
        Ok(i64::MIN)
    }

    /// What is known of an event by its id, in a sentence each; `None` where a store knows none by their ids.
    ///
    /// # Errors
    /// Why it cannot be looked up.
    async fn trace(&self, _event: &str) -> Result<Option<Vec<String>>, Failure> {
        Ok(None)
    }

    /// What the events led to and is not done, in a sentence each.
    ///
    /// # Errors
    /// Why it cannot be looked for.
    async fn loose_ends(&self) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }

    /// Its rows, where they follow from operations; `None` where it holds documents, or events by their ids.
    fn as_rows(&self) -> Option<Arc<dyn FoldedRows>> {
        None
    }

    /// What is done after records were stored, with the list of what was refused of it; none where nothing is.
    fn follow_ups(&self) -> Option<Arc<FollowUps>> {
        None
    }

    /// Whether a write of the version that it holds already shows the document anew, so that it mends what is shown otherwise.
    fn shows_anew(&self) -> bool {
        false
    }

    /// Below which version tombstones may have been purged; `None` where none ever was.
    ///
    /// # Errors
    /// Why it cannot be read.
    async fn horizon(&self) -> Result<Option<i64>, Failure>;

    /// Notes that tombstones below this version may be purged; never lowers what was noted before.
    ///
    /// # Errors
    /// Why it cannot be noted.
    async fn note_horizon(&self, version: i64) -> Result<(), Failure>;
}

/// Of a document: its fields by name, values as they are written, without the time of enrichment; of a tombstone nothing.
pub(crate) fn document_content(source: &str) -> u64 {
    let Ok(fields) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(source) else { return u64::MAX };
    if fields.get("_deleted").is_some_and(|raw| raw.get() == "true") {
        return 0;
    }
    let mut hash = Sha256::new();
    for (name, value) in fields.iter().filter(|(name, _)| *name != ENRICHED_AT) {
        for part in [name.as_bytes(), value.get().as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    first_bytes(&hash.finalize())
}

/// What was found for these ids, in their order; of several under one id the newest.
pub(crate) fn in_order(
    ids: &[String],
    found: impl IntoIterator<Item = (String, StoredDocument)>,
) -> Vec<Option<StoredDocument>> {
    let mut by_id: HashMap<String, StoredDocument> = HashMap::new();
    for (id, one) in found {
        if by_id.get(&id).is_none_or(|known| known.version.version < one.version.version) {
            by_id.insert(id, one);
        }
    }
    ids.iter().map(|id| by_id.get(id).cloned()).collect()
}

/// An event as an audit keeps it: its payload, and where it stood.
pub(crate) fn record_of_history((topic, partition, offset, payload): (String, i32, i64, String)) -> Record {
    Record {
        at: TopicPartition::new(topic, partition),
        offset,
        timestamp_ms: None,
        key: None,
        payload: Some(payload.into()),
        headers: Vec::new(),
    }
}

/// As [`record_of_history`], with its key.
pub(crate) fn record_with_key((message, digest, topic, partition, offset, payload): EventRow) -> (EventKey, Record) {
    ((message, digest), record_of_history((topic, partition, offset, payload)))
}

/// Of a text: all its bytes.
pub(crate) fn text_content(text: &[u8]) -> u64 {
    first_bytes(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_leaves_out_the_time_of_enrichment_and_nothing_else() {
        let one = document_content(r#"{"id":"a","amount":1.50,"_enriched_at":"2026-01-01"}"#);
        assert_eq!(one, document_content(r#"{"_enriched_at":"2027-01-01","amount":1.50,"id":"a"}"#));
        assert_ne!(one, document_content(r#"{"id":"a","amount":1.5}"#));
        assert_ne!(one, document_content(r#"{"id":"a","amount":1.50,"x":null}"#));
        assert_eq!(document_content(r#"{"id":"a","_deleted":true,"_updated_at":"x"}"#), 0);
    }
}
