//! Rows against the operations that made them: which were applied is what the marks say, and what they come to is folded here.
//!
//! It changes nothing but where a repair is asked for.

mod held_pages;
mod operation_effects;
mod operation_history;
mod row_caches;
mod row_comparison;
mod row_repair;
mod row_state;
mod value_match;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use pipeline::Record;
use pipeline::sink::Failure;
use tokio::sync::OnceCell;

use super::cache::CacheWriter;
use super::catalogue::{Catalogue, TableShape};
use super::dialect::{Dialect, Statement};
use super::errors::SqlError;
use super::marks;
use super::session::OperationStore;
use crate::config::EntityTable;
use crate::stores::folded::{
    FoldOptions, FoldedRecords, FoldedRows, HeldVisit, OperationTrace, RecordPlace, RowFinding, WantedOperations,
};
use held_pages::{key_of, page};
use operation_effects::row_entry;
use row_caches::CachedSuspect;
use row_state::SpilledEntry;
use value_match::common_name;

/// Compares the tables of the entities with operations.
pub(super) struct OperationFold {
    store: OperationStore,
    entities: BTreeMap<String, EntityTable>,
    catalogue: Catalogue,
    cache: Option<Arc<CacheWriter>>,
    /// Tables with rows whose ids the database made, and nobody has kept.
    nameless: Mutex<HashSet<String>>,
    suspects: Mutex<Vec<CachedSuspect>>,
    /// A time of the database before the first look: what was applied since may have moved a row.
    since: OnceCell<String>,
}

impl OperationFold {
    pub(super) fn new(
        store: OperationStore,
        entities: BTreeMap<String, EntityTable>,
        cache: Option<Arc<CacheWriter>>,
    ) -> Self {
        let catalogue = Catalogue::new(store.clone(), entities.clone());
        let (nameless, suspects, since) = (Mutex::default(), Mutex::default(), OnceCell::new());
        Self { store, entities, catalogue, cache, nameless, suspects, since }
    }

    /// Until when marks may have been purged, in microseconds since 1970.
    async fn horizon(&self) -> Result<Option<i64>, SqlError> {
        marks::read_horizon(&self.store).await
    }

    /// The time of the first look, less than which no transaction lasts.
    async fn since(&self) -> Result<&str, SqlError> {
        let ask = || async {
            let dialect = self.store.dialect();
            let sql = match dialect {
                Dialect::Mysql => "SELECT CAST(NOW(3) - INTERVAL 90 SECOND AS CHAR)",
                Dialect::Postgres => "SELECT (now() - interval '90 seconds')::text",
            };
            let rows = self.store.texts(&Statement { sql: sql.to_owned(), values: dialect.one(&[]) }).await?;
            Ok::<_, SqlError>(rows.into_iter().flatten().flatten().next().unwrap_or_default())
        };
        self.since.get_or_try_init(ask).await.map(String::as_str)
    }

    /// The entities of a table.
    fn entities_of<'f>(&'f self, table: &'f str) -> impl Iterator<Item = &'f String> {
        self.entities.iter().filter(move |(_, of)| of.table == table).map(|(entity, _)| entity)
    }

    async fn table_named(&self, name: &str) -> Result<Option<Arc<TableShape>>, SqlError> {
        match self.entities_of(name).next() {
            Some(entity) => self.catalogue.table(entity, None).await,
            None => Ok(None),
        }
    }

    async fn read_tables(&self, visit: HeldVisit<'_>) -> Result<(), SqlError> {
        let names: HashSet<&String> = self.entities.values().map(|of| &of.table).collect();
        for name in names {
            let Some(table) = self.table_named(name).await?.filter(|table| !table.key.is_empty()) else { continue };
            let mut after = None;
            loop {
                let rows = page(&self.store, &table, after.as_deref()).await?;
                let Some(last) = rows.last().map(|row| key_of(&table, row)) else { break };
                for row in rows {
                    let name = common_name(&table, &key_of(&table, &row));
                    visit(row_entry(name, &SpilledEntry::Held(row)));
                }
                after = Some(last);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl FoldedRows for OperationFold {
    async fn effects(
        &self,
        records: &[Record],
        letters: &HashSet<RecordPlace>,
        later: bool,
    ) -> Result<FoldedRecords, Failure> {
        let found = async {
            self.since().await?;
            self.effects_of(records, letters, later).await
        };
        found.await.map_err(SqlError::failure)
    }

    async fn read_rows(&self, visit: HeldVisit<'_>) -> Result<(), Failure> {
        self.read_tables(visit).await.map_err(SqlError::failure)
    }

    async fn compare(
        &self,
        rows: Vec<(String, Vec<Vec<u8>>)>,
        options: FoldOptions,
    ) -> Result<Vec<RowFinding>, Failure> {
        self.compare_rows(rows, options).await
    }

    async fn stale(&self, mend: bool) -> Result<Vec<RowFinding>, Failure> {
        self.stale_rows(mend).await
    }

    async fn trace(&self, records: &[Record], wanted: &WantedOperations) -> Result<Vec<OperationTrace>, Failure> {
        self.trace_wanted(records, wanted).await
    }
}
