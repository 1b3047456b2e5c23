//! Rows against what their operations come to, and what a difference is called.

use std::collections::HashSet;
use std::sync::Arc;

use enrichers::operation::{ColumnKind, SqlValue};
use pipeline::sink::Failure;

use super::super::catalogue::TableShape;
use super::super::dialect::{Dialect, Statement};
use super::super::errors::SqlError;
use super::super::marks::{BULK_TABLE, TABLE};
use super::super::operation::row_hash;
use super::super::resolver::name_of;
use super::super::session::SqlTransaction;
use super::OperationFold;
use super::held_pages::{holds, is_same_key, key_of, one};
use super::row_state::{FoldedRow, HeldRow, RowJudgement, SpilledEntry, WrittenEntry, fold, judge};
use super::value_match::value_of;
use crate::stores::folded::{FoldOptions, RowDifference, RowFinding};

/// All that is known of one row.
#[derive(Debug, Default)]
pub(super) struct RowClass {
    /// Its key, in each way in which it was written or is held.
    pub(super) spellings: Vec<Vec<SqlValue>>,
    written: Vec<WrittenEntry>,
    pub(super) held: Option<HeldRow>,
}

impl RowClass {
    /// The key as it is held, else as it was written first.
    pub(super) fn key(&self, table: &TableShape) -> Vec<SqlValue> {
        let held = self.held.as_ref().map(|row| key_of(table, row));
        held.or_else(|| self.spellings.first().cloned()).unwrap_or_default()
    }
}

impl OperationFold {
    /// As [`crate::stores::folded::FoldedRows::compare`].
    pub(super) async fn compare_rows(
        &self,
        rows: Vec<(String, Vec<Vec<u8>>)>,
        options: FoldOptions,
    ) -> Result<Vec<RowFinding>, Failure> {
        let (mut found, mut same) = (Vec::new(), Vec::new());
        for (name, entries) in rows {
            let table = name.split_once('\0').map_or(name.as_str(), |(table, _)| table);
            let Some(table) = self.table_named(table).await.map_err(SqlError::failure)? else { continue };
            let entries = entries.iter().filter_map(|entry| serde_json::from_slice(entry).ok()).collect();
            let classes = self.classes(&table, entries).await.map_err(SqlError::failure)?;
            let shared = classes.len() > 1;
            // Keys that are folded to one share the hash by which their marks are found.
            let marks: HashSet<String> =
                classes.iter().flat_map(|class| &class.written).map(|written| written.mark.clone()).collect();
            for mut class in classes {
                let row = FoldedRow { marks: marks.clone(), ..fold(std::mem::take(&mut class.written)) };
                if row.later {
                    continue;
                }
                let compared = self.compare_one(&table, &class, &row, shared, options).await;
                found.extend(compared.map_err(SqlError::failure)?);
                same.push((table.clone(), class));
            }
        }
        self.look_at_caches(same).await?;
        Ok(found)
    }

    /// Entries by the rows that they are of: keys that are folded to one may be of two rows, which the database knows.
    async fn classes(&self, table: &TableShape, entries: Vec<SpilledEntry>) -> Result<Vec<RowClass>, SqlError> {
        let mut classes: Vec<RowClass> = Vec::new();
        for entry in entries {
            let key = match &entry {
                SpilledEntry::Held(row) => key_of(table, row),
                SpilledEntry::Written(written) => {
                    let columns = table.key.iter().filter_map(|place| table.columns.get(*place));
                    columns.zip(&written.key).map(|(column, part)| value_of(column, part.as_deref())).collect()
                }
            };
            let place = self.class_of(table, &mut classes, key).await?;
            let Some(class) = classes.get_mut(place) else { continue };
            match entry {
                SpilledEntry::Held(row) => class.held = Some(row),
                SpilledEntry::Written(written) => class.written.push(written),
            }
        }
        Ok(classes)
    }

    async fn class_of(
        &self,
        table: &TableShape,
        classes: &mut Vec<RowClass>,
        key: Vec<SqlValue>,
    ) -> Result<usize, SqlError> {
        if let Some(place) = classes.iter().position(|class| class.spellings.contains(&key)) {
            return Ok(place);
        }
        for (place, class) in classes.iter_mut().enumerate() {
            let Some(known) = class.spellings.first() else { continue };
            if is_same_key(&self.store, table, known, &key).await? {
                class.spellings.push(key);
                return Ok(place);
            }
        }
        classes.push(RowClass { spellings: vec![key], ..RowClass::default() });
        Ok(classes.len() - 1)
    }

    async fn compare_one(
        &self,
        table: &Arc<TableShape>,
        class: &RowClass,
        row: &FoldedRow,
        shared: bool,
        options: FoldOptions,
    ) -> Result<Option<RowFinding>, SqlError> {
        // What only the database can compare is asked for below.
        if judge(row, class.held.as_ref(), table) == RowJudgement::Right {
            return Ok(None);
        }
        let mut transaction = self.store.begin().await?;
        let Some(judgement) = self.judge_now(&mut transaction, table, class, row, false).await? else {
            return Ok(None);
        };
        drop(transaction);
        if judgement == RowJudgement::Right {
            return Ok(None);
        }
        let mut finding = self.finding(table, class, row, &judgement, options.whole);
        let mendable =
            matches!(finding.difference, RowDifference::Missing | RowDifference::Altered | RowDifference::Resurrected);
        if options.repair && mendable {
            let mended = match shared {
                true => Err("another key is folded to the same, so it is left alone".to_owned()),
                false => self.mend(table, class, row).await?,
            };
            finding.mended = mended.is_ok();
            if let Err(why) = mended {
                finding.why = format!("{}; not repaired: {why}", finding.why);
            }
        }
        Ok(Some(finding))
    }

    /// How the row differs now; `None` where an operation has written it since the first look.
    pub(super) async fn judge_now(
        &self,
        transaction: &mut SqlTransaction,
        table: &TableShape,
        class: &RowClass,
        row: &FoldedRow,
        lock: bool,
    ) -> Result<Option<RowJudgement>, SqlError> {
        let (dialect, key) = (self.store.dialect(), class.key(table));
        // The marks after the row: whoever has written it by now has marked it.
        let held = one(transaction, dialect, table, &key, lock).await?;
        if self.has_moved(transaction, table, class, &row.marks).await? {
            return Ok(None);
        }
        let mut judgement = judge(row, held.as_ref(), table);
        if let RowJudgement::Altered(names) = &mut judgement {
            let mut altered = Vec::new();
            for name in std::mem::take(names) {
                if !self.is_held(transaction, table, &key, row, &name).await? {
                    altered.push(name);
                }
            }
            judgement = if altered.is_empty() { RowJudgement::Right } else { RowJudgement::Altered(altered) };
        }
        Ok(Some(judgement))
    }

    /// Whether a column holds what was written though its text is another.
    async fn is_held(
        &self,
        transaction: &mut SqlTransaction,
        table: &TableShape,
        key: &[SqlValue],
        row: &FoldedRow,
        name: &str,
    ) -> Result<bool, SqlError> {
        let column = table.column(name).and_then(|place| table.columns.get(place));
        let Some(column) = column.filter(|column| column.kind == ColumnKind::Other) else { return Ok(false) };
        for wanted in row.states.iter().filter_map(|state| state.columns.get(name)) {
            let wanted = value_of(column, wanted.as_deref());
            if holds(transaction, self.store.dialect(), table, key, column, &wanted).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether an operation that was not folded has written the row since the first look: a newer one, or a letter.
    async fn has_moved(
        &self,
        transaction: &mut SqlTransaction,
        table: &TableShape,
        class: &RowClass,
        known: &HashSet<String>,
    ) -> Result<bool, SqlError> {
        let dialect = self.store.dialect();
        let (hex, [first, second, since]) = match dialect {
            Dialect::Mysql => ("LOWER(HEX(operation_id))", ["?", "?", "?"]),
            Dialect::Postgres => (
                "encode(operation_id, 'hex')",
                [
                    "CAST(($1::text[])[1] AS bigint)",
                    "CAST(($2::text[])[1] AS bigint)",
                    "CAST(($3::text[])[1] AS timestamptz)",
                ],
            ),
        };
        let sql = format!(
            "SELECT {hex} FROM {TABLE} WHERE rejected IS NULL AND (row_hash = {first} OR operation_id IN \
             (SELECT operation_id FROM {BULK_TABLE} WHERE row_hash = {second})) AND applied_at >= {since}"
        );
        let since = SqlValue::Text(self.since().await?.to_owned());
        let hashes: HashSet<i64> = class.spellings.iter().map(|key| row_hash(&name_of(table, key))).collect();
        for hash in hashes {
            let hash = SqlValue::Integer(hash.into());
            let values = dialect.one(&[hash.clone(), hash, since.clone()]);
            let marks = transaction.texts(&Statement { sql: sql.clone(), values }).await?;
            if marks.iter().flatten().flatten().any(|mark| !known.contains(mark)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn finding(
        &self,
        table: &TableShape,
        class: &RowClass,
        row: &FoldedRow,
        judgement: &RowJudgement,
        whole: bool,
    ) -> RowFinding {
        let name = &table.name;
        let (difference, why) = match judgement {
            RowJudgement::Missing => (RowDifference::Missing, format!("{name} has no such row")),
            RowJudgement::Resurrected => (RowDifference::Resurrected, format!("it was deleted, and {name} has it")),
            RowJudgement::Extra if self.nameless.lock().contains(name) => {
                (RowDifference::Unexplained, format!("{name} has rows whose ids the database made, and no mark tells"))
            }
            RowJudgement::Extra if whole => (RowDifference::Phantom, "no operation is about it".to_owned()),
            RowJudgement::Extra | RowJudgement::Right => {
                (RowDifference::Unexplained, "its operations are no longer in the log".to_owned())
            }
            RowJudgement::Altered(columns) => {
                (RowDifference::Altered, format!("not as they were written: {}", columns.join(", ")))
            }
        };
        let (difference, why) = match row.marked || row.states.is_empty() {
            true => (difference, why),
            false => (RowDifference::Unexplained, format!("{why}; marks of its operations were purged")),
        };
        let last = row.states.iter().map(|state| &state.last).max_by_key(|last| last.time_ms);
        let entity = last.map(|last| &last.entity).or_else(|| self.entities_of(name).next());
        let id = format!("{}:{}", entity.unwrap_or(name), id_of(&class.key(table)));
        RowFinding { difference, id, at: last.map(|last| last.at.clone()), why, mended: false }
    }
}

/// The parts of a key, joined by colons.
pub(super) fn id_of(key: &[SqlValue]) -> String {
    key.iter().map(|part| part.text().unwrap_or_default()).collect::<Vec<_>>().join(":")
}
