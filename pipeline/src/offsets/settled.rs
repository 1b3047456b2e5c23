//! Dead letters that are dealt with: their record came through later, as it was or mended. Kept in the state topic. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::{StateEntry, body, encode, kind, now};

const SETTLED: &str = "letter-settled";

/// Names a dead letter: group, topic, partition, offset, and the record's own timestamp, which tells apart what stood at one
/// place before and after a topic was made anew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LetterKey(pub String, pub String, pub i32, pub i64, pub Option<i64>);

/// Where a mended record stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MendedAs {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

/// How a letter was dealt with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// When (RFC 3339).
    pub at: String,
    /// Where the mended record stands in the source topic; `None` where the letter was replayed as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mended_as: Option<MendedAs>,
}

impl Settled {
    /// Dealt with now.
    pub fn now(mended_as: Option<MendedAs>) -> Self {
        Self { at: now(), mended_as }
    }
}

/// The entry that says so.
///
/// # Errors
/// Never for what is made here.
pub fn settle(letter: &LetterKey, settled: &Settled) -> Result<StateEntry, serde_json::Error> {
    encode(SETTLED, letter, settled)
}

/// The letters that the state topic tells to be dealt with.
#[derive(Clone, Debug, Default)]
pub struct SettledBook(BTreeMap<LetterKey, Settled>);

impl SettledBook {
    /// Takes in an entry.
    ///
    /// # Errors
    /// A sentence, for one that is of our concern and cannot be read.
    pub fn apply(&mut self, key: Option<&Bytes>, value: Option<&Bytes>) -> Result<(), String> {
        let Some((found, name)) = key.and_then(|key| kind(key)) else { return Ok(()) };
        if found != SETTLED {
            return Ok(());
        }
        let key: LetterKey = serde_json::from_value(Value::Array(name)).map_err(|error| error.to_string())?;
        match value {
            Some(value) => drop(self.0.insert(key, body(value)?)),
            None => drop(self.0.remove(&key)),
        }
        Ok(())
    }

    /// How this letter was dealt with, if it was.
    pub fn get(&self, letter: &LetterKey) -> Option<&Settled> {
        self.0.get(letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_settled_until_it_is_taken_back() {
        let key = LetterKey("g".to_owned(), "t".to_owned(), 3, 7, Some(1_000));
        let place = MendedAs { topic: "t".to_owned(), partition: 3, offset: 9 };
        let settled = Settled::now(Some(place));
        let entry = settle(&key, &settled).unwrap();
        assert_eq!(entry.key, r#"["letter-settled","g","t",3,7,1000]"#);
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let mut book = SettledBook::default();
        book.apply(Some(&bytes(r#"["loss","g","t",0,1]"#)), Some(&bytes("?"))).unwrap();
        book.apply(Some(&bytes(&entry.key)), entry.value.as_deref().map(bytes).as_ref()).unwrap();
        assert_eq!(book.get(&key), Some(&settled));
        assert_eq!(book.get(&LetterKey("g".to_owned(), "t".to_owned(), 3, 7, None)), None, "the topic was made anew");
        book.apply(Some(&bytes(&entry.key)), None).unwrap();
        assert_eq!(book.get(&key), None);
        assert!(book.apply(Some(&bytes(&entry.key)), Some(&bytes("?"))).is_err());
    }
}
