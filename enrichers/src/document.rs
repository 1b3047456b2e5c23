//! Owns the shape of a document: the transaction's fields flat, the enriched details in `metadata`, and our own fields.
//! Guarantees: one line, no name twice at the top level, values spliced through as they came; a lone surrogate is U+FFFD.

use serde_json::value::RawValue;

use crate::json::Changes;
use crate::search::SearchContent;
use crate::strategies::{Details, Facts, Strategy};
use crate::{Event, Fields, json};

/// Appends the document of a create or update to `out`: one line of JSON without a line break at its end.
///
/// `enriched_at` is the present time as RFC 3339. `_enriched` says whether a strategy knew the transaction's type and
/// could put its details into `metadata`.
pub fn write_document(event: &Event<'_>, enriched_at: &str, out: &mut Vec<u8>) {
    let raw_metadata = event.transaction.get("metadata").filter(|raw| raw.get() != "null");
    let parsed = raw_metadata.map_or_else(|| Some(Fields::default()), read_object);
    let strategy = parsed.as_ref().and(Strategy::of(&event.transaction));
    let metadata = parsed.unwrap_or_default();
    let facts = Facts { transaction: &event.transaction, metadata: &metadata };
    let mut search = SearchContent::of(&facts);

    let mut opener = b'{';
    let mut placed = false;
    for (name, raw) in event.transaction.iter() {
        write_name(name, opener, out);
        opener = b',';
        match strategy {
            Some(strategy) if name == "metadata" => {
                write_metadata(strategy, &facts, raw, event.changes, &mut search, out);
                placed = true;
            }
            _ => json::splice(raw.get(), event.changes, out),
        }
    }
    if let (Some(strategy), false) = (strategy, placed) {
        write_name("metadata", opener, out);
        write_metadata(strategy, &facts, RawValue::NULL, event.changes, &mut search, out);
        opener = b',';
    }
    write_name("search_content", opener, out);
    json::write_string(search.as_str(), out);
    out.extend_from_slice(if strategy.is_some() { b",\"_enriched\":true" } else { b",\"_enriched\":false" });
    out.extend_from_slice(b",\"_enriched_at\":");
    json::write_string(enriched_at, out);
    write_updated_at(event, out);
}

/// Appends what remains of a deleted transaction to `out`: its id and time, nothing personal.
pub fn write_tombstone(event: &Event<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    json::write_string(&event.id, out);
    out.extend_from_slice(b",\"_deleted\":true");
    write_updated_at(event, out);
}

fn write_updated_at(event: &Event<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"_updated_at\":\"");
    event.timestamp.write_rfc3339(out);
    out.extend_from_slice(b"\"}");
}

fn write_name(name: &str, opener: u8, out: &mut Vec<u8>) {
    out.push(opener);
    json::write_string(name, out);
    out.push(b':');
}

/// An object's fields; `None` for other kinds of value.
fn read_object(raw: &RawValue) -> Option<Fields<'_>> {
    raw.get().starts_with('{').then(|| Fields::parse(raw.get())).flatten()
}

/// The producer's metadata with the strategy's details behind its own keys.
fn write_metadata(
    strategy: &Strategy,
    facts: &Facts<'_, '_>,
    raw: &RawValue,
    changes: Changes,
    search: &mut SearchContent,
    out: &mut Vec<u8>,
) {
    if facts.metadata.is_empty() {
        out.push(b'{');
    } else {
        json::splice(raw.get().strip_suffix('}').unwrap_or_default(), changes, out);
    }
    let mut details = Details::new(facts.metadata, search, out);
    (strategy.enrich)(facts, &mut details);
    out.push(b'}');
}
