//! The body of a batch, as `specs/search/paths/objects/batch.yml` of `algolia/api-clients-automation` describes it.

use std::borrow::Cow;

use bytes::Bytes;
use pipeline::sink::Failure;
use serde::Serialize;

/// Operations in a batch, as the official clients chunk them; the API takes more.
pub const BATCH_OPERATIONS: usize = 1_000;

/// Bytes of a batch that are best for indexing (documentation, "Sending records in batches"); the API takes up to 1 GB.
pub const BATCH_BYTES: usize = 10_000_000;

/// What a batch does to one object.
#[derive(Clone, Copy, Debug)]
pub enum Operation<'a> {
    /// Adds an object or replaces it.
    Save {
        /// A JSON object with an `objectID`.
        object: &'a str,
    },
    /// Replaces attributes of an object and leaves its others; adds it where it is missing.
    Merge {
        /// A JSON object with an `objectID`.
        object: &'a str,
    },
    /// Removes an object, if it is there.
    Delete { id: &'a str },
}

impl Operation<'_> {
    /// Bytes that it adds to a batch, at least.
    pub fn bytes(&self) -> usize {
        const AROUND: usize = r#"{"action":"deleteObject","body":{"objectID":""}},"#.len();
        AROUND
            + match self {
                Self::Save { object } | Self::Merge { object } => object.len() + 8,
                Self::Delete { id } => id.len(),
            }
    }
}

/// Builds the body of a batch request. Objects are JSON already, so they are copied in unchanged.
pub(super) fn body_of(requests: &[Operation<'_>]) -> Result<Bytes, Failure> {
    #[derive(Serialize)]
    struct ObjectIdField<'a> {
        #[serde(rename = "objectID")]
        id: &'a str,
    }
    let mut body = String::with_capacity(32 + requests.iter().map(Operation::bytes).sum::<usize>());
    body.push_str("{\"requests\":[");
    for (number, request) in requests.iter().enumerate() {
        let (action, object) = match request {
            Operation::Save { object } => ("addObject", Cow::Borrowed(*object)),
            Operation::Merge { object } => ("partialUpdateObject", Cow::Borrowed(*object)),
            Operation::Delete { id } => ("deleteObject", Cow::Owned(json(&ObjectIdField { id })?)),
        };
        let comma = if number == 0 { "" } else { "," };
        body.extend([comma, "{\"action\":\"", action, "\",\"body\":", &object, "}"]);
    }
    body.push_str("]}");
    Ok(Bytes::from(body))
}

pub(super) fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|_| Failure::broken("a request to Algolia could not be written as JSON"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_batch_holds_its_operations_in_order() {
        let requests = [
            Operation::Delete { id: "a\"b\u{e9}" },
            Operation::Save { object: r#"{"objectID":"1","n":1.50}"# },
            Operation::Delete { id: "" },
        ];
        let body = body_of(&requests).unwrap();
        let expected = json!({"requests": [
            {"action": "deleteObject", "body": {"objectID": "a\"b\u{e9}"}},
            {"action": "addObject", "body": {"objectID": "1", "n": 1.5}},
            {"action": "deleteObject", "body": {"objectID": ""}},
        ]});
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
        assert!(body.windows(4).any(|part| part == b"1.50"), "an object is sent as it was given");
        let counted: usize = requests.iter().map(Operation::bytes).sum();
        assert!((body.len() - 20..body.len() + 20).contains(&counted), "{counted} for {}", body.len());
    }

    #[test]
    fn nothing_to_do_is_a_batch_too() {
        assert_eq!(body_of(&[]).unwrap(), r#"{"requests":[]}"#);
    }
}
