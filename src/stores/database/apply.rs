//! Applies operations: all of them in a few statements, and where that fails one after the other.
//!
//! Nothing is judged in a grouped attempt. It is rolled back and redone in the order of the log, with savepoints, by halves,
//! down to the operations that fail alone. What ends the transaction is for the caller to begin anew.

use std::collections::HashMap;

use enrichers::operation::SqlValue;
use pipeline::mutant;
use pipeline::sink::Waiting;

use super::applied::{Applied, OperationError, judge};
use super::dialect::{RowParts, Statement};
use super::errors::SqlError;
use super::grouping::{StatementGroup, plan};
use super::held::HeldRows;
use super::marks::{self, MarkNote};
use super::older;
use super::operation::{ResolvedOperation, RowVerb, RowWrite};
use super::session::{OperationStore, SqlTransaction};

/// So few operations are redone one by one.
const FEW: usize = 4;
/// Bytes of a statement beside its values, at most as far as is known.
const STATEMENT: usize = 4_096;

/// Applies one operation that may be older than what its rows hold: what was written later stays.
///
/// # Errors
/// As [`apply`].
pub(super) async fn apply_older(
    store: &OperationStore,
    operation: &ResolvedOperation<'_>,
    held: &HeldRows,
    waiting: &dyn Waiting,
) -> Result<Applied, SqlError> {
    let mut transaction = store.begin().await?;
    let Some(left) = older::remainder(store, &mut transaction, operation).await? else {
        return Ok(Applied::Superseded);
    };
    let all = [&left];
    marks::forget(&mut transaction, store.dialect(), &all).await?;
    let applied = redo(store, &mut transaction, &all, held.clone(), waiting).await?;
    mark_rejected(store, &mut transaction, &all, &applied).await?;
    transaction.commit().await?;
    Ok(applied.into_iter().next().unwrap_or(Applied::Behind))
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
            let (dialect, packet) = (store.dialect(), store.packet());
            // A row that is added stands once.
            let (count, length) = match group.verb {
                RowVerb::Insert => [dialect.next_chunk(rest.len(), places, row_bytes, packet); 2].into(),
                RowVerb::Update | RowVerb::Delete => dialect.next_filled_chunk(rest.len(), places, row_bytes, packet),
            };
            let (now, later) = rest.split_at(count);
            let filled: Vec<&RowWrite> =
                now.iter().chain(now.last().into_iter().cycle()).take(length).copied().collect();
            let done = transaction.execute(&statement(store, group, &filled), makes_key).await?;
            if group.verb == RowVerb::Update && done.matched != now.len() as u64 {
                return Err(missing(store, transaction, group).await?);
            }
            if group.verb == RowVerb::Delete {
                let missed = (now.len() as u64).saturating_sub(done.matched);
                metrics::counter!("millrace_deletes_without_a_row_total").increment(missed);
            }
            if let Some(id) = done.made.filter(|_| makes_key) {
                made.insert(group.of, MarkNote { made: Some(id), rejected: None });
            }
            rest = later;
        }
    }
    Ok(())
}

/// Why a row was not there to change: with a version that was expected, what it is.
async fn missing(
    store: &OperationStore,
    transaction: &mut SqlTransaction,
    group: &StatementGroup<'_>,
) -> Result<OperationError, SqlError> {
    let table = &group.table;
    let version = table.version.and_then(|place| table.columns_at(&[place]).pop());
    let ([row], Some(version)) = (group.rows.as_slice(), version) else { return Ok(OperationError::NoRow) };
    let Some(expected) = row.expected else { return Ok(OperationError::NoRow) };
    let key = table.columns_at(&table.key);
    let look_up = store.dialect().look_up(&table.name, &key, Some(&version), &[&row.key], false);
    let found = transaction.texts(&look_up).await?.into_iter().next();
    let version =
        |found: Vec<Option<String>>| OperationError::Version { expected, found: found.into_iter().flatten().next() };
    Ok(found.map_or(OperationError::NoRow, version))
}

fn statement(store: &OperationStore, group: &StatementGroup<'_>, rows: &[&RowWrite]) -> Statement {
    let (table, dialect) = (&group.table, store.dialect());
    let (key, columns) = (table.columns_at(&table.key), table.columns_at(group.columns));
    match group.verb {
        RowVerb::Insert => {
            let rows: Vec<&[SqlValue]> = rows.iter().map(|row| row.values.as_slice()).collect();
            let makes = group.rows.iter().any(|row| row.name.is_none());
            let made = key.first().filter(|_| makes).map(|column| column.name.as_str());
            dialect.insert(&table.name, &columns, &rows, made)
        }
        RowVerb::Update if rows.iter().any(|row| row.expected.is_some()) => {
            let place = table.version.as_slice();
            let key = [key, table.columns_at(place)].concat();
            let expected = |row: &RowWrite| row.expected.map(|version| SqlValue::Integer(version.into()));
            let keys: Vec<Vec<SqlValue>> =
                rows.iter().map(|row| row.key.iter().cloned().chain(expected(row)).collect()).collect();
            let rows: Vec<RowParts<'_>> =
                keys.iter().zip(rows).map(|(key, row)| (key.as_slice(), row.values.as_slice())).collect();
            dialect.update(&table.name, &key, &columns, &rows)
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
