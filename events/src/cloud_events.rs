//! Owns the headers of a CloudEvent in binary mode (CloudEvents 1.0, Kafka protocol binding).

use crate::Event;
use crate::scalars::rfc3339;

const ID: &str = "ce_id";
const TIME: &str = "ce_time";
const SPECVERSION: &str = "ce_specversion";

/// What the headers of a record say of its event. The payload wins over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloudAttributes<'a> {
    pub id: Option<&'a str>,
    pub time: Option<&'a str>,
}

impl<'a> CloudAttributes<'a> {
    /// Finds them among a record's headers; of another major version than 1 they say nothing.
    pub fn of_headers(headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>) -> Self {
        let (mut found, mut known) = (Self::default(), true);
        for (name, value) in headers {
            let text = value.and_then(|bytes| std::str::from_utf8(bytes).ok()).filter(|text| !text.is_empty());
            match name {
                ID => found.id = text,
                TIME => found.time = text,
                SPECVERSION => known = text.is_some_and(|version| version.starts_with("1.")),
                _ => {}
            }
        }
        if known { found } else { Self::default() }
    }

    /// The headers of an event; `source` says who sends it, as a URI reference.
    pub fn headers(event: &Event, source: &str) -> Vec<(&'static str, String)> {
        let mut headers = Self::headers_without_time(event.id.as_str(), event.name().as_str(), source);
        headers.push((TIME, rfc3339(event.time)));
        headers
    }

    /// As [`Self::headers`], of an event of which only id and name are known; `ce_time` may be missing.
    pub(crate) fn headers_without_time(id: &str, name: &str, source: &str) -> Vec<(&'static str, String)> {
        vec![
            (SPECVERSION, "1.0".to_owned()),
            (ID, id.to_owned()),
            ("ce_type", name.to_owned()),
            ("ce_source", source.to_owned()),
            ("content-type", "application/json".to_owned()),
        ]
    }
}
