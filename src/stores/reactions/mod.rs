//! What the events between services come to, in PostgreSQL: a schema of its own, made by `migrations/reactions/`.
//!
//! [`effects`] is pure: a batch of events in, rows out, each subject once. [`transact`] merges the rows into the tables, a statement
//! a table, in one transaction with the marks of the events. An aspect of a subject is what the latest event says of it, by event
//! time and id, so that the order of arrival decides nothing.

pub mod effects;
mod emitted;
mod rows;
pub mod transact;
