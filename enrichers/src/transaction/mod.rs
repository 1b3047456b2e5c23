//! Owns transactions: decoding their events, and writing the document that a store takes.

mod card_numbers;
mod decode;
mod document;
mod event;
mod facts;
pub(crate) mod mcc;
pub(crate) mod merchant;
pub(crate) mod search;
pub(crate) mod unindexed;

pub(crate) use card_numbers::{last_four, without_card_numbers};
pub use decode::decode;
pub use document::{write_document, write_tombstone};
pub use event::{TransactionEvent, TransactionKind};
pub(crate) use facts::ProducerFields;
