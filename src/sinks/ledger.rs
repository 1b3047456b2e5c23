//! The ledger of a store that keeps no versions: it takes version and object first, and what it holds is then pushed.
//!
//! It guarantees that of two writes the newer stays, and that a write which the store refused can be given back.

use pipeline::sink::{Answer, Failure, Verdict, Write};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::shelf::{Content, Seen, first_bytes};

/// An object on its way into a store, by way of its ledger.
#[derive(Clone, Debug)]
pub struct Entry {
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

/// What a ledger holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: String,
    pub version: i64,
    /// None of a deleted one.
    pub object: Option<String>,
}

/// Keeps versions and objects.
pub trait Ledger: Send + Sync + 'static {
    /// Takes entries where nothing newer is held; no two are of one document. One verdict an entry.
    ///
    /// # Errors
    /// Why not, as a whole.
    fn take<'a>(&'a self, entries: &'a [&'a Entry]) -> Answer<'a, Result<Vec<Verdict>, Failure>>;

    /// Puts back what was held before this entry was taken, unless another was taken since.
    ///
    /// # Errors
    /// Why not.
    fn give_back<'a>(&'a self, entry: &'a Entry) -> Answer<'a, Result<(), Failure>>;

    /// What is held of these ids, in order.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn rows<'a>(&'a self, ids: &'a [String]) -> Answer<'a, Result<Vec<Option<Row>>, Failure>>;

    /// Some rows after this id, in the order of their ids; none at the end.
    ///
    /// # Errors
    /// Why they cannot be read.
    fn page<'a>(&'a self, after: Option<&'a str>) -> Answer<'a, Result<Vec<Row>, Failure>>;

    /// Forgets rows that are still as they were seen; returns how many.
    ///
    /// # Errors
    /// Why not.
    fn remove<'a>(&'a self, seen: &'a [Seen]) -> Answer<'a, Result<u64, Failure>>;

    /// As [`crate::shelf::Shelf::horizon`].
    ///
    /// # Errors
    /// Why it cannot be read.
    fn horizon(&self) -> Answer<'_, Result<Option<i64>, Failure>>;

    /// As [`crate::shelf::Shelf::note_horizon`].
    ///
    /// # Errors
    /// Why it cannot be noted.
    fn note_horizon(&self, version: i64) -> Answer<'_, Result<(), Failure>>;

    /// A write that changes nothing.
    ///
    /// # Errors
    /// Why it is not taken.
    fn probe(&self) -> Answer<'_, Result<(), Failure>>;
}

impl Entry {
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn is_deleted(&self) -> bool {
        self.object.is_none()
    }
}

impl Write for Entry {
    fn bytes(&self) -> usize {
        self.object.as_ref().map_or(0, String::len) + 2 * self.id.len() + 200
    }
}

impl Content for Entry {
    fn is_deleted(&self) -> bool {
        Self::is_deleted(self)
    }

    fn content(&self) -> u64 {
        self.object.as_deref().map_or(0, object_content)
    }
}

/// Of a JSON object that a store may give back with its members in another order and its numbers written otherwise.
pub fn object_content(object: &str) -> u64 {
    fn feed(hash: &mut Sha256, value: &Value) {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_key(|(name, _)| name.as_str());
                hash.update([b'{', members.len() as u8]);
                for (name, value) in members {
                    feed(hash, &Value::String(name.clone()));
                    feed(hash, value);
                }
            }
            Value::Array(parts) => {
                hash.update(b"[");
                hash.update((parts.len() as u64).to_le_bytes());
                parts.iter().for_each(|part| feed(hash, part));
            }
            Value::String(text) => {
                hash.update(b"\"");
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text.as_bytes());
            }
            Value::Number(number) => {
                // Whoever reads and writes a number may change its last digits.
                hash.update(format!("0{:.12e}", number.as_f64().unwrap_or(f64::NAN)));
            }
            Value::Bool(true) => hash.update(b"t"),
            Value::Bool(false) => hash.update(b"f"),
            Value::Null => hash.update(b"n"),
        }
    }
    let Ok(value) = serde_json::from_str::<Value>(object) else { return u64::MAX };
    let mut hash = Sha256::new();
    feed(&mut hash, &value);
    first_bytes(&hash.finalize())
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
        assert_eq!(digits("3.9523809523809526"), digits("3.952380952380953"));
        assert_ne!(digits("12.345"), digits("12.346"));
    }
}
