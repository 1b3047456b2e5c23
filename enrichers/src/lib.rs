//! Owns the models of what comes on the topics: decoding a payload and judging it; of transactions also enriching them
//! and writing the document a store takes. [`clerk`], [`review`] and [`operation`] hold those of users, reviews and
//! the database consumer.
//! Waits for nothing: no I/O, no clock, no async; time and bytes are passed in.
//! Guarantees: no payload makes it panic, numbers come out digit for digit, a document is one line of valid JSON.

mod about;
pub mod clerk;
mod envelope;
mod fold;
mod identity;
pub mod operation;
pub mod review;
mod strategies;
mod transaction;

#[cfg(test)]
mod tests;

pub use about::is_about;
pub use identity::{micros_of, version_at};
pub use strategies::strategy_details;
pub use transaction::{TransactionEvent, TransactionKind, decode, write_document, write_tombstone};
pub use wire::DecodeError;
pub use wire::json::fields::Fields;
pub use wire::timestamp::Timestamp;
