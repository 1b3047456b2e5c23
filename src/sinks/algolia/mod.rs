//! Algolia: a search service that keeps the latest object under each id, and no versions.
//!
//! It owns the calls of its REST API that stores are made of, and judges what they answer. It guarantees that the API key
//! and the content of objects reach no message.

mod answer;
mod batch;
mod client;
mod hosts;
mod shelf;
mod sink;
mod store;

pub use batch::{BATCH_BYTES, BATCH_OPERATIONS, Operation};
pub use client::{Client, MOST_OBJECTS, Page, TaskId, Timeouts};
pub use store::{Kept, RatedKept, needed, target};
