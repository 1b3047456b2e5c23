//! Tests over the whole crate: messages in, documents out.

mod documents;
mod properties;
mod rejects;
mod samples;
mod template;

use serde_json::value::RawValue;

use crate::{Fields, TransactionEvent, decode, write_document, write_tombstone};

const ENRICHED_AT: &str = "2024-01-01T12:00:05Z";

/// The document of a valid create or update.
fn document(payload: &[u8]) -> String {
    written(&decode(payload, None).unwrap())
}

fn written(event: &TransactionEvent<'_>) -> String {
    let mut out = Vec::new();
    if event.is_delete() {
        write_tombstone(event, &mut out);
    } else {
        write_document(event, ENRICHED_AT, &mut out);
    }
    String::from_utf8(out).unwrap()
}

/// A document's fields, after a check that it is one line of valid JSON without a name twice.
fn sound(document: &str) -> Fields<'_> {
    assert!(!document.contains(['\n', '\r']), "more than one line");
    serde_json::from_str::<&RawValue>(document).unwrap();
    let fields = Fields::parse(document).unwrap();
    assert_eq!(fields.duplicate(), None);
    fields
}

/// What a document keeps as JSON text: the field, the member of `metadata`, and the text.
fn kept_as_text(document: &Fields<'_>) -> Vec<(String, Option<String>, String)> {
    #[derive(serde::Deserialize)]
    struct KeptDocument {
        field: String,
        member: Option<String>,
        json: String,
    }
    let kept: Option<Vec<KeptDocument>> =
        document.get("_unindexed").map(|raw| serde_json::from_str(raw.get()).unwrap());
    kept.unwrap_or_default().into_iter().map(|kept| (kept.field, kept.member, kept.json)).collect()
}

/// A create with a sound envelope around the transaction's fields.
fn create(fields: &str) -> String {
    format!(
        r#"{{"event_type":"transaction.created","transaction":{{"id":"t1","user_id":"u1","transaction_type":"card"{}{fields}}},"timestamp":"2024-01-01T12:00:00Z"}}"#,
        if fields.is_empty() { "" } else { "," }
    )
}
