//! Entries of the state topic: what all processes have to know and no store holds. Compacted; the last entry of a key counts.
//!
//! A key is a JSON array: the kind, and what names the thing. A value is a JSON object with a `version`. Who does not know a
//! kind or a version leaves the entry alone. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{SecondsFormat, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::TopicPartition;

/// The version of the values that are written here.
const VERSION: u64 = 1;

/// One entry, as it is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEntry {
    pub key: String,
    /// `None` takes the key back.
    pub value: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u64,
    #[serde(flatten)]
    body: T,
}

/// Makes an entry of a kind. `name` is a JSON array without the kind.
///
/// # Errors
/// When the body is no JSON object.
pub fn encode(kind: &str, name: &impl Serialize, body: &impl Serialize) -> Result<StateEntry, serde_json::Error> {
    let mut key = vec![Value::from(kind)];
    match serde_json::to_value(name)? {
        Value::Array(parts) => key.extend(parts),
        other => key.push(other),
    }
    let value = serde_json::to_string(&Versioned { version: VERSION, body })?;
    Ok(StateEntry { key: serde_json::to_string(&key)?, value: Some(value) })
}

/// The kind of an entry and what it names; `None` for what was not written here.
pub fn kind(key: &[u8]) -> Option<(String, Vec<Value>)> {
    let parts: Vec<Value> = serde_json::from_slice(key).ok()?;
    let mut parts = parts.into_iter();
    match parts.next() {
        Some(Value::String(kind)) => Some((kind, parts.collect())),
        _ => None,
    }
}

/// The body of a value.
///
/// # Errors
/// A sentence, when the value cannot be read, or is of a version that is not known here.
pub fn body<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    let found: Versioned<Value> = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    if found.version != VERSION {
        return Err(format!("its version is {}, and this program knows {VERSION}", found.version));
    }
    serde_json::from_value(found.body).map_err(|error| error.to_string())
}

/// Names a loss: group, topic, partition, first offset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LossKey(pub String, pub String, pub i32, pub i64);

/// Records that retention took before a group had read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    pub key: LossKey,
    /// Up to this offset, not including it.
    pub next: i64,
    /// Records, at most.
    pub lost: u64,
    /// When it was found (RFC 3339).
    pub found_at: String,
    /// When somebody acknowledged it.
    pub acknowledged_at: Option<String>,
}

impl Loss {
    /// A loss that was found now.
    pub fn new(group: &str, at: &TopicPartition, first: i64, next: i64, lost: u64) -> Self {
        let key = LossKey(group.to_owned(), at.topic.to_string(), at.partition, first);
        Self { key, next, lost, found_at: now(), acknowledged_at: None }
    }
}

/// The present time (RFC 3339).
pub fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

const LOSS: &str = "loss";
const ACKNOWLEDGED: &str = "loss-acknowledged";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct LossBody {
    next: i64,
    lost: u64,
    found_at: String,
}

/// Written by others than the losses, so that neither can overwrite the other: it stands for offsets below `next`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AcknowledgedBody {
    next: i64,
    at: String,
}

/// The losses that the state topic tells of, and which of them are acknowledged.
#[derive(Clone, Debug, Default)]
pub struct LossBook {
    losses: BTreeMap<LossKey, LossBody>,
    acknowledged: BTreeMap<LossKey, AcknowledgedBody>,
}

impl LossBook {
    /// Takes in an entry; returns why it could not be read, for one that is of our concern.
    ///
    /// # Errors
    /// A sentence.
    pub fn apply(&mut self, key: Option<&Bytes>, value: Option<&Bytes>) -> Result<(), String> {
        let Some((kind, name)) = key.and_then(|key| kind(key)) else { return Ok(()) };
        if kind != LOSS && kind != ACKNOWLEDGED {
            return Ok(());
        }
        let key: LossKey = serde_json::from_value(Value::Array(name)).map_err(|error| error.to_string())?;
        match (kind.as_str(), value) {
            (LOSS, Some(value)) => drop(self.losses.insert(key, body(value)?)),
            (LOSS, None) => drop(self.losses.remove(&key)),
            (_, Some(value)) => drop(self.acknowledged.insert(key, body(value)?)),
            (_, None) => drop(self.acknowledged.remove(&key)),
        }
        Ok(())
    }

    /// All losses of a group, in the order of their places.
    pub fn of<'a>(&'a self, group: &'a str) -> impl Iterator<Item = Loss> + 'a {
        self.losses.iter().filter(move |(key, _)| key.0 == group).map(|(key, body)| Loss {
            key: key.clone(),
            next: body.next,
            lost: body.lost,
            found_at: body.found_at.clone(),
            acknowledged_at: self.acknowledged.get(key).filter(|one| one.next >= body.next).map(|one| one.at.clone()),
        })
    }

    /// Losses of a group that nobody has acknowledged.
    pub fn standing<'a>(&'a self, group: &'a str) -> impl Iterator<Item = Loss> + 'a {
        self.of(group).filter(|loss| loss.acknowledged_at.is_none())
    }

    /// What has to be written for a loss, and how many records of it nobody has counted before. One that began at the same
    /// offset and was found before is the same loss, which may have grown.
    ///
    /// # Errors
    /// Never for what is made here.
    pub fn record(&self, loss: &Loss) -> Result<(Option<StateEntry>, u64), serde_json::Error> {
        let known = self.losses.get(&loss.key);
        if known.is_some_and(|known| known.next >= loss.next) {
            return Ok((None, 0));
        }
        let counted = known.map_or(0, |known| known.lost);
        let body = LossBody { next: loss.next, lost: loss.lost.max(counted), found_at: loss.found_at.clone() };
        Ok((Some(encode(LOSS, &loss.key, &body)?), loss.lost.saturating_sub(counted)))
    }
}

/// The entry that acknowledges a loss as it is known.
///
/// # Errors
/// Never for what is made here.
pub fn acknowledge(loss: &Loss) -> Result<StateEntry, serde_json::Error> {
    encode(ACKNOWLEDGED, &loss.key, &AcknowledgedBody { next: loss.next, at: now() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(first: i64, next: i64) -> Loss {
        Loss::new("g", &TopicPartition::new("t", 3), first, next, (next - first).unsigned_abs())
    }

    fn apply(book: &mut LossBook, entry: &StateEntry) {
        let bytes = |text: &String| Bytes::copy_from_slice(text.as_bytes());
        book.apply(Some(&bytes(&entry.key)), entry.value.as_ref().map(bytes).as_ref()).unwrap();
    }

    #[test]
    fn a_loss_is_counted_once_and_red_until_it_is_acknowledged() {
        let mut book = LossBook::default();
        let (entry, new) = book.record(&loss(10, 30)).unwrap();
        assert_eq!(new, 20);
        apply(&mut book, &entry.unwrap());
        assert_eq!(book.record(&loss(10, 30)).unwrap(), (None, 0));
        assert_eq!(book.standing("g").count(), 1);
        assert_eq!(book.standing("other").count(), 0);
        let known = book.of("g").next().unwrap();
        apply(&mut book, &acknowledge(&known).unwrap());
        assert_eq!((book.standing("g").count(), book.of("g").count()), (0, 1));
    }

    #[test]
    fn a_loss_that_grew_counts_what_is_new_and_stands_again() {
        let mut book = LossBook::default();
        let first = book.record(&loss(10, 30)).unwrap().0.unwrap();
        apply(&mut book, &first);
        let known = book.of("g").next().unwrap();
        apply(&mut book, &acknowledge(&known).unwrap());
        let (entry, new) = book.record(&loss(10, 50)).unwrap();
        assert_eq!(new, 20);
        apply(&mut book, &entry.unwrap());
        assert_eq!(book.standing("g").next().unwrap().lost, 40);
        // An acknowledgement of what was known before does not cover what came since.
        apply(&mut book, &acknowledge(&known).unwrap());
        assert_eq!(book.standing("g").count(), 1);
    }

    #[test]
    fn keys_and_values_have_the_form_that_is_documented() {
        let entry = LossBook::default().record(&loss(10, 30)).unwrap().0.unwrap();
        assert_eq!(entry.key, r#"["loss","g","t",3,10]"#);
        let value: Value = serde_json::from_str(&entry.value.unwrap()).unwrap();
        assert_eq!((&value["version"], &value["next"], &value["lost"]), (&1.into(), &30.into(), &20.into()));
    }

    #[test]
    fn what_is_not_known_is_left_alone_and_what_cannot_be_read_is_said() {
        let mut book = LossBook::default();
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        for key in ["", "{}", "[]", "[1]", r#"["mark","x"]"#] {
            book.apply(Some(&bytes(key)), Some(&bytes("?"))).unwrap();
        }
        book.apply(None, None).unwrap();
        let key = bytes(r#"["loss","g","t",0,1]"#);
        assert!(
            book.apply(Some(&key), Some(&bytes(r#"{"version":2,"next":1}"#))).unwrap_err().contains("version is 2")
        );
        assert!(book.apply(Some(&key), Some(&bytes("?"))).is_err());
        assert_eq!(book.of("g").count(), 0);
    }
}
