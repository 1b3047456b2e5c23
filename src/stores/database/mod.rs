//! The database of an application, written to operation by operation: MySQL, MariaDB and PostgreSQL by one code.

mod apply;
mod cache;
mod catalogue;
mod dialect;
mod errors;
mod grouping;
mod health;
mod install;
mod kinds;
mod ladder;
mod marks;
mod operation;
mod reader;
mod session;
mod sink;

pub use cache::{CacheWriter, RowCache};
pub use errors::{ErrorCode, ErrorMeaning, MYSQL, POSTGRES};
pub use health::DatabaseHealth;
pub use install::OperationServer;
pub use operation::OperationWrite;
pub use reader::OperationReader;
pub use session::OperationStore;
pub use sink::OperationSink;
