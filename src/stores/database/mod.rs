//! The database of an application, written to operation by operation: MySQL, MariaDB and PostgreSQL by one code.

mod applied;
mod apply;
mod cache;
mod catalogue;
mod chunks;
mod dialect;
mod errors;
mod fold;
mod grouping;
mod health;
mod held;
mod inspect;
mod install;
mod keys;
mod kinds;
mod marks;
mod older;
mod operation;
mod reader;
mod resolver;
mod results;
mod session;
mod sink;

pub use applied::NO_SUCH_ROW;
pub use cache::{CacheWriter, RowCache};
pub use errors::{ErrorCode, ErrorMeaning, MYSQL, POSTGRES};
pub use health::DatabaseHealth;
pub use inspect::OperationTraces;
pub use install::OperationServer;
pub use keys::OperationKeys;
pub use operation::OperationWrite;
pub use reader::OperationReader;
pub use results::{OperationOutcome, OperationResult, OperationResults};
pub use session::OperationStore;
pub use sink::OperationSink;
