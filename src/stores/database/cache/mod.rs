//! Rows in Redis, for whoever reads them: what is kept is what the database has, whoever reads and writes at the same time.
//!
//! Each row has a generation beside its value, a text that never comes twice. A reader is given the generation as a lease
//! before it asks the database, and may keep what it read only while the generation stands. A writer takes value and
//! generation away after its commit. So a value that was read before a commit is either refused, or is there before the
//! writer takes it away. A generation that is missing refuses, and so does one of another epoch: the server's own name of its
//! history, which changes when it starts anew or takes over from another.

mod dirty;
mod protocol;
mod row_cache;
mod row_json;
mod upkeep;
mod written;

pub use row_cache::RowCache;
pub use upkeep::CacheWriter;
pub(super) use written::CacheHook;
