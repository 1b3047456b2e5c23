//! PostgreSQL.

mod client;
pub(super) mod erase;
mod errors;
mod reader;
mod refusals;
mod sink;
mod statement;

pub use client::{Postgres, PostgresServer};
pub use reader::PostgresReader;
pub use refusals::PostgresRefusals;
pub use sink::PostgresAudit;
