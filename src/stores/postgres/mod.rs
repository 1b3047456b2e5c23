//! PostgreSQL.

mod client;
mod errors;
mod reader;
mod refusals;
mod sink;
mod statement;

pub use client::{Postgres, Server};
pub use reader::PostgresShelf;
pub use refusals::PostgresRefusals;
pub use sink::PostgresAudit;
