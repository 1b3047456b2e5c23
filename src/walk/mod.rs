//! A plain walk over what stands on the topics, for whoever judges the consumer.
//!
//! It tells of a record what the consumer's decoders tell: the document's id, its version, whether it is a delete; and of the
//! fields that the store has to hold unchanged a digest, which it takes of what a store holds as well. It shares no code with
//! the decoders, not even the reader of JSON, so that a bug in one shows as a difference to the other.

mod digest;
pub mod events;
mod json;
mod number;
pub mod reviews;
mod stored;
#[cfg(test)]
mod tests;
mod time;
pub mod transactions;
mod unindexed;
pub mod users;

use pipeline::Record;

pub(crate) use digest::first_bytes;
use json::Plain;
pub(crate) use stored::fields;

/// Reads a record of a system; `None` where it is no event, or one that has to be a dead letter.
pub type Walk = fn(&Record) -> Option<Walked>;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// The document's.
    pub id: String,
    pub version: i64,
    pub deleted: bool,
    /// Of the fields that the store has to hold unchanged; none of a delete, and where the store does not keep them.
    pub passed: Option<u64>,
}

/// How many versions a microsecond has.
const VERSIONS: i64 = 4;
/// The longest id, in bytes.
const LONGEST_ID: usize = 512;

/// The members of the one JSON object that a record's payload is.
fn members(record: &Record, levels: usize) -> Option<Vec<(String, Plain)>> {
    let payload = std::str::from_utf8(record.payload.as_deref()?).ok()?;
    match json::read(payload, levels)? {
        Plain::Object(members) => Some(members),
        _ => None,
    }
}

/// The value of a name: of several the first.
fn get<'a>(members: &'a [(String, Plain)], name: &str) -> &'a Plain {
    members.iter().find(|(known, _)| known == name).map_or(&Plain::Null, |(_, value)| value)
}

/// Whether a name stands twice.
fn twice(members: &[(String, Plain)]) -> bool {
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| matches!(pair, [one, next] if one == next))
}

/// A text with something in it, or the digits of a whole number.
fn id(value: &Plain) -> Option<String> {
    let id = match value {
        Plain::Text(text) => text.clone(),
        Plain::Number(digits) if !digits.contains(['.', 'e', 'E']) => digits.clone(),
        Plain::Number(digits) => whole_number(digits)?.to_string(),
        _ => return None,
    };
    (1..=LONGEST_ID).contains(&id.len()).then_some(id)
}

/// The number that is written, if it is whole.
fn whole_number(digits: &str) -> Option<i128> {
    let (coefficient, places) = time::exact(digits)?;
    let unit = 10_i128.checked_pow(places)?;
    (coefficient % unit == 0).then(|| coefficient / unit)
}
