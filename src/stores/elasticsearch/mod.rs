//! Elasticsearch and OpenSearch.

mod client;
pub mod document;
mod errors;
mod inspect;
mod install;
mod nodes;
mod persons_documents;
mod pressure;
mod reader;
mod sink;

pub use client::ElasticsearchClient;
pub use inspect::{AliasState, Cluster, inspect};
pub(crate) use install::remove_index;
pub use install::{InstallError, install};
pub use reader::ElasticsearchReader;
pub use sink::ElasticsearchSink;
