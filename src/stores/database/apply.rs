//! Applies operations: all of them in a few statements, and where that fails one after the other.
//!
//! Nothing is judged in a grouped attempt. It is rolled back and redone in the order of the log, with savepoints, by halves,
//! down to the operations that fail alone. What ends the transaction is for the caller to begin anew.

use std::collections::HashMap;

use enrichers::operation::SqlValue;
use pipeline::mutant;
use pipeline::sink::{Reject, Waiting};

use super::dialect::{RowParts, Statement};
use super::errors::{ErrorMeaning, SqlError};
use super::grouping::{StatementGroup, plan};
use super::held::{HeldRows, may_clear};
use super::marks::{self, MarkNote};
use super::operation::{ResolvedOperation, RowVerb};
use super::session::{OperationStore, SqlTransaction};

/// The class of an operation that finds no row to change.
pub const NO_SUCH_ROW: &str = "no_such_row";
/// So few operations are redone one by one.
const FEW: usize = 4;
/// Bytes of a statement beside its values, at most as far as is known.
const STATEMENT: usize = 4_096;

/// What became of an operation.
#[derive(Clone, Debug)]
pub(super) enum Applied {
    Done,
    /// It failed alone, and what it needs may still come.
    Waits(Reject),
    /// It failed alone, for good.
    Rejected(Reject),
    /// An earlier one of the same row waits, so it was not tried.
    Behind,
}

/// Why an operation failed alone.
#[derive(Clone, Debug)]
pub(super) enum OperationError {
    Sql(SqlError),
    /// There is no row to change.
    NoRow,
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
            Self::TooLarge => false,
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
    fn ends(self) -> Result<Self, SqlError> {
        match self {
            Self::Sql(error) if !matches!(error.meaning, ErrorMeaning::Ladder | ErrorMeaning::Poison) => Err(error),
            other => Ok(other),
        }
    }
}

/// Applies operations, in the order of the log; gives what became of each, in the same order. What is `held` waits already.
///
/// # Errors
/// What ended the transaction: nothing was applied, as far as is known.
pub(super) async fn apply(
    store: &OperationStore,
    operations: &[&ResolvedOperation<'_>],
    held: &HeldRows,
    waiting: &dyn Waiting,
) -> Result<Vec<Applied>, SqlError> {
    if operations.is_empty() {
        return Ok(Vec::new());
    }
    if mutant!(MarkedApart) {
        let mut apart = store.begin().await?;
        marks::write(&mut apart, store.dialect(), store.packet(), operations, &HashMap::new()).await?;
        apart.commit().await?;
    }
    let mut transaction = store.begin().await?;
    marks::forget(&mut transaction, store.dialect(), operations).await?;
    match attempt(store, &mut transaction, operations).await {
        Ok(()) => {
            transaction.commit().await?;
            return Ok(vec![Applied::Done; operations.len()]);
        }
        Err(failed) => drop(failed.ends()?),
    }
    drop(transaction);
    metrics::counter!("millrace_database_redone_total").increment(1);
    let mut transaction = store.begin().await?;
    marks::forget(&mut transaction, store.dialect(), operations).await?;
    let applied = redo(store, &mut transaction, operations, held.clone(), waiting).await?;
    mark_rejected(store, &mut transaction, operations, &applied).await?;
    transaction.commit().await?;
    Ok(applied)
}

/// Marks what can never be applied, so that it is judged the same when it is read again.
async fn mark_rejected(
    store: &OperationStore,
    transaction: &mut SqlTransaction,
    operations: &[&ResolvedOperation<'_>],
    applied: &[Applied],
) -> Result<(), SqlError> {
    let (mut rejected, mut notes) = (Vec::new(), HashMap::new());
    for (operation, applied) in operations.iter().zip(applied) {
        if let Applied::Rejected(why) = applied {
            notes.insert(rejected.len(), MarkNote { made: None, rejected: Some(why.clone()) });
            rejected.push(*operation);
        }
    }
    marks::write(transaction, store.dialect(), store.packet(), &rejected, &notes).await
}

/// By halves, in the order of the log, down to those that fail alone.
async fn redo(
    store: &OperationStore,
    transaction: &mut SqlTransaction,
    operations: &[&ResolvedOperation<'_>],
    mut held: HeldRows,
    waiting: &dyn Waiting,
) -> Result<Vec<Applied>, SqlError> {
    let mut applied = vec![Applied::Behind; operations.len()];
    let mut open: Vec<Vec<usize>> = parts((0..operations.len()).collect());
    while let Some(range) = open.pop() {
        let mut now = Vec::with_capacity(range.len());
        for place in range {
            let Some(operation) = operations.get(place) else { continue };
            if held.holds(operation) {
                held.add(operation);
            } else {
                now.push(place);
            }
        }
        if now.is_empty() {
            continue;
        }
        let chosen: Vec<&ResolvedOperation<'_>> =
            now.iter().filter_map(|place| operations.get(*place).copied()).collect();
        transaction.plain("SAVEPOINT millrace_redo").await?;
        match attempt(store, transaction, &chosen).await {
            Ok(()) => {
                transaction.plain("RELEASE SAVEPOINT millrace_redo").await?;
                for place in now {
                    if let Some(slot) = applied.get_mut(place) {
                        *slot = Applied::Done;
                    }
                }
            }
            Err(why) => {
                let why = why.ends()?;
                transaction.plain("ROLLBACK TO SAVEPOINT millrace_redo").await?;
                match (now.as_slice(), chosen.as_slice()) {
                    ([place], [operation]) => {
                        let row = failing_row(store, transaction, operation).await?;
                        let judged = judge(&why, row, operation, &held, waiting);
                        if matches!(judged, Applied::Waits(_)) {
                            held.add(operation);
                        }
                        if let Some(slot) = applied.get_mut(*place) {
                            *slot = judged;
                        }
                    }
                    _ => open.extend(parts(now)),
                }
                transaction.plain("RELEASE SAVEPOINT millrace_redo").await?;
            }
        }
    }
    Ok(applied)
}

/// Whether what failed alone may wait. A unique key that is taken is waited for only while something waits that may free it.
fn judge(
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

/// The parts of a range, the first at the end.
fn parts(mut range: Vec<usize>) -> Vec<Vec<usize>> {
    if range.len() <= FEW {
        return range.into_iter().rev().map(|place| vec![place]).collect();
    }
    let second = range.split_off(range.len() / 2);
    vec![second, range]
}

/// Which row of a bulk the database refuses: the first, in order.
async fn failing_row(
    store: &OperationStore,
    transaction: &mut SqlTransaction,
    operation: &ResolvedOperation<'_>,
) -> Result<Option<usize>, SqlError> {
    if operation.rows.len() < 2 {
        return Ok(None);
    }
    let mut found = None;
    for (number, row) in operation.rows.iter().enumerate() {
        let alone = ResolvedOperation { rows: vec![row.clone()], ..operation.clone() };
        let groups = plan(&[&alone]);
        if let Err(why) = run(store, transaction, &groups, &mut HashMap::new()).await {
            drop(why.ends()?);
            found = Some(number);
            break;
        }
    }
    transaction.plain("ROLLBACK TO SAVEPOINT millrace_redo").await?;
    Ok(found)
}

/// All of them at once, with their marks.
async fn attempt(
    store: &OperationStore,
    transaction: &mut SqlTransaction,
    operations: &[&ResolvedOperation<'_>],
) -> Result<(), OperationError> {
    let mut made = HashMap::new();
    run(store, transaction, &plan(operations), &mut made).await?;
    if mutant!(MarkedApart) {
        return Ok(());
    }
    marks::write(transaction, store.dialect(), store.packet(), operations, &made).await?;
    Ok(())
}

async fn run(
    store: &OperationStore,
    transaction: &mut SqlTransaction,
    groups: &[StatementGroup<'_>],
    made: &mut HashMap<usize, MarkNote>,
) -> Result<(), OperationError> {
    for group in groups {
        let makes_key = group.rows.iter().any(|row| row.name.is_none());
        let places = group.columns.len() * (group.table.key.len() + 1) + group.table.key.len();
        let bytes = |values: &[SqlValue]| values.iter().map(SqlValue::bytes).sum::<usize>();
        let largest = group.rows.iter().map(|row| bytes(&row.values) + bytes(&row.key)).max().unwrap_or_default();
        if largest + STATEMENT > store.packet() {
            return Err(OperationError::TooLarge);
        }
        let row_bytes = group.rows.iter().map(|row| bytes(&row.values) + bytes(&row.key) * (row.columns.len() + 1));
        let row_bytes = row_bytes.max().unwrap_or_default() + 16 * (group.columns.len() + 1);
        let mut rest = group.rows.as_slice();
        while !rest.is_empty() {
            let count = store.dialect().next_chunk(rest.len(), places, row_bytes, store.packet());
            let (now, later) = rest.split_at(count.clamp(1, rest.len()));
            let done = transaction.execute(&statement(store, group, now), makes_key).await?;
            if group.verb == RowVerb::Update && done.matched != now.len() as u64 {
                return Err(OperationError::NoRow);
            }
            if group.verb == RowVerb::Delete {
                let missed = (now.len() as u64).saturating_sub(done.matched);
                metrics::counter!("millrace_deletes_without_a_row_total").increment(missed);
            }
            if let (Some(id), Some(of)) = (done.made.filter(|_| makes_key), group.of.first()) {
                made.insert(*of, MarkNote { made: Some(id), rejected: None });
            }
            rest = later;
        }
    }
    Ok(())
}

fn statement(store: &OperationStore, group: &StatementGroup<'_>, rows: &[&super::operation::RowWrite]) -> Statement {
    let (table, dialect) = (&group.table, store.dialect());
    let (key, columns) = (table.bound(&table.key), table.bound(group.columns));
    match group.verb {
        RowVerb::Insert => {
            let rows: Vec<&[SqlValue]> = rows.iter().map(|row| row.values.as_slice()).collect();
            let makes = group.rows.iter().any(|row| row.name.is_none());
            let made = key.first().filter(|_| makes).map(|column| column.name.as_str());
            dialect.insert(&table.name, &columns, &rows, made)
        }
        RowVerb::Update => {
            let rows: Vec<RowParts<'_>> = rows.iter().map(|row| (row.key.as_slice(), row.values.as_slice())).collect();
            dialect.update(&table.name, &key, &columns, &rows)
        }
        RowVerb::Delete => {
            let rows: Vec<&[SqlValue]> = rows.iter().map(|row| row.key.as_slice()).collect();
            dialect.delete(&table.name, &key, &rows)
        }
    }
}
