//! The marks as `purge` reads and removes them, each as the tombstone of its operation. Rows are compared by folding operations.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use enrichers::operation::SqlValue;
use pipeline::sink::Failure;

use super::cache::CacheWriter;
use super::dialect::{BoundValues, Dialect, Statement};
use super::errors::SqlError;
use super::fold::OperationFold;
use super::marks::{self, BULK_TABLE, TABLE, mark_column};
use super::session::OperationStore;
use crate::config::EntityTable;
use crate::stores::folded::FoldedRows;
use crate::stores::reader::{ObservedVersion, StoreReader, StoredDocument, StoredVersion, Visit};

/// Marks that are read at once.
const PAGE: usize = 10_000;
/// Marks that are removed at once.
const AT_ONCE: usize = 256;
/// How far a time of the database may be rounded, in microseconds.
const ROUNDED: i64 = 1_000;

/// Reads marks.
pub struct OperationReader {
    store: OperationStore,
    entities: BTreeMap<String, EntityTable>,
    cache: Option<Arc<CacheWriter>>,
}

impl OperationReader {
    pub fn new(
        store: OperationStore,
        entities: BTreeMap<String, EntityTable>,
        cache: Option<Arc<CacheWriter>>,
    ) -> Self {
        Self { store, entities, cache }
    }

    async fn page(&self, after: &str) -> Result<Vec<(String, i64)>, SqlError> {
        let dialect = self.store.dialect();
        let (hex, micros, after_is) = match dialect {
            Dialect::Mysql => {
                ("HEX(operation_id)", "CAST(CAST(UNIX_TIMESTAMP(applied_at) * 1000000 AS SIGNED) AS CHAR)", "UNHEX(?)")
            }
            Dialect::Postgres => (
                "encode(operation_id, 'hex')",
                "(extract(epoch FROM applied_at) * 1000000)::bigint::text",
                "decode(($1::text[])[1], 'hex')",
            ),
        };
        let sql = format!(
            "SELECT {hex}, {micros} FROM {TABLE} WHERE operation_id > {after_is} ORDER BY operation_id LIMIT {PAGE}"
        );
        let rows =
            self.store.texts(&Statement { sql, values: dialect.one(&[SqlValue::Text(after.to_owned())]) }).await?;
        let mark = |row: Vec<Option<String>>| match row.as_slice() {
            [Some(mark), Some(micros)] => Some((mark.clone(), micros.parse().ok()?)),
            _ => None,
        };
        Ok(rows.into_iter().filter_map(mark).collect())
    }

    async fn remove_some(&self, seen: &[ObservedVersion]) -> Result<u64, SqlError> {
        let dialect = self.store.dialect();
        let last = seen.iter().map(|seen| seen.version).max().unwrap_or_default().saturating_add(ROUNDED);
        let seconds = SqlValue::Text(format!("{}.{:06}", last / 1_000_000, last % 1_000_000));
        let marks: Vec<SqlValue> = seen.iter().map(|seen| SqlValue::Text(seen.id.clone())).collect();
        let among = dialect.among(&[mark_column()], marks.len());
        // One that was made anew since then is younger. The rows of what is gone go with it.
        let gone = format!("NOT EXISTS (SELECT 1 FROM {TABLE} AS m WHERE m.operation_id = {BULK_TABLE}.operation_id)");
        let (first, second) = match dialect {
            Dialect::Mysql => (
                format!("DELETE FROM {TABLE} WHERE {among} AND applied_at <= FROM_UNIXTIME(?)"),
                format!("DELETE FROM {BULK_TABLE} WHERE {among} AND {gone}"),
            ),
            Dialect::Postgres => {
                let among = "operation_id IN (SELECT decode(r, 'hex') FROM UNNEST($1::text[]) AS r)";
                let before = "to_timestamp(($2::text[])[1]::double precision)";
                (
                    format!("DELETE FROM {TABLE} WHERE {among} AND applied_at <= {before}"),
                    format!("DELETE FROM {BULK_TABLE} WHERE {among} AND {gone}"),
                )
            }
        };
        let given = |more: &[SqlValue]| match dialect {
            Dialect::Mysql => BoundValues::Each(marks.iter().chain(more).cloned().collect()),
            Dialect::Postgres => {
                let text = |value: &SqlValue| value.text().map(|text| text.into_owned());
                let more = more.iter().map(|value| vec![text(value)]);
                BoundValues::Columns(std::iter::once(marks.iter().map(text).collect()).chain(more).collect())
            }
        };
        let mut transaction = self.store.begin().await?;
        let removed = transaction.execute(&Statement { sql: first, values: given(&[seconds]) }, false).await?.matched;
        transaction.execute(&Statement { sql: second, values: given(&[]) }, false).await?;
        transaction.commit().await?;
        Ok(removed)
    }

    async fn note(&self, micros: i64) -> Result<(), SqlError> {
        let dialect = self.store.dialect();
        let sql = match dialect {
            Dialect::Mysql => {
                "INSERT INTO millrace_operations_horizon (only_one, micros) VALUES (1, ?) \
                 ON DUPLICATE KEY UPDATE micros = GREATEST(micros, VALUES(micros))"
            }
            Dialect::Postgres => {
                "INSERT INTO millrace_operations_horizon AS noted (only_one, micros) VALUES (1, ($1::text[])[1]::bigint) \
                 ON CONFLICT (only_one) DO UPDATE SET micros = GREATEST(noted.micros, excluded.micros)"
            }
        };
        let statement = Statement { sql: sql.to_owned(), values: dialect.one(&[SqlValue::Integer(micros.into())]) };
        let mut transaction = self.store.begin().await?;
        transaction.execute(&statement, false).await?;
        transaction.commit().await
    }
}

#[async_trait]
impl StoreReader for OperationReader {
    fn name(&self) -> &'static str {
        "database"
    }

    async fn read(&self, visit: Visit<'_>) -> Result<(), Failure> {
        let mut after = String::new();
        loop {
            let page = self.page(&after).await.map_err(SqlError::failure)?;
            for (mark, version) in &page {
                visit(mark, StoredVersion { version: *version, deleted: true, content: 0, passed: None })?;
            }
            match page.into_iter().last() {
                Some((last, _)) => after = last,
                None => return Ok(()),
            }
        }
    }

    async fn find(&self, ids: &[String]) -> Result<Vec<Option<StoredDocument>>, Failure> {
        // No document is held under an id: a replayed letter is judged by its mark, and by what was written later.
        Ok(vec![None; ids.len()])
    }

    async fn remove(&self, seen: &[ObservedVersion]) -> Result<u64, Failure> {
        let mut removed = 0;
        for some in seen.chunks(AT_ONCE) {
            removed += self.remove_some(some).await.map_err(SqlError::failure)?;
        }
        Ok(removed)
    }

    fn as_rows(&self) -> Option<Arc<dyn FoldedRows>> {
        Some(Arc::new(OperationFold::new(self.store.clone(), self.entities.clone(), self.cache.clone())))
    }

    async fn horizon(&self) -> Result<Option<i64>, Failure> {
        marks::read_horizon(&self.store).await.map_err(SqlError::failure)
    }

    async fn note_horizon(&self, version: i64) -> Result<(), Failure> {
        self.note(version).await.map_err(SqlError::failure)
    }
}
