//! Events between services: their ids. What they say is not held as a document.

use pipeline::Record;
use sha2::{Digest, Sha256};

use super::json::Plain;
use super::{Walked, get, id, members, twice};

/// The deepest nesting of an event.
const LEVELS: usize = 128;

/// The event's id: its own, else the header's, else a hash of topic, payload and the record's time.
pub fn event(record: &Record) -> Option<Walked> {
    let members = members(record, LEVELS)?;
    if twice(&members) {
        return None;
    }
    let id = match get(&members, "id") {
        Plain::Null => header(record, "ce_id").unwrap_or_else(|| hash(record)),
        own => id(own)?,
    };
    Some(Walked { id, version: 0, deleted: false, passed: None })
}

/// A header of a CloudEvent; of another major version than 1 it says nothing.
fn header(record: &Record, name: &str) -> Option<String> {
    let text = |name: &str| {
        let found = record.headers.iter().rfind(|header| header.name == name)?;
        String::from_utf8(found.value.as_deref()?.to_vec()).ok().filter(|text| !text.is_empty())
    };
    let other = text("ce_specversion").is_some_and(|version| !version.starts_with("1."));
    text(name).filter(|_| !other)
}

fn hash(record: &Record) -> String {
    let mut hash = Sha256::new();
    let time = record.time_ms().unwrap_or(-1).to_be_bytes();
    for part in [record.at.topic.as_bytes(), record.payload.as_deref().unwrap_or_default(), &time] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
