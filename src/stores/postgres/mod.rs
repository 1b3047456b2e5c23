//! PostgreSQL.

mod client;
mod errors;
mod migrate;
pub(super) mod persons_rows;
mod reader;
mod refusals;
mod sink;
mod statement;

pub use client::{Postgres, PostgresServer};
pub use reader::PostgresReader;
pub use refusals::PostgresRefusals;
pub use sink::PostgresAudit;
