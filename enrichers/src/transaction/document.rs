//! Owns the shape of a document: the transaction's fields flat, the enriched details in `metadata`, and our own fields.
//! Guarantees: one line, no name twice in any object, values spliced through as they came; a lone surrogate is U+FFFD. What no
//! store could take is in `_unindexed`, as JSON text.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::strategies::{Details, ProducerFields, Strategy};
use crate::transaction::search::SearchContent;
use crate::transaction::unindexed::Unindexed;
use crate::{Fields, TransactionEvent};
use wire::json;
use wire::json::Changes;

/// Appends the document of a create or update to `out`: one line of JSON without a line break at its end.
///
/// `enriched_at` is the present time as RFC 3339. `_enriched` says whether a strategy knew the transaction's type and
/// could put its details into `metadata`. Returns how many fields are kept as JSON text, because no store could take them.
pub fn write_document(event: &TransactionEvent<'_>, enriched_at: &str, out: &mut Vec<u8>) -> usize {
    let raw_metadata = event.transaction.get("metadata").filter(|raw| raw.get() != "null");
    let parsed = raw_metadata.map_or_else(|| Some(Fields::default()), read_object);
    let strategy = parsed.as_ref().and(Strategy::of(&event.transaction));
    let metadata = parsed.unwrap_or_default();
    let facts = ProducerFields { transaction: &event.transaction, metadata: &metadata };
    let mut search = SearchContent::of(&facts);

    let mut unindexed = Unindexed::default();
    let kept = unindexed.takes_members(&metadata);
    let own = Metadata { facts: &facts, kept: kept.as_deref(), changes: event.changes };

    let mut opener = b'{';
    let mut placed = false;
    for (name, raw) in event.transaction.iter() {
        if name == "metadata" && (strategy.is_some() || kept.is_some()) {
            write_name(name, opener, out);
            own.write(strategy, raw, &mut search, out);
            placed = true;
        } else if unindexed.takes(name, raw) {
            continue;
        } else {
            write_name(name, opener, out);
            json::splice(raw.get(), event.changes, out);
        }
        opener = b',';
    }
    if let (Some(_), false) = (strategy, placed) {
        write_name(&Cow::Borrowed("metadata"), opener, out);
        own.write(strategy, RawValue::NULL, &mut search, out);
        opener = b',';
    }
    write_name(&Cow::Borrowed("search_content"), opener, out);
    json::write_string(search.as_str(), out);
    out.extend_from_slice(if strategy.is_some() { b",\"_enriched\":true" } else { b",\"_enriched\":false" });
    out.extend_from_slice(b",\"_enriched_at\":");
    json::write_string(enriched_at, out);
    unindexed.write(out);
    write_updated_at(event, out);
    unindexed.len()
}

/// Appends what remains of a deleted transaction to `out`: its id and time, nothing personal.
pub fn write_tombstone(event: &TransactionEvent<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    json::write_string(&event.id, out);
    out.extend_from_slice(b",\"_deleted\":true");
    write_updated_at(event, out);
}

fn write_updated_at(event: &TransactionEvent<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"_updated_at\":\"");
    event.timestamp.write_rfc3339(out);
    out.extend_from_slice(b"\"}");
}

/// A name that is borrowed has no escapes, and is written as it came.
#[expect(clippy::ptr_arg, reason = "borrowed or not tells whether it has escapes")]
fn write_name(name: &Cow<'_, str>, opener: u8, out: &mut Vec<u8>) {
    out.push(opener);
    match name {
        Cow::Borrowed(name) => {
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.push(b'"');
        }
        Cow::Owned(name) => json::write_string(name, out),
    }
    out.push(b':');
}

/// An object's fields; `None` for other kinds of value.
fn read_object(raw: &RawValue) -> Option<Fields<'_>> {
    raw.get().starts_with('{').then(|| Fields::parse(raw.get())).flatten()
}

/// The producer's metadata on its way out.
struct Metadata<'m, 'e, 'a> {
    facts: &'m ProducerFields<'e, 'a>,
    /// Those that are left, where some are moved.
    kept: Option<&'m [(&'m Cow<'m, str>, &'m RawValue)]>,
    changes: Changes,
}

impl Metadata<'_, '_, '_> {
    /// Writes it with the strategy's details behind its own keys.
    fn write(&self, strategy: Option<&Strategy>, raw: &RawValue, search: &mut SearchContent, out: &mut Vec<u8>) {
        let is_empty = match self.kept {
            None if self.facts.metadata.is_empty() => true,
            None => {
                json::splice(raw.get().strip_suffix('}').unwrap_or_default(), self.changes, out);
                false
            }
            Some(kept) => {
                let mut opener = b'{';
                for (name, raw) in kept {
                    write_name(name, opener, out);
                    json::splice(raw.get(), self.changes, out);
                    opener = b',';
                }
                kept.is_empty()
            }
        };
        if is_empty {
            out.push(b'{');
        }
        if let Some(strategy) = strategy {
            (strategy.enrich)(self.facts, &mut Details::new(self.facts.metadata, is_empty, search, out));
        }
        out.push(b'}');
    }
}
