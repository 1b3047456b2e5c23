//! What the events between services come to, in PostgreSQL: a schema of its own, made by `migrations/reactions/`.
//!
//! [`effects`] is pure: a batch of events in, rows out, each subject once. [`transact`] merges the rows into the tables, a statement
//! a table, in one transaction with the marks of the events. An aspect of a subject is what the latest event says of it, by event
//! time and id, so that the order of arrival decides nothing. What follows is put into the outbox of the same transaction, and the
//! [`relay`] publishes it. Files that go are a list in the same database, which the [`file_worker`] works off.

mod background;
pub mod effects;
mod emitted;
pub mod file_worker;
pub mod media_files;
pub mod outbox;
pub mod reaction_group;
pub mod reaction_upkeep;
mod reader;
pub mod relay;
mod rows;
pub mod signal;
mod sink;
pub mod transact;

pub use background::BackgroundTask;
pub use reader::MarkReader;
pub use sink::{ReactionSink, ReactionWrite};
