//! Algolia: a search service that keeps the latest object under each id, and no versions.
//!
//! It owns the calls of its REST API that stores are made of, and judges what they answer. It guarantees that the API key
//! and the content of objects reach no message.

mod bind;
mod client;
mod errors;
mod hosts;
mod reader;
mod request;
mod sink;
pub mod version_store;
mod version_store_mongodb;
mod version_store_postgres;

pub use bind::{IndexSpec, RatingIndexSpec, needs, target};
pub use client::{AlgoliaClient, BrowsePage, MOST_OBJECTS, TaskId, Timeouts};
pub use request::{BATCH_BYTES, BATCH_OPERATIONS, Operation};
pub use version_store_mongodb::MongoVersionStore;
pub use version_store_postgres::PostgresVersionStore;
pub(crate) use version_store_postgres::possible;
