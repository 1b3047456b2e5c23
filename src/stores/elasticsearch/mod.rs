//! Elasticsearch and OpenSearch.

mod client;
pub mod document;
mod erase;
mod errors;
mod inspect;
mod install;
mod nodes;
mod reader;
mod sink;

pub use client::ElasticsearchClient;
pub use inspect::{AliasState, Cluster, inspect};
pub use install::{InstallError, install};
pub use reader::ElasticsearchReader;
pub use sink::ElasticsearchSink;
