//! What the operations of some records did, by their marks: applied, a copy, a letter, or nothing that anybody knows of.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use enrichers::operation::{DatabaseOperation, SqlValue, decode};
use pipeline::Record;

use super::super::catalogue::TableShape;
use super::super::errors::SqlError;
use super::super::marks::{self, Marked};
use super::super::operation::{OperationWrite, ResolvedOperation, RowWrite};
use super::super::resolver::{Unresolved, resolve};
use super::OperationFold;
use super::row_state::{SpilledEntry, WrittenEntry};
use super::value_match::{common_name, value_of};
use crate::stores::folded::{FoldedRecords, RecordPlace, RowEntry, UnappliedOperation};

/// What became of an operation.
#[derive(Debug, PartialEq, Eq)]
enum OperationStanding {
    /// It is marked at its place; without a mark it may have been purged.
    Applied {
        marked: bool,
    },
    /// It was applied elsewhere, or it is a letter.
    Settled,
    Unapplied(&'static str),
}

/// An operation that was read.
struct ReadOperation<'r> {
    record: &'r Record,
    write: OperationWrite,
    operation: DatabaseOperation<'r>,
}

/// Where a record stands.
pub(super) fn place_of(record: &Record) -> RecordPlace {
    (record.at.topic.to_string(), record.at.partition, record.offset)
}

/// Whether a mark of a record may have been purged, which is never older than the record.
pub(super) fn is_purged(record: &Record, horizon: Option<i64>) -> bool {
    horizon.is_some_and(|micros| record.time_ms().is_none_or(|ms| ms.saturating_mul(1_000) < micros))
}

/// The marks of these operations, by their marks in hexadecimal.
pub(super) async fn look_up_marks(
    fold: &OperationFold,
    writes: impl Iterator<Item = &OperationWrite>,
) -> Result<HashMap<String, Marked>, SqlError> {
    let marks: Vec<String> = writes.map(|write| hex::encode(&write.mark)).collect();
    marks::look_up(&mut fold.store.begin().await?, fold.store.dialect(), &marks).await
}

fn standing(one: &ReadOperation<'_>, mark: Option<&Marked>, is_letter: bool, is_old: bool) -> OperationStanding {
    match mark {
        Some(mark) if mark.rejected.is_none() && mark.is_of(&one.write) => match mark.at == place_of(one.record) {
            true => OperationStanding::Applied { marked: true },
            // A copy, whichever partition it is in.
            false => OperationStanding::Settled,
        },
        _ if is_letter => OperationStanding::Settled,
        Some(mark) if mark.rejected.is_none() => {
            OperationStanding::Unapplied("another operation is marked under its operationId, and it has no letter")
        }
        Some(_) => OperationStanding::Unapplied("it is marked as rejected, and it has no letter"),
        None if is_old => OperationStanding::Applied { marked: false },
        None => OperationStanding::Unapplied("it has neither a mark nor a letter"),
    }
}

impl OperationFold {
    /// As [`crate::stores::folded::FoldedRows::effects`].
    pub(super) async fn effects_of(
        &self,
        records: &[Record],
        letters: &HashSet<RecordPlace>,
        later: bool,
    ) -> Result<FoldedRecords, SqlError> {
        let horizon = self.horizon().await?;
        let (mut found, mut read) = (FoldedRecords::default(), Vec::with_capacity(records.len()));
        for record in records {
            let Some(payload) = record.payload.as_deref().filter(|payload| !payload.is_empty()) else { continue };
            match decode(payload) {
                Ok(operation) => {
                    read.push(ReadOperation { record, write: OperationWrite::new(record, &operation), operation });
                }
                Err(_) if later || letters.contains(&place_of(record)) => {}
                Err(error) => {
                    let why = format!("it cannot be read ({}), and it has no letter", error.reason);
                    found.unapplied.push(describe_unapplied(record, None, why));
                }
            }
        }
        let marked = look_up_marks(self, read.iter().map(|one| &one.write)).await?;
        for one in &read {
            let mark = marked.get(&hex::encode(&one.write.mark));
            let is_letter = letters.contains(&place_of(one.record));
            match standing(one, mark, is_letter, is_purged(one.record, horizon)) {
                OperationStanding::Applied { marked } => self.add(one, mark, marked, later, &mut found).await?,
                // It may be applied any time now.
                OperationStanding::Unapplied(_) if later => self.add(one, mark, false, later, &mut found).await?,
                OperationStanding::Unapplied(why) => {
                    found.unapplied.push(describe_unapplied(
                        one.record,
                        one.write.operation_id(),
                        self.with_entity(one, why),
                    ));
                }
                OperationStanding::Settled => {}
            }
        }
        Ok(found)
    }

    fn with_entity(&self, one: &ReadOperation<'_>, why: &str) -> String {
        match self.entities.contains_key(one.operation.entity.as_ref()) {
            true => why.to_owned(),
            false => format!("its entity has no table, and {why}"),
        }
    }

    /// Adds what an operation did to each of its rows.
    async fn add(
        &self,
        one: &ReadOperation<'_>,
        mark: Option<&Marked>,
        marked: bool,
        later: bool,
        found: &mut FoldedRecords,
    ) -> Result<(), SqlError> {
        let table = self.catalogue.table(one.operation.entity.as_ref(), None).await?;
        let Some(table) = table else {
            if !later {
                let why = "its entity has no table, so that what it wrote cannot be looked at".to_owned();
                found.unapplied.push(describe_unapplied(one.record, one.write.operation_id(), why));
            }
            return Ok(());
        };
        let resolved = match resolve(0, &one.write, &one.operation, &table) {
            Ok(resolved) => resolved,
            Err(_) if later => return Ok(()),
            Err(Unresolved::Unknown(why) | Unresolved::Never(why)) => {
                let why = format!("it does not fit the table as it is now: {}", why.why);
                let told = describe_unapplied(one.record, one.write.operation_id(), why);
                found.unapplied.push(UnappliedOperation { unexplained: true, ..told });
                return Ok(());
            }
        };
        let made = mark.and_then(|mark| mark.made.as_deref()).filter(|_| resolved.rows.len() == 1);
        for row in &resolved.rows {
            match key_of(&table, row, made) {
                Some(key) => {
                    let entry = entry_of(one.record, &resolved, row, &key, marked, later);
                    found.entries.push(row_entry(common_name(&table, &key), &SpilledEntry::Written(entry)));
                }
                None => drop(self.nameless.lock().insert(table.name.clone())),
            }
        }
        Ok(())
    }
}

/// The key of a row: as it is written, or the one that the database made; `None`: nobody has kept that.
fn key_of(table: &TableShape, row: &RowWrite, made: Option<&str>) -> Option<Vec<SqlValue>> {
    if row.name.is_some() {
        return Some(row.key.clone());
    }
    let column = table.key.first().and_then(|place| table.columns.get(*place))?;
    Some(vec![value_of(column, Some(made?))])
}

fn entry_of(
    record: &Record,
    operation: &ResolvedOperation<'_>,
    row: &RowWrite,
    key: &[SqlValue],
    marked: bool,
    later: bool,
) -> WrittenEntry {
    let text = |value: &SqlValue| value.text().map(|text| text.into_owned());
    let table: &Arc<TableShape> = &operation.table;
    let named =
        |(place, value): (&usize, &SqlValue)| Some((table.columns.get(*place)?.bound.name.clone(), text(value)));
    WrittenEntry {
        entity: operation.entity.clone(),
        verb: row.verb,
        key: key.iter().map(text).collect(),
        columns: row.columns.iter().zip(&row.values).filter_map(named).collect(),
        at: place_of(record),
        time_ms: record.time_ms().unwrap_or_default(),
        mark: hex::encode(&operation.write.mark),
        marked,
        later,
    }
}

/// An entry as it is spilled.
pub(super) fn row_entry(row: String, entry: &SpilledEntry) -> RowEntry {
    // Texts and numbers are always JSON.
    RowEntry { row, entry: serde_json::to_vec(entry).unwrap_or_default() }
}

fn describe_unapplied(record: &Record, id: Option<&str>, why: String) -> UnappliedOperation {
    let at = place_of(record);
    let id = id.map_or_else(|| format!("{}/{}/{}", at.0, at.1, at.2), str::to_owned);
    UnappliedOperation { at, id, why, unexplained: false }
}
