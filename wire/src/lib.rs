//! Owns reading what producers write: JSON to the letter, numbers of any size, times in the forms that are about.
//! Waits for nothing: no I/O, no clock, no async.
//! Guarantees: no bytes make it panic, and no reason quotes a value.

pub mod decimal;
mod error;
pub mod json;
pub mod timestamp;

pub use error::DecodeError;
