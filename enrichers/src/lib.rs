//! Owns the models of what comes on the topics: decoding a payload and judging it; of transactions also enriching them
//! and writing the document a store takes. [`clerk`], [`review`] and [`operation`] hold those of users, reviews and
//! the database consumer.
//! Waits for nothing: no I/O, no clock, no async; time and bytes are passed in.
//! Guarantees: no payload makes it panic, numbers come out digit for digit, a document is one line of valid JSON.

mod about;
mod card_numbers;
pub mod clerk;
mod decimal;
mod decode;
mod depth;
mod document;
mod envelope;
mod event;
mod facts;
mod fields;
mod fold;
mod frame;
mod json;
mod mcc;
mod merchant;
pub mod operation;
pub mod review;
mod search;
mod strategies;
mod timestamp;
mod unindexed;

#[cfg(test)]
mod tests;

pub use about::is_about;
pub use decode::decode;
pub use document::{write_document, write_tombstone};
pub use event::{DecodeError, TransactionEvent, TransactionKind, micros_of, version_at};
pub use fields::Fields;
pub use strategies::added_details;
pub use timestamp::Timestamp;
