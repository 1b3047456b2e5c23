//! MongoDB.

mod bson;
mod client;
mod document;
mod errors;
pub(super) mod persons_collections;
mod reader;
mod refusals;
mod sink;

pub use bson::document_of;
pub(crate) use client::{DUPLICATE_KEY, number};
pub use client::{Mongo, MongoServer};
pub(crate) use document::VERSION;
pub use document::{Collection, OwnedFields, Upsert};
pub(crate) use errors::{judge_write, write_errors};
pub use persons_collections::People;
pub use reader::MongoReader;
pub use refusals::MongoRefusals;
pub use sink::MongoSink;
