//! Elasticsearch and OpenSearch.

mod client;
pub mod document;
mod errors;
mod inspect;
mod install;
mod nodes;
mod reader;
mod sink;

pub use client::Client;
pub use inspect::{Cluster, Name, inspect};
pub use install::{InstallError, install};
pub use reader::ElasticsearchShelf;
pub use sink::ElasticsearchSink;
