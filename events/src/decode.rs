//! Owns reading a record: either version, as one event.

use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use wire::DecodeError;
use wire::decimal::Decimal;
use wire::json;
use wire::json::depth::MAX_DEPTH;
use wire::json::fields::Fields;
use wire::json::payload::{self, event_time, object, printable};
use wire::timestamp::Timestamp;

use crate::event_data::EventPlace;
use crate::read_value::ReadValue;
use crate::{CloudAttributes, Event, EventName, EventVersion, Id, rules};

/// What is known of a record.
#[derive(Clone, Copy, Debug)]
pub struct EventRecord<'a> {
    /// The topic as the broker calls it.
    pub topic: &'a str,
    pub payload: &'a [u8],
    /// Kafka's own time, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    pub cloud: CloudAttributes<'a>,
}

/// Reads a record of an event's topic. The type is the topic's: of version 1.0 a field `type` is data.
///
/// # Errors
/// `not_utf8`, `not_json`, `not_an_object`, `too_deep`, `duplicate_field`; `unknown_version`, `unknown_event_type`;
/// `missing_field`, `bad_field`, `bad_id`, `id_too_long`, `bad_amount`, `bad_currency`, `bad_media_key`, `unknown_word`, `text_too_long`;
/// `bad_timestamp`, `timestamp_out_of_range`.
pub fn read(name: EventName, record: &EventRecord<'_>) -> Result<Event, DecodeError> {
    let text = payload::text(record.payload, MAX_DEPTH)?;
    let outer = object(text)?;
    once(&outer, "event")?;
    let version = version(find_value(&outer, "version"))?;
    let data = match version {
        EventVersion::V1 => name.read_checked(&outer, version)?,
        EventVersion::V2 => {
            expect_type(name, find_value(&outer, "type"))?;
            let data = find_value(&outer, "data").filter(|raw| raw.get().starts_with('{'));
            let missing = || DecodeError::new("missing_field", "`data` is missing or not an object");
            let data = object(data.ok_or_else(missing)?.get())?;
            once(&data, "data")?;
            name.read_checked(&data, version)?
        }
    };
    let time = time(&outer, record)?;
    Ok(Event { id: id(&outer, record)?, version, time, data })
}

impl EventName {
    fn read_checked(self, fields: &Fields<'_>, version: EventVersion) -> Result<crate::EventData, DecodeError> {
        let place = EventPlace { fields, version };
        let data = self.read_data(&place)?;
        rules::check(self, &place)?;
        Ok(data)
    }
}

fn find_value<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a RawValue> {
    fields.get(name).filter(|raw| raw.get() != "null")
}

fn once(fields: &Fields<'_>, of: &str) -> Result<(), DecodeError> {
    fields.duplicate().map_or(Ok(()), |name| {
        Err(DecodeError::new("duplicate_field", format!("{} stands twice", printable(of, name))))
    })
}

/// None is 1.0. Numbers are taken as well: `2.0` comes as `2` out of some serialisers.
fn version(raw: Option<&RawValue>) -> Result<EventVersion, DecodeError> {
    let Some(raw) = raw else { return Ok(EventVersion::V1) };
    let text = json::scalar(raw);
    match text.as_deref().and_then(Decimal::parse).and_then(Decimal::to_integer) {
        Some(1) => Ok(EventVersion::V1),
        Some(2) => Ok(EventVersion::V2),
        _ => Err(DecodeError::new("unknown_version", "`version` is neither 1.0 nor 2.0, which are all there are")),
    }
}

fn expect_type(name: EventName, raw: Option<&RawValue>) -> Result<(), DecodeError> {
    let same = raw.is_none_or(|raw| json::string(raw).is_some_and(|text| text == name.as_str()));
    let reason = || format!("`type` is not {name}, which is the event of this topic");
    same.then_some(()).ok_or_else(|| DecodeError::new("unknown_event_type", reason()))
}

/// The event's own time, else the header's, else the record's.
fn time(outer: &Fields<'_>, record: &EventRecord<'_>) -> Result<Timestamp, DecodeError> {
    if let Some(raw) = find_value(outer, "timestamp") {
        return event_time(Some(raw), "timestamp", record.timestamp_ms).map(|(time, _)| time);
    }
    if let Some(text) = record.cloud.time {
        let raw = to_raw_value(text).map_err(|error| DecodeError::new("bad_timestamp", error.to_string()))?;
        return event_time(Some(&raw), "ce_time", record.timestamp_ms).map(|(time, _)| time);
    }
    let of_record = record.timestamp_ms.filter(|ms| *ms >= 0).and_then(Timestamp::from_millis);
    of_record.ok_or_else(|| DecodeError::new("bad_timestamp", "`timestamp` is missing, and the record has no time"))
}

/// The event's own id, else the header's, else a hash.
fn id(outer: &Fields<'_>, record: &EventRecord<'_>) -> Result<Id, DecodeError> {
    if let Some(raw) = find_value(outer, "id") {
        return Id::read(raw).map_err(|invalid| invalid.of("id"));
    }
    let (text, name) = match record.cloud.id {
        Some(id) => (id.to_owned(), "ce_id"),
        None => (hash(record), "id"),
    };
    Id::new(text).map_err(|invalid| invalid.of(name))
}

/// Each part goes in behind its length, so that no two records read the same.
fn hash(record: &EventRecord<'_>) -> String {
    let time = record.timestamp_ms.unwrap_or(-1).to_be_bytes();
    let mut hash = Sha256::new();
    for part in [record.topic.as_bytes(), record.payload, &time] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
