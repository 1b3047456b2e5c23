//! SQLite: one file that holds the index with its full-text search, the audit, or both.

mod audit;
mod client;
mod documents;
mod persons_tables;
mod reader;

pub use audit::SqliteAudit;
pub use client::{Sqlite, Stored};
pub use documents::{Hits, SqliteDocuments};
pub use reader::SqliteReader;
