//! The version store of a store that keeps no versions: it takes version and object first, and what it holds is then pushed.
//!
//! It guarantees that of two writes the newer stays, and that a write which the store refused can be given back.

use std::collections::BTreeMap;

use async_trait::async_trait;
use pipeline::sink::{Content, Failure, Verdict, Write};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::stores::reader::ObservedVersion;
use crate::walk::first_bytes;

/// An object on its way into a store, by way of its version store.
#[derive(Clone, Debug)]
pub struct IndexEntry {
    pub id: String,
    pub version: i64,
    /// One JSON object; none of a deleted one.
    pub object: Option<String>,
    /// What it adds to a rating; a deleted one adds nothing.
    pub contribution: Option<Contribution>,
}

/// What a review adds to the rating of its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    pub subject: String,
    /// 1 to 5.
    pub stars: u8,
}

/// What a version store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRow {
    pub id: String,
    pub version: i64,
    /// None of a deleted one.
    pub object: Option<String>,
}

/// Keeps versions and objects.
#[async_trait]
pub trait VersionStore: Send + Sync + 'static {
    /// Takes entries where nothing newer is held; no two are of one document. One verdict an entry.
    ///
    /// # Errors
    /// Why not, as a whole.
    async fn take(&self, entries: &[&IndexEntry]) -> Result<Vec<Verdict>, Failure>;

    /// Puts back what was held before this entry was taken, unless another was taken since.
    ///
    /// # Errors
    /// Why not.
    async fn give_back(&self, entry: &IndexEntry) -> Result<(), Failure>;

    /// What is held of these ids, in order.
    ///
    /// # Errors
    /// Why it cannot be read.
    async fn rows(&self, ids: &[String]) -> Result<Vec<Option<VersionRow>>, Failure>;

    /// Some rows after this id, in the order of their ids; none at the end.
    ///
    /// # Errors
    /// Why they cannot be read.
    async fn page(&self, after: Option<&str>) -> Result<Vec<VersionRow>, Failure>;

    /// Forgets rows that are still as they were seen; returns how many.
    ///
    /// # Errors
    /// Why not.
    async fn remove(&self, seen: &[ObservedVersion]) -> Result<u64, Failure>;

    /// The rows that hold an object of a person, or held one before.
    ///
    /// # Errors
    /// Why they cannot be looked for.
    async fn of_person(&self, person: &str) -> Result<Vec<ObservedVersion>, Failure>;

    /// Forgets what these rows, where they hold nothing now, held before; returns of how many.
    ///
    /// # Errors
    /// Why not.
    async fn forget(&self, ids: &[String]) -> Result<u64, Failure>;

    /// As [`crate::stores::reader::StoreReader::horizon`].
    ///
    /// # Errors
    /// Why it cannot be read.
    async fn horizon(&self) -> Result<Option<i64>, Failure>;

    /// As [`crate::stores::reader::StoreReader::note_horizon`].
    ///
    /// # Errors
    /// Why it cannot be noted.
    async fn note_horizon(&self, version: i64) -> Result<(), Failure>;

    /// A write that changes nothing.
    ///
    /// # Errors
    /// Why it is not taken.
    async fn probe(&self) -> Result<(), Failure>;
}

impl IndexEntry {
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn is_deleted(&self) -> bool {
        self.object.is_none()
    }
}

impl Write for IndexEntry {
    fn bytes(&self) -> usize {
        self.object.as_ref().map_or(0, String::len) + 2 * self.id.len() + 200
    }

    fn content(&self) -> Content {
        Content { deleted: self.is_deleted(), digest: self.object.as_deref().map_or(0, object_content) }
    }
}

/// Of a JSON object that a store may give back with its members in another order and its numbers written otherwise: a
/// number counts as the nearest double, which is what most stores make of it.
pub fn object_content(object: &str) -> u64 {
    let mut hash = Sha256::new();
    match serde_json::from_str::<&RawValue>(object) {
        Ok(object) => feed(&mut hash, object.get()),
        Err(_) => return u64::MAX,
    }
    first_bytes(&hash.finalize())
}

fn feed(hash: &mut Sha256, json: &str) {
    match json.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).unwrap_or_default();
            hash.update(b"{");
            hash.update((members.len() as u64).to_le_bytes());
            for (name, value) in members {
                text(hash, &name);
                feed(hash, value.get());
            }
        }
        Some(b'[') => {
            let parts: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            hash.update(b"[");
            hash.update((parts.len() as u64).to_le_bytes());
            parts.iter().for_each(|part| feed(hash, part.get()));
        }
        Some(b'"') => text(hash, &serde_json::from_str::<String>(json).unwrap_or_default()),
        Some(b't' | b'f' | b'n') => hash.update(json),
        // Rust reads it exactly, where serde_json may be off by the last bit.
        _ => {
            hash.update(b"0");
            hash.update(json.parse::<f64>().unwrap_or(f64::NAN).to_le_bytes());
        }
    }
}

fn text(hash: &mut Sha256, text: &str) {
    hash.update(b"\"");
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_known_however_it_is_written() {
        let one = object_content(r#"{"objectID":"a","amount":12.50,"n":1,"tags":["x","y"]}"#);
        assert_eq!(one, object_content(r#"{"tags":["x","y"],"n":1.0,"amount":12.5,"objectID":"a"}"#));
        assert_ne!(one, object_content(r#"{"objectID":"a","amount":12.5,"n":1,"tags":["y","x"]}"#));
        assert_ne!(one, object_content(r#"{"objectID":"a","amount":"12.5","n":1,"tags":["x","y"]}"#));
        assert_ne!(object_content(r#"{"a":null}"#), object_content("{}"));
        let digits = |digits: &str| object_content(&format!(r#"{{"a":{digits}}}"#));
        assert_eq!(digits("0.123456789012345678"), digits("0.12345678901234568"));
        assert_eq!(digits("1e2"), digits("100.0"));
        assert_ne!(digits("12.345"), digits("12.346"));
    }
}
