//! What Redis keeps of rows, against the rows. A difference counts only when it is still there after a while: a commit and the
//! end of what was kept of its rows are not one moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use enrichers::operation::{ColumnKind, SqlValue};
use pipeline::sink::Failure;
use serde_json::value::RawValue;

use super::super::catalogue::{TableColumn, TableShape};
use super::super::errors::SqlError;
use super::OperationFold;
use super::held_pages::one;
use super::row_comparison::{RowClass, id_of};
use super::row_state::HeldRow;
use super::value_match::{matches, plain_time};
use crate::stores::folded::{RowDifference, RowFinding};

/// Keys that are asked for at once.
const AT_ONCE: usize = 500;
/// After how long what differs is asked for again, each time.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// How a row is kept that is not there.
const NO_ROW: &str = "null";

/// What Redis keeps under a key, which may be old.
#[derive(Clone, Debug)]
pub(super) struct CachedSuspect {
    table: Arc<TableShape>,
    /// As it is written in the key of Redis.
    key: Vec<SqlValue>,
    cached_under: String,
    why: String,
}

impl OperationFold {
    /// Notes which of these rows Redis keeps otherwise.
    pub(super) async fn look_at_caches(&self, rows: Vec<(Arc<TableShape>, RowClass)>) -> Result<(), Failure> {
        let Some(cache) = &self.cache else { return Ok(()) };
        let mut asked = Vec::new();
        for (table, class) in &rows {
            let mut under = BTreeMap::new();
            for key in &class.spellings {
                for name in cache.keys_of_row(table, key) {
                    under.entry(name).or_insert(key);
                }
            }
            asked.extend(under.into_iter().map(|(name, key)| (name, table, key, class.held.as_ref())));
        }
        for some in asked.chunks(AT_ONCE) {
            let names: Vec<&str> = some.iter().map(|(name, ..)| name.as_str()).collect();
            let values = self.read_cached(&names).await?;
            for ((name, table, key, held), value) in some.iter().zip(values) {
                if let Some(why) = value.and_then(|value| difference(table, *held, &value)) {
                    let (table, key, cached_under) = ((*table).clone(), (*key).clone(), name.clone());
                    self.suspects.lock().push(CachedSuspect { table, key, cached_under, why });
                }
            }
        }
        Ok(())
    }

    async fn read_cached(&self, names: &[&str]) -> Result<Vec<Option<String>>, Failure> {
        let Some(cache) = &self.cache else { return Ok(vec![None; names.len()]) };
        let away = |error| Failure::unavailable(format!("Redis does not tell what it keeps of rows: {error}"));
        cache.values(names).await.map_err(away)
    }

    /// As [`crate::stores::folded::FoldedRows::stale`].
    pub(super) async fn stale_rows(&self, mend: bool) -> Result<Vec<RowFinding>, Failure> {
        let mut open = std::mem::take(&mut *self.suspects.lock());
        for pause in AGAIN {
            if open.is_empty() {
                return Ok(Vec::new());
            }
            tokio::time::sleep(pause).await;
            open = self.still_stale(open).await?;
        }
        let mut found = Vec::with_capacity(open.len());
        for CachedSuspect { table, key, cached_under, why } in open {
            let mut mended = false;
            if let Some(cache) = self.cache.as_ref().filter(|_| mend) {
                cache.tell_mended(&table, std::slice::from_ref(&key)).await.map_err(SqlError::failure)?;
                mended = true;
            }
            let entity = self.entities_of(&table.name).next().map_or(table.name.as_str(), String::as_str);
            let (id, why) = (format!("{entity}:{}", id_of(&key)), format!("Redis keeps {cached_under}: {why}"));
            found.push(RowFinding { difference: RowDifference::CacheStale, id, at: None, why, mended });
        }
        Ok(found)
    }

    async fn still_stale(&self, open: Vec<CachedSuspect>) -> Result<Vec<CachedSuspect>, Failure> {
        let mut still = Vec::new();
        for some in open.chunks(AT_ONCE) {
            let names: Vec<&str> = some.iter().map(|suspect| suspect.cached_under.as_str()).collect();
            let values = self.read_cached(&names).await?;
            for (suspect, value) in some.iter().zip(values) {
                let Some(value) = value else { continue };
                let held = self.row_now(suspect).await.map_err(SqlError::failure)?;
                if let Some(why) = difference(&suspect.table, held.as_ref(), &value) {
                    still.push(CachedSuspect { why, ..suspect.clone() });
                }
            }
        }
        Ok(still)
    }

    async fn row_now(&self, suspect: &CachedSuspect) -> Result<Option<HeldRow>, SqlError> {
        let mut transaction = self.store.begin().await?;
        one(&mut transaction, self.store.dialect(), &suspect.table, &suspect.key, false).await
    }
}

/// How what is kept differs from the row; fields that are no columns are the reader's own.
fn difference(table: &TableShape, held: Option<&HeldRow>, cached: &str) -> Option<String> {
    let row = match (held, cached == NO_ROW) {
        (None, true) => return None,
        (Some(_), true) => return Some("that there is no such row".to_owned()),
        (None, false) => return Some("a row that is not there".to_owned()),
        (Some(row), false) => row,
    };
    let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(cached) else {
        return Some("what is no row".to_owned());
    };
    let differs = |(name, raw): &(String, &RawValue)| {
        let place = table.column(name)?;
        let is = is_kept(table.columns.get(place)?, raw, row.get(place)?.as_deref());
        (!is).then(|| name.clone())
    };
    let columns: Vec<String> = fields.into_iter().filter_map(|field| differs(&field)).collect();
    (!columns.is_empty()).then(|| format!("another value of {}", columns.join(", ")))
}

/// Whether a field is what the column holds, as applications write it.
fn is_kept(column: &TableColumn, raw: &RawValue, held: Option<&str>) -> bool {
    // The forms of binary columns are many, and a reader's own.
    if column.kind == ColumnKind::Other {
        return true;
    }
    let Ok(value) = column.kind.value(raw, "") else { return false };
    let value = value.text();
    if matches(column, value.as_deref(), held) {
        return true;
    }
    match (&column.kind, value.as_deref(), held) {
        // JavaScript has no more than milliseconds.
        (ColumnKind::DateTime { .. }, Some(value), Some(held)) => plain_time(held).starts_with(plain_time(value)),
        // JSON as a text, as MariaDB gives it.
        (ColumnKind::Json, Some(value), Some(_)) => {
            serde_json::from_str::<String>(value).is_ok_and(|text| matches(column, Some(&text), held))
        }
        _ => false,
    }
}
