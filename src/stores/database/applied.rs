//! What became of an operation, and whether what failed alone may wait.

use pipeline::sink::{Reject, Waiting};

use super::errors::{ErrorMeaning, SqlError};
use super::held::{HeldRows, may_clear};
use super::operation::ResolvedOperation;

/// The class of an operation that finds no row to change.
pub const NO_SUCH_ROW: &str = "no_such_row";

/// What became of an operation.
#[derive(Clone, Debug)]
pub(super) enum Applied {
    Done,
    /// It failed alone, and what it needs may still come.
    Waits(Reject),
    /// It failed alone, for good.
    Rejected(Reject),
    /// All that it writes was written later.
    Superseded,
    /// An earlier one of the same row waits, so it was not tried.
    Behind,
}

/// Why an operation failed alone.
#[derive(Clone, Debug)]
pub(super) enum OperationError {
    Sql(SqlError),
    /// There is no row to change.
    NoRow,
    /// The row is of another version than was expected; `None`: of none.
    Version {
        expected: i64,
        found: Option<String>,
    },
    /// A row is larger than the packet that the server takes; it would close the connection.
    TooLarge,
}

impl From<SqlError> for OperationError {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl OperationError {
    /// Whether what it needs may come by itself.
    fn may_pass(&self) -> bool {
        match self {
            Self::Sql(error) => error.meaning != ErrorMeaning::Poison,
            Self::NoRow => true,
            Self::TooLarge | Self::Version { .. } => false,
        }
    }

    /// As a reason for a letter; `row` is that of a bulk.
    fn reject(&self, operation: &ResolvedOperation<'_>, row: Option<usize>) -> Reject {
        let place = match row {
            Some(row) => format!("{} of {}, row {row}", operation.verb.name(), operation.table.name),
            None => format!("{} of {}", operation.verb.name(), operation.table.name),
        };
        match self {
            Self::NoRow => Reject::new(NO_SUCH_ROW, format!("{place}: there is no such row")),
            Self::Version { expected, found } => {
                let found = found.as_deref().unwrap_or("NULL");
                let why = format!("{place}: the row is of version {found}, and version {expected} was expected");
                Reject::new("version_mismatch", why)
            }
            Self::TooLarge => {
                let why = format!("{place}: the row is larger than the server takes (max_allowed_packet)");
                Reject::new("too_large_for_server", why)
            }
            Self::Sql(error) => Reject::new(format!("sql_{}", error.code), format!("{place}: {}", error.why)),
        }
    }

    fn is_taken(&self) -> bool {
        matches!(self, Self::Sql(error) if error.is_taken())
    }

    /// The error that ends the transaction, if it is one.
    pub(super) fn ends(self) -> Result<Self, SqlError> {
        match self {
            Self::Sql(error) if !matches!(error.meaning, ErrorMeaning::Ladder | ErrorMeaning::Poison) => Err(error),
            other => Ok(other),
        }
    }
}

/// Whether what failed alone may wait. A unique key that is taken is waited for only while something waits that may free it.
pub(super) fn judge(
    why: &OperationError,
    row: Option<usize>,
    operation: &ResolvedOperation<'_>,
    held: &HeldRows,
    waiting: &dyn Waiting,
) -> Applied {
    let (reject, table) = (why.reject(operation, row), &*operation.table);
    let waits = if why.may_pass() || (why.is_taken() && held.may_clear(table)) {
        waiting.may_wait(operation.index, &reject.class)
    } else {
        why.is_taken() && waiting.conflict_may_wait(operation.index, &reject.class, &|key| may_clear(table, key))
    };
    if waits { Applied::Waits(reject) } else { Applied::Rejected(reject) }
}
