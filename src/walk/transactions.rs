//! Transactions, for each of the systems that read them.

use mongodb::bson::Document;
use pipeline::Record;

use super::json::{Plain, read};
use super::number::{Decimals, in_mongodb, is_amount};
use super::{VERSIONS, Walked, digest, get, id, members, stored, time, twice, unindexed, whole_number};

/// The deepest nesting of an event.
const LEVELS: usize = 128;
/// Fields of the envelope that may stand once.
const ONCE: [&str; 5] = ["event_type", "timestamp", "source", "transaction_id", "transaction"];
/// What enrichment adds to `metadata`.
#[rustfmt::skip]
pub(super) const ADDED: [&str; 11] = [
    "address_short", "card_masked", "counterparty", "crypto_asset", "crypto_network", "direction", "fiat_currency",
    "fiat_value", "merchant_category", "merchant_clean", "note",
];
/// The audit's columns, in their order.
const COLUMNS: [&str; 6] = ["user_id", "transaction_type", "product", "status", "currency", "amount"];

/// An event before anyone asked which store it goes to.
struct Stated {
    id: String,
    version: i64,
    deleted: bool,
    fields: Vec<(String, Plain)>,
}

/// For the index of documents.
pub fn index(record: &Record) -> Option<Walked> {
    walk_change(change(record)?, |fields| Some(of_event(fields, |value| value)))
}

/// For MongoDB.
pub fn mongodb(record: &Record) -> Option<Walked> {
    walk_change(change(record)?, |fields| Some(of_event(fields, in_mongodb)))
}

/// For Algolia, which does not keep fields as they came.
pub fn algolia(record: &Record) -> Option<Walked> {
    walk_change(change(record)?, |_| None)
}

/// For the audit.
pub fn audit(record: &Record) -> Option<Walked> {
    walk_change(change(record)?, |fields| {
        let payload = std::str::from_utf8(record.payload.as_deref()?).ok()?;
        // SQL has no text with a NUL in it.
        let column = |name| scalar(get(&fields, name)).map(|text| text.replace('\0', "\u{fffd}"));
        Some(of_row(Some(payload), COLUMNS.map(column).each_ref().map(Option::as_deref)))
    })
}

/// Of a document of the index; none of a tombstone.
pub(crate) fn of_source(source: &str) -> Option<u64> {
    match read(source, LEVELS)? {
        Plain::Object(fields) if *get(&fields, "_deleted") == Plain::Null => Some(of_held(fields)),
        _ => None,
    }
}

/// Of a document in MongoDB.
pub(crate) fn of_document(document: &Document) -> u64 {
    of_held(stored::members(document).collect())
}

/// Of a row of the audit: its payload and its columns.
pub(crate) fn of_row(payload: Option<&str>, columns: [Option<&str>; 6]) -> u64 {
    let text = |text: &str| Plain::Text(text.to_owned());
    let column = |(name, value): (&str, Option<&str>)| {
        let worth = |amount: &str| {
            let number = Decimals::of(amount).map(Decimals::worth);
            number.map_or_else(|| text(amount), |number| Plain::Number(number.text()))
        };
        let value = value.map_or(Plain::Null, |value| if name == "amount" { worth(value) } else { text(value) });
        (name.to_owned(), value)
    };
    let payload = ("payload".to_owned(), payload.map_or(Plain::Null, text));
    digest::of(COLUMNS.into_iter().zip(columns).map(column).chain([payload]))
}

fn walk_change(change: Stated, passed: impl FnOnce(Vec<(String, Plain)>) -> Option<u64>) -> Option<Walked> {
    let Stated { id, version, deleted, fields } = change;
    Some(Walked { id, version, deleted, passed: if deleted { None } else { passed(fields) } })
}

/// Of an event's fields, as a store holds what it takes, and of what is kept as JSON text.
fn of_event(fields: Vec<(String, Plain)>, in_store: fn(Plain) -> Plain) -> u64 {
    let (fields, moved) = unindexed::split(fields);
    of_both(list_passed(fields).into_iter().map(|(name, value)| (name, in_store(value))).collect(), moved)
}

/// Of a document's fields.
fn of_held(fields: Vec<(String, Plain)>) -> u64 {
    let moved = unindexed::rejoin(get(&fields, "_unindexed"), LEVELS);
    of_both(list_passed(fields), moved)
}

fn of_both(mut fields: Vec<(String, Plain)>, moved: Vec<Plain>) -> u64 {
    if !moved.is_empty() {
        fields.push(("_unindexed".to_owned(), Plain::List(moved)));
    }
    digest::of(fields)
}

/// The fields that come out as they went in: without our own, and of `metadata` without what enrichment adds.
fn list_passed(fields: Vec<(String, Plain)>) -> Vec<(String, Plain)> {
    let theirs = fields.into_iter().filter(|(name, _)| !is_ours(name));
    theirs
        .map(|(name, value)| match value {
            Plain::Object(mut inner) if name == "metadata" => {
                inner.retain(|(name, _)| !ADDED.contains(&name.as_str()));
                (name, if inner.is_empty() { Plain::Null } else { Plain::Object(inner) })
            }
            value => (name, value),
        })
        .collect()
}

fn is_ours(name: &str) -> bool {
    name.starts_with('_') || name == "search_content"
}

/// A text with something in it, or a number's digits.
fn scalar(value: &Plain) -> Option<&str> {
    match value {
        Plain::Text(text) if !text.is_empty() => Some(text),
        Plain::Number(digits) => Some(digits),
        _ => None,
    }
}

fn change(record: &Record) -> Option<Stated> {
    let envelope = members(record, LEVELS)?;
    if ONCE.iter().any(|name| envelope.iter().filter(|(known, _)| known == name).count() > 1) {
        return None;
    }
    let Plain::Text(event_type) = get(&envelope, "event_type") else { return None };
    let (rank, deleted) = match event_type.as_str() {
        "transaction.created" => (0, false),
        "transaction.updated" => (1, false),
        "transaction.deleted" => (2, true),
        _ => return None,
    };
    let micros = time::of_event(get(&envelope, "timestamp"), record.timestamp_ms)?;
    let outer = id(get(&envelope, "transaction_id"));
    let transaction = envelope.into_iter().find(|(name, _)| name == "transaction");
    let (id, fields) = match transaction.map_or(Plain::Null, |(_, value)| value) {
        Plain::Object(fields) => (id(get(&fields, "id"))?, fields),
        Plain::Null if deleted => (outer?, Vec::new()),
        _ => return None,
    };
    let fields: Vec<_> = fields.into_iter().filter(|(name, _)| !is_ours(name)).collect();
    if twice(&fields) || !(deleted || is_whole(&fields)) {
        return None;
    }
    Some(Stated { id, version: micros.saturating_mul(VERSIONS) + rank, deleted, fields })
}

/// Whether a create or update carries what it must.
fn is_whole(fields: &[(String, Plain)]) -> bool {
    let user = match get(fields, "user_id") {
        Plain::Text(user) => !user.is_empty(),
        Plain::Number(digits) => !digits.contains(['.', 'e', 'E']) || whole_number(digits).is_some(),
        _ => false,
    };
    let typed = matches!(get(fields, "transaction_type"), Plain::Text(kind) if !kind.is_empty());
    let amount = match get(fields, "amount") {
        Plain::Null | Plain::Number(_) => true,
        Plain::Text(text) => is_amount(text),
        _ => false,
    };
    user && typed && amount
}
