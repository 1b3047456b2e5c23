//! What waits of a request: later operations of the same rows are not tried. Pure.

use std::collections::HashSet;

use pipeline::sink::Waiting;

use super::catalogue::TableShape;
use super::operation::{ResolvedOperation, is_row_of};

/// The rows and marks of operations that wait.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldRows(HashSet<String>);

impl HeldRows {
    /// Whether an operation has to wait behind another.
    pub(super) fn holds(&self, operation: &ResolvedOperation<'_>) -> bool {
        !self.0.is_empty() && operation.names().any(|name| self.0.contains(&name))
    }

    /// An operation waits.
    pub(super) fn add(&mut self, operation: &ResolvedOperation<'_>) {
        self.0.extend(operation.names());
    }

    /// Whether one of them may free a unique key of this table.
    pub(super) fn may_clear(&self, table: &TableShape) -> bool {
        self.0.iter().any(|name| may_clear(table, name))
    }
}

/// Whether an operation on the row of this key may free a unique key of a table: one of its own, or of a table that a foreign key
/// binds to it.
pub(super) fn may_clear(table: &TableShape, key: &str) -> bool {
    is_row_of(&table.name, key) || table.bound.iter().any(|bound| is_row_of(bound, key))
}

/// Of whoever has no ladder: what cannot pass now is rejected.
pub(super) struct NobodyWaits;

impl Waiting for NobodyWaits {
    fn may_wait(&self, _write: usize, _class: &str) -> bool {
        false
    }

    fn conflict_may_wait(&self, _write: usize, _class: &str, _may_clear: &dyn Fn(&str) -> bool) -> bool {
        false
    }
}
