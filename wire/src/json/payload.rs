//! Owns what every payload is read by: text, one JSON object, an id, a time; and how a reject names what it found.

use std::borrow::Cow;

use serde::de::DeserializeSeed;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::depth::too_deep;
use super::fields::{Fields, FieldsSeed};
use super::frame;
use crate::error::DecodeError;
use crate::json;
use crate::timestamp::{FORMS, Timestamp};

/// Longest id in bytes; Elasticsearch refuses a whole request for a longer one.
const MAX_ID_BYTES: usize = 512;
/// How far ahead of its Kafka timestamp an event may be, in milliseconds.
const MAX_AHEAD_MS: i64 = 24 * 60 * 60 * 1_000;

/// The payload as text, when it nests no deeper than so many levels.
pub fn text(payload: &[u8], max_depth: usize) -> Result<&str, DecodeError> {
    let text = std::str::from_utf8(payload).map_err(|error| {
        let from = || format!("not UTF-8 from byte {} on", error.valid_up_to());
        DecodeError::new("not_utf8", frame::name(payload).unwrap_or_else(from))
    })?;
    if too_deep(payload, max_depth) {
        return Err(DecodeError::new("too_deep", format!("nested deeper than {max_depth} levels")));
    }
    Ok(text)
}

/// The fields of a text that is one JSON object.
pub fn object(text: &str) -> Result<Fields<'_>, DecodeError> {
    read_all(text, FieldsSeed { drop_reserved: false, surrogates: json::has_surrogates(text) })
}

pub fn read_all<'a, S: DeserializeSeed<'a>>(text: &'a str, seed: S) -> Result<S::Value, DecodeError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut reader).map_err(|error| not_json(text, &error))?;
    reader.end().map_err(|error| not_json(text, &error))?;
    Ok(value)
}

fn not_json(text: &str, error: &serde_json::Error) -> DecodeError {
    let named = frame::name(text.as_bytes());
    // Only syntax errors are worded without values.
    match error.classify() {
        Category::Data => {
            DecodeError::new("not_an_object", named.unwrap_or_else(|| "the payload is not a JSON object".to_owned()))
        }
        Category::Syntax | Category::Eof | Category::Io => {
            DecodeError::new("not_json", named.unwrap_or_else(|| error.to_string()))
        }
    }
}

/// The reject with what stands around the event, where it has no type because something does.
pub fn name_envelope(reject: DecodeError, text: &str) -> DecodeError {
    if reject.class != "unknown_event_type" {
        return reject;
    }
    match Fields::parse(text).as_ref().and_then(frame::envelope) {
        Some(what) => DecodeError::new(reject.class, what),
        None => reject,
    }
}

pub fn read_id<'a>(raw: Option<&'a RawValue>, name: &str) -> Result<Cow<'a, str>, DecodeError> {
    let id = raw.and_then(name_or_number).ok_or_else(|| {
        DecodeError::new("missing_id", format!("`{name}` is missing, empty, or neither string nor integer"))
    })?;
    if id.len() > MAX_ID_BYTES {
        return Err(DecodeError::new(
            "id_too_long",
            format!("`{name}` has {} bytes, {MAX_ID_BYTES} are allowed", id.len()),
        ));
    }
    Ok(id)
}

/// A string with something in it, or the digits of a whole number.
pub fn name_or_number(raw: &RawValue) -> Option<Cow<'_, str>> {
    json::string(raw).or_else(|| json::whole_digits(raw)).filter(|text| !text.is_empty())
}

/// The time in the field of this name, and what stands there: a string's content, a number's digits.
pub fn event_time<'a>(
    raw: Option<&'a RawValue>,
    name: &str,
    record_ms: Option<i64>,
) -> Result<(Timestamp, Cow<'a, str>), DecodeError> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
        return Err(DecodeError::new("bad_timestamp", format!("`{name}` is missing")));
    };
    let unreadable = || DecodeError::new("bad_timestamp", format!("`{name}` is none of {FORMS}"));
    let (timestamp, received) = Timestamp::read(raw).ok_or_else(unreadable)?;
    if timestamp.is_before_epoch() {
        return Err(DecodeError::new("timestamp_out_of_range", format!("`{name}` lies before 1970")));
    }
    let latest = record_ms.filter(|ms| *ms >= 0).map(|ms| ms.saturating_add(MAX_AHEAD_MS).saturating_mul(1_000));
    if latest.is_some_and(|latest| timestamp.micros() > latest) {
        let reason = format!("`{name}` lies more than 24 h ahead of the record's Kafka timestamp");
        return Err(DecodeError::new("timestamp_out_of_range", reason));
    }
    Ok((timestamp, received))
}

/// The name of a field of `of` for a reason: only when it looks like a name, as anything may stand in a key.
pub fn printable(of: &str, name: &str) -> String {
    let is_name = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    if is_name { format!("`{of}.{name}`") } else { format!("a field of `{of}`") }
}
