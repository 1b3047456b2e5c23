//! What MongoDB holds, as values to compare.

use mongodb::bson::{Bson, Document};

use super::json::Plain;
use super::{digest, unindexed};

/// Where is kept what the store cannot hold.
const UNINDEXED: &str = "_unindexed";
/// More than any event has.
const LEVELS: usize = 128;

/// Of these fields of a document; those that are null say the same as those that are not there.
pub(crate) fn fields(document: &Document, names: &[&str]) -> u64 {
    let told = |(name, value): (String, Plain)| {
        // A text of JSON is what it says, however it is written.
        let list = name == UNINDEXED && matches!(value, Plain::List(_));
        let value = if list { Plain::List(unindexed::rejoin(&value, LEVELS)) } else { value };
        (name, value)
    };
    digest::of(members(document).filter(|(name, _)| names.contains(&name.as_str())).map(told))
}

pub(super) fn members(document: &Document) -> impl Iterator<Item = (String, Plain)> {
    document.iter().map(|(name, value)| (name.clone(), of(value)))
}

fn of(value: &Bson) -> Plain {
    match value {
        Bson::Null => Plain::Null,
        Bson::Boolean(bool) => Plain::Bool(*bool),
        Bson::Int32(number) => Plain::Number(number.to_string()),
        Bson::Int64(number) => Plain::Number(number.to_string()),
        Bson::Double(number) => Plain::Number(format!("{number:?}")),
        Bson::Decimal128(number) => Plain::Number(number.to_string()),
        Bson::String(text) => Plain::Text(text.clone()),
        Bson::DateTime(time) => Plain::Time(time.timestamp_millis()),
        Bson::Array(values) => Plain::List(values.iter().map(of).collect()),
        Bson::Document(document) => Plain::Object(members(document).collect()),
        // No event becomes anything else.
        other => Plain::Text(other.to_string()),
    }
}
