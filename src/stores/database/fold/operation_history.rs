//! The operations of a row, or those with an id, and what the marks say of each.

use std::sync::Arc;

use enrichers::operation::{DatabaseOperation, SqlValue, Verb, decode};
use pipeline::Record;
use pipeline::sink::Failure;

use super::super::catalogue::TableShape;
use super::super::errors::SqlError;
use super::super::marks::Marked;
use super::super::operation::OperationWrite;
use super::super::resolver::row_keys;
use super::OperationFold;
use super::held_pages::is_same_key;
use super::operation_effects::{is_purged, look_up_marks, place_of};
use super::row_comparison::id_of;
use super::value_match::{common_name, value_of};
use crate::stores::folded::{OperationState, OperationTrace, WantedOperations};

/// A row that is looked for.
struct WantedRow {
    table: Arc<TableShape>,
    key: Vec<SqlValue>,
}

impl OperationFold {
    /// As [`crate::stores::folded::FoldedRows::trace`].
    pub(super) async fn trace_wanted(
        &self,
        records: &[Record],
        wanted: &WantedOperations,
    ) -> Result<Vec<OperationTrace>, Failure> {
        let row = match wanted {
            WantedOperations::Id(_) => None,
            WantedOperations::Row { entity, key } => Some(self.find_row(entity, key).await?),
        };
        let found = async {
            let mut read = Vec::new();
            for record in records {
                let Ok(operation) = decode(record.payload.as_deref().unwrap_or_default()) else { continue };
                let write = OperationWrite::new(record, &operation);
                let (is_it, may_be) = match (&row, wanted) {
                    (Some(row), _) => self.is_about(row, &operation).await?,
                    (None, WantedOperations::Id(id)) => (write.mark == id.as_bytes(), false),
                    (None, WantedOperations::Row { .. }) => (false, false),
                };
                if is_it || may_be {
                    read.push((record, operation, write, is_it));
                }
            }
            let marks = look_up_marks(self, read.iter().map(|(_, _, write, _)| write)).await?;
            let horizon = self.horizon().await?;
            let key = row.as_ref().map(|row| id_of(&row.key));
            let trace = |(record, operation, write, is_it): (&Record, DatabaseOperation<'_>, OperationWrite, bool)| {
                let mark = marks.get(&hex::encode(&write.mark));
                let made = mark.and_then(|mark| mark.made.clone());
                let is_it = is_it || (made.is_some() && made == key);
                is_it.then(|| trace_of(record, &operation, &write, mark, is_purged(record, horizon)))
            };
            Ok::<_, SqlError>(read.into_iter().filter_map(trace).collect())
        };
        found.await.map_err(SqlError::failure)
    }

    async fn find_row(&self, entity: &str, key: &str) -> Result<WantedRow, Failure> {
        let unknown = || Failure::misconfigured("the entity has no table: name it as in `entity`, such as User:42");
        let table = self.catalogue.table(entity, None).await.map_err(SqlError::failure)?.ok_or_else(unknown)?;
        let columns: Vec<_> = table.key.iter().filter_map(|place| table.columns.get(*place)).collect();
        let parts: Vec<&str> = key.splitn(columns.len().max(1), ':').collect();
        if parts.len() != columns.len() {
            let why = format!("the key of {} has {} parts, joined by colons", table.name, columns.len());
            return Err(Failure::misconfigured(why));
        }
        let key = columns.iter().zip(parts).map(|(column, part)| value_of(column, Some(part))).collect();
        Ok(WantedRow { table, key })
    }

    /// Whether an operation is about a row, and whether it may be: the database made the id of a row of that table.
    async fn is_about(&self, row: &WantedRow, operation: &DatabaseOperation<'_>) -> Result<(bool, bool), SqlError> {
        if self.entities.get(operation.entity.as_ref()).is_none_or(|of| of.table != row.table.name) {
            return Ok((false, false));
        }
        let keys = row_keys(operation, &row.table);
        let name = common_name(&row.table, &row.key);
        for key in keys.iter().filter(|key| common_name(&row.table, key) == name) {
            if *key == row.key || is_same_key(&self.store, &row.table, key, &row.key).await? {
                return Ok((true, false));
            }
        }
        Ok((false, operation.verb == Verb::Create && keys.is_empty()))
    }
}

fn trace_of(
    record: &Record,
    operation: &DatabaseOperation<'_>,
    write: &OperationWrite,
    mark: Option<&Marked>,
    purged: bool,
) -> OperationTrace {
    let state = match mark {
        None => OperationState::Unknown { purged },
        Some(mark) => match (&mark.rejected, mark.is_of(write)) {
            (Some((class, why)), true) => OperationState::Rejected(class.clone(), why.clone()),
            (Some(_), false) => OperationState::Unknown { purged },
            (None, true) => OperationState::Applied(mark.at.clone()),
            (None, false) => OperationState::Reused(mark.at.clone()),
        },
    };
    let metadata = &operation.metadata;
    OperationTrace {
        at: place_of(record),
        operation_id: write.operation_id().map(str::to_owned),
        verb: operation.verb.name(),
        entity: operation.entity.to_string(),
        user: metadata.user_id.clone(),
        source: metadata.source.clone(),
        action: metadata.action.clone(),
        generated_id: mark.filter(|mark| mark.is_of(write)).and_then(|mark| mark.made.clone()),
        state,
    }
}
