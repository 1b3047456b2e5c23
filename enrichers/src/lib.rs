//! Owns the transaction model: decoding a payload, judging it, enriching it, writing the document a store takes.
//! Waits for nothing: no I/O, no clock, no async; time and bytes are passed in.
//! Guarantees: no payload makes it panic, numbers come out digit for digit, a document is one line of valid JSON.

mod about;
mod card_numbers;
mod decimal;
mod decode;
mod depth;
mod document;
mod event;
mod facts;
mod fields;
mod fold;
mod json;
mod mcc;
mod merchant;
mod search;
mod strategies;
mod timestamp;

#[cfg(test)]
mod tests;

pub use about::is_about;
pub use decode::decode;
pub use document::{write_document, write_tombstone};
pub use event::{Event, Kind, Reject, micros_of, version_at};
pub use fields::Fields;
pub use timestamp::Timestamp;
