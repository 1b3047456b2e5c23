//! Owns the envelope in which other services' events come: `type`, `timestamp`, and an object `data` with an id.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{DecodeError, Fields};
use wire::json;
use wire::json::payload::{self, name_envelope, object, printable, read_id};

/// An event before anyone asked what it is about.
pub(crate) struct Envelope<'a> {
    /// The payload.
    pub(crate) text: &'a str,
    fields: Fields<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads a payload of at most `max_depth` levels.
    ///
    /// # Errors
    /// `not_utf8`, `not_json`, `not_an_object`, `too_deep`, `duplicate_field`.
    pub(crate) fn read(payload: &'a [u8], max_depth: usize) -> Result<Self, DecodeError> {
        let text = payload::text(payload, max_depth)?;
        let fields = object(text)?;
        once(&fields, "event")?;
        Ok(Self { text, fields })
    }

    /// # Errors
    /// `unknown_event_type` when it is missing or not a string.
    pub(crate) fn event_type(&self) -> Result<Cow<'a, str>, DecodeError> {
        let missing = || DecodeError::new("unknown_event_type", "`type` is missing or not a string");
        self.fields.get("type").and_then(json::string).ok_or_else(|| name_envelope(missing(), self.text))
    }

    pub(crate) fn timestamp(&self) -> Option<&'a RawValue> {
        self.fields.get("timestamp")
    }

    /// # Errors
    /// `missing_field` when it is not an object, `duplicate_field`, `not_json`.
    pub(crate) fn data(&self) -> Result<Fields<'a>, DecodeError> {
        let data = self.fields.get("data").filter(|raw| raw.get().starts_with('{'));
        let missing = || DecodeError::new("missing_field", "`data` is missing or not an object");
        let data = object(data.ok_or_else(missing)?.get())?;
        once(&data, "data")?;
        Ok(data)
    }

    /// # Errors
    /// `missing_id`, `id_too_long`.
    pub(crate) fn id(&self, data: &Fields<'a>) -> Result<Cow<'a, str>, DecodeError> {
        read_id(data.get("id"), "data.id")
    }
}

/// A value that is there and not null.
pub(crate) fn drop_null(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

/// A string's content or a number's digits. `None` where it is missing or null; anything else would be lost.
pub(crate) fn text(data: &Fields<'_>, name: &str, path: &str) -> Result<Option<String>, DecodeError> {
    let Some(raw) = drop_null(data.get(name)) else { return Ok(None) };
    let text = json::string(raw).or_else(|| json::number(raw).map(Into::into));
    let wrong = || DecodeError::new("bad_field", format!("`{path}` is neither a string nor a number"));
    text.map(|text| Some(text.into_owned())).ok_or_else(wrong)
}

fn once(fields: &Fields<'_>, of: &str) -> Result<(), DecodeError> {
    fields.duplicate().map_or(Ok(()), |name| {
        Err(DecodeError::new("duplicate_field", format!("{} stands twice", printable(of, name))))
    })
}
