//! Owns writing an event in either version.

use serde::Serialize;

use crate::scalars::rfc3339;
use crate::{Event, EventVersion};

#[derive(Serialize)]
struct Head<'a> {
    id: &'a str,
    version: &'static str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<&'static str>,
    timestamp: String,
}

/// The payload of an event, in its version: one line of JSON.
///
/// # Errors
/// None that is known; what the serialiser says.
pub fn write(event: &Event) -> Result<Vec<u8>, serde_json::Error> {
    let head = Head {
        id: event.id.as_str(),
        version: event.version.as_str(),
        event_type: (event.version == EventVersion::V2).then(|| event.name().as_str()),
        timestamp: rfc3339(event.time),
    };
    let mut out = serde_json::to_vec(&head)?;
    let data = serde_json::to_vec(&event.data)?;
    // The fields follow those of the head: every event has one at least.
    out.pop();
    out.push(b',');
    match event.version {
        EventVersion::V1 => out.extend_from_slice(data.get(1..).unwrap_or_default()),
        EventVersion::V2 => {
            out.extend_from_slice(b"\"data\":");
            out.extend_from_slice(&data);
            out.push(b'}');
        }
    }
    Ok(out)
}
