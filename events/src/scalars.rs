//! Owns the types of single values: ids, currencies, times and notes.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use wire::json::payload::name_or_number;
use wire::timestamp::{FORMS, Timestamp};

use crate::read_value::{Invalid, ReadValue, string};

/// Longest id in bytes.
const MAX_ID_BYTES: usize = 512;
/// Longest note in bytes.
const MAX_NOTE_BYTES: usize = 65_536;

/// Names a subject or an event: 1 to 512 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Id(String);

impl Id {
    /// # Errors
    /// It is empty, too long, or holds a control character.
    pub fn new(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        if text.is_empty() {
            return Err(Invalid::new("bad_id", "is empty"));
        }
        if text.len() > MAX_ID_BYTES {
            let why = format!("has {} bytes, {MAX_ID_BYTES} are allowed", text.len());
            return Err(Invalid::new("id_too_long", why));
        }
        // Databases refuse some of them, and no id means them.
        if text.contains(|c: char| c.is_ascii_control()) {
            return Err(Invalid::new("bad_id", "holds a control character"));
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<&str> for Id {
    type Error = Invalid;

    fn try_from(text: &str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

impl ReadValue for Id {
    fn read(raw: &RawValue) -> Result<Self, Invalid> {
        if raw.get() == "\"\"" {
            return Err(Invalid::new("bad_id", "is empty"));
        }
        // Services with numbered rows send numbers.
        let text = name_or_number(raw).ok_or_else(|| Invalid::kind("a string"))?;
        Self::new(text)
    }
}

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES, "pattern": r"^[^\x00-\x1f\x7f]+$"})
    }
}

/// A currency by the three letters of ISO 4217, in capitals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// # Errors
    /// It is not three letters.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let letters: Option<[u8; 3]> = text.as_bytes().try_into().ok();
        letters
            .filter(|letters| letters.iter().all(u8::is_ascii_alphabetic))
            .map(|letters| Self(letters.map(|letter| letter.to_ascii_uppercase())))
            .ok_or_else(|| Invalid::new("bad_currency", "is not the three letters of a currency"))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl TryFrom<&str> for Currency {
    type Error = Invalid;

    fn try_from(text: &str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl ReadValue for Currency {
    fn read(raw: &RawValue) -> Result<Self, Invalid> {
        Self::new(&string(raw)?)
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[A-Za-z]{3}$"})
    }
}

/// A point in time in the data of an event, from the year 1 to 9999, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventTime(Timestamp);

impl EventTime {
    /// Reads RFC 3339 and its usual relatives; a time without a zone is UTC.
    ///
    /// # Errors
    /// It is no time, or lies before the year 1.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::new(Timestamp::parse(text))
    }

    fn new(time: Option<Timestamp>) -> Result<Self, Invalid> {
        let time = time.ok_or_else(|| Invalid::new("bad_timestamp", format!("is none of {FORMS}")))?;
        let possible = time.micros_since_year_one().is_some();
        possible.then_some(Self(time)).ok_or_else(|| Invalid::new("timestamp_out_of_range", "lies before the year 1"))
    }

    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl TryFrom<&str> for EventTime {
    type Error = Invalid;

    fn try_from(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl Serialize for EventTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(self.0))
    }
}

impl ReadValue for EventTime {
    fn read(raw: &RawValue) -> Result<Self, Invalid> {
        Self::new(Timestamp::read(raw).map(|(time, _)| time))
    }
}

impl JsonSchema for EventTime {
    fn schema_name() -> Cow<'static, str> {
        "EventTime".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// RFC 3339 in UTC.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let mut out = Vec::with_capacity(32);
    time.write_rfc3339(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// What a person wrote: at most 65,536 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note(String);

impl Note {
    /// # Errors
    /// It is too long.
    pub fn new(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        if text.len() > MAX_NOTE_BYTES {
            return Err(Invalid::new(
                "text_too_long",
                format!("has {} bytes, {MAX_NOTE_BYTES} are allowed", text.len()),
            ));
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Note {
    type Error = Invalid;

    fn try_from(text: &str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

impl ReadValue for Note {
    fn read(raw: &RawValue) -> Result<Self, Invalid> {
        Self::new(string(raw)?)
    }
}

impl JsonSchema for Note {
    fn schema_name() -> Cow<'static, str> {
        "Note".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": MAX_NOTE_BYTES})
    }
}
