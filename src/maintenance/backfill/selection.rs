//! Which records of the sources are written: those of some documents, of a time, with some values. Pure.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use pipeline::Record;
use pipeline::system::Decoded;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// A field and the value that it has to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldCondition {
    path: Vec<String>,
    value: String,
}

impl FieldCondition {
    /// As it is written: `field=value`, where the field may be a path with dots.
    pub fn parse(text: &str) -> Option<Self> {
        let (field, value) = text.split_once('=')?;
        let path: Vec<String> = field.trim().split('.').map(str::to_owned).collect();
        let named = path.iter().all(|name| !name.is_empty());
        named.then(|| Self { path, value: value.to_owned() })
    }

    /// Whether the payload has the value: in a field of the event, or, where the event has none of that name, of an object in it.
    fn holds(&self, payload: &[u8]) -> bool {
        let Ok(event) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(payload) else { return false };
        match at(&event, &self.path) {
            Some(value) => self.is(value),
            None => event
                .values()
                .filter_map(|value| members(value))
                .filter_map(|inner| at(&inner, &self.path))
                .any(|value| self.is(value)),
        }
    }

    /// A text by what it says, everything else as it is written.
    fn is(&self, raw: &RawValue) -> bool {
        match serde_json::from_str::<String>(raw.get()) {
            Ok(text) => text == self.value,
            Err(_) => raw.get() == self.value,
        }
    }
}

fn members(raw: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

fn at<'a>(object: &BTreeMap<String, &'a RawValue>, path: &[String]) -> Option<&'a RawValue> {
    let (first, rest) = path.split_first()?;
    let value = *object.get(first)?;
    if rest.is_empty() { Some(value) } else { at(&members(value)?, rest) }
}

/// What is chosen: whatever meets all of it.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Ids of documents.
    pub ids: Option<HashSet<String>>,
    /// Times of events in microseconds since 1970: from the first, and before the second.
    pub from: Option<i64>,
    pub to: Option<i64>,
    pub fields: Vec<FieldCondition>,
}

impl Selection {
    /// Whether everything is chosen.
    pub fn is_all(&self) -> bool {
        self.ids.is_none() && self.from.is_none() && self.to.is_none() && self.fields.is_empty()
    }

    /// Whether a record is chosen; `micros` tells the time of a version. One that is no event always is, so that it is told.
    pub fn chooses(&self, record: &Record, decoded: &Decoded<'_>, micros: fn(i64) -> i64) -> bool {
        let Decoded::Event(identity, ()) = decoded else { return true };
        let time = micros(identity.version);
        let payload = record.payload.as_deref().unwrap_or_default();
        self.ids.as_ref().is_none_or(|ids| ids.contains(&*identity.document))
            && self.from.is_none_or(|from| time >= from)
            && self.to.is_none_or(|to| time < to)
            && self.fields.iter().all(|field| field.holds(payload))
    }

    /// Says what it is in a line, the same for the same choice.
    pub fn describe(&self) -> String {
        let mut parts = Vec::new();
        if let Some(ids) = &self.ids {
            let mut sorted: Vec<&String> = ids.iter().collect();
            sorted.sort_unstable();
            let mut hash = Sha256::new();
            for id in &sorted {
                hash.update((id.len() as u64).to_le_bytes());
                hash.update(id);
            }
            let digest = hex::encode(hash.finalize());
            parts.push(format!("{} ids {}", sorted.len(), digest.get(..16).unwrap_or_default()));
        }
        parts.extend(self.from.map(|from| format!("from {from}")));
        parts.extend(self.to.map(|to| format!("to {to}")));
        parts.extend(self.fields.iter().map(|field| format!("{}={}", field.path.join("."), field.value)));
        parts.join(", ")
    }
}

/// Reads ids from a file, one a line.
///
/// # Errors
/// Where it cannot be read, or has none.
pub fn read_ids(path: &Path) -> std::io::Result<HashSet<String>> {
    let file = BufReader::new(std::fs::File::open(path)?);
    let mut ids = HashSet::new();
    for line in file.lines() {
        let line = line?;
        let id = line.trim_start_matches('\u{feff}').trim();
        if !id.is_empty() {
            ids.insert(id.to_owned());
        }
    }
    if ids.is_empty() { Err(std::io::Error::new(ErrorKind::InvalidData, "it has no ids")) } else { Ok(ids) }
}

#[cfg(test)]
mod tests {
    use pipeline::TopicPartition;
    use pipeline::sink::Reject;
    use pipeline::system::Identity;

    use super::*;

    fn record(payload: &str) -> Record {
        Record {
            at: TopicPartition::new("file:x", 0),
            offset: 1,
            timestamp_ms: None,
            key: None,
            payload: Some(payload.to_owned().into()),
            headers: Vec::new(),
        }
    }

    fn event(id: &str, version: i64) -> Decoded<'_> {
        Decoded::Event(Identity { document: id.into(), message: None, version, kind: "created" }, ())
    }

    #[test]
    fn ids_and_times_choose_together_and_what_is_no_event_is_always_told() {
        let ids = Some(["a".to_owned(), "b".to_owned()].into());
        let selection = Selection { ids, from: Some(10), to: Some(20), ..Selection::default() };
        let chooses = |decoded: Decoded<'_>| selection.chooses(&record("{}"), &decoded, |version| version / 4);
        assert!(chooses(event("a", 40)) && chooses(event("b", 79)));
        assert!(!chooses(event("a", 39)) && !chooses(event("a", 80)) && !chooses(event("c", 40)));
        assert!(chooses(Decoded::Reject(Reject::new("not_json", "x"))) && chooses(Decoded::Ignore));
        assert!(Selection::default().is_all() && !selection.is_all());
    }

    #[test]
    fn a_field_is_looked_for_in_the_event_and_in_the_objects_in_it() {
        let payload = r#"{"source": "s\u0031", "transaction": {"id": 7, "amount": 1.50, "metadata": {"tag": "x=y"}, "n": null},
            "other": {"source": "inner"}}"#;
        let holds = |text: &str| FieldCondition::parse(text).unwrap().holds(payload.as_bytes());
        for text in [
            "source=s1",
            "id=7",
            "amount=1.50",
            "transaction.id=7",
            "metadata.tag=x=y",
            "n=null",
            "transaction.metadata.tag=x=y",
        ] {
            assert!(holds(text), "{text}");
        }
        // The event's own field hides those below it.
        for text in ["source=inner", "amount=1.5", "missing=", "id=", "transaction.tag=x=y", "id.x=7"] {
            assert!(!holds(text), "{text}");
        }
        assert!(["", "=", "x", ".a=1", "a..b=1"].iter().all(|text| FieldCondition::parse(text).is_none()));
    }

    #[test]
    fn the_same_choice_is_shown_the_same() {
        let of = |ids: &[&str]| Selection {
            ids: Some(ids.iter().map(|id| (*id).to_owned()).collect()),
            fields: vec![FieldCondition::parse("a.b=c").unwrap()],
            ..Selection::default()
        };
        assert_eq!(of(&["x", "y"]).describe(), of(&["y", "x"]).describe());
        assert_ne!(of(&["x", "y"]).describe(), of(&["xy"]).describe());
        assert_eq!(Selection::default().describe(), "");
    }
}
