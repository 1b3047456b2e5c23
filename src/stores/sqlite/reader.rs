//! The file's tables, read back row by row.

use async_trait::async_trait;
use pipeline::Record;
use pipeline::sink::Failure;
use serde_json::json;

use super::{Sqlite, persons_tables};
use crate::stores::erased::is_erased;
use crate::stores::reader::{
    Column, EventKey, ObservedVersion, StoreReader, StoredDocument, StoredVersion, Visit, document_content, in_order,
    record_of_history, record_with_key, text_content,
};
use crate::walk::transactions::{of_row, of_source};

/// Rows in one page.
const PAGE: i64 = 5_000;
/// Rows deleted by one statement.
const DELETED_AT_ONCE: usize = 5_000;

/// Which of the file's tables.
#[derive(Clone, Copy, Debug)]
enum Table {
    Documents,
    State,
}

/// Reads `documents`, or the audit's `transaction_state` and of `transaction_events` what is about one document.
pub struct SqliteReader {
    sqlite: Sqlite,
    table: Table,
}

/// A row's place in the table comes first; the columns after its text are the audit's.
type Row = (i64, String, i64, bool, Column, Column, Column, Column, Column, Column, Column);

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::State => "transaction_state",
        }
    }

    fn version_of(self, row: &Row) -> StoredVersion {
        let (_, _, version, deleted, text, user, kind, product, status, currency, amount) = row;
        let passed = match (self, text) {
            (_, _) if *deleted => None,
            (Self::Documents, text) => text.as_deref().and_then(of_source),
            (Self::State, text) => {
                let columns = [user, kind, product, status, currency, amount].map(Option::as_deref);
                Some(of_row(text.as_deref(), columns))
            }
        };
        let content = match (self, text) {
            (Self::Documents, Some(source)) => document_content(source),
            (Self::State, Some(payload)) => text_content(payload.as_bytes()),
            (_, None) => 0,
        };
        StoredVersion { version: *version, deleted: *deleted, content, passed }
    }
}

impl SqliteReader {
    pub fn documents(sqlite: Sqlite) -> Self {
        Self { sqlite, table: Table::Documents }
    }

    pub fn audit(sqlite: Sqlite) -> Self {
        Self { sqlite, table: Table::State }
    }
}

#[async_trait]
impl StoreReader for SqliteReader {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn read(&self, visit: Visit<'_>) -> Result<(), Failure> {
        let query = match self.table {
            Table::Documents => {
                "SELECT number, id, version, deleted, source, NULL, NULL, NULL, NULL, NULL, NULL FROM documents
                 WHERE number > ?1 ORDER BY number LIMIT ?2"
            }
            Table::State => {
                "SELECT rowid, id, version, deleted, payload, user_id, transaction_type, product, status, currency, amount
                 FROM transaction_state WHERE rowid > ?1 ORDER BY rowid LIMIT ?2"
            }
        };
        let mut after = i64::MIN;
        loop {
            let page = sqlx::query_as::<_, Row>(query).bind(after).bind(PAGE).fetch_all(&self.sqlite.pool).await;
            let page = page.map_err(|error| self.sqlite.judge(&error))?;
            for row in &page {
                visit(&row.1, self.table.version_of(row))?;
            }
            match page.last() {
                Some((number, ..)) => after = *number,
                None => return Ok(()),
            }
        }
    }

    async fn find(&self, ids: &[String]) -> Result<Vec<Option<StoredDocument>>, Failure> {
        let query = match self.table {
            Table::Documents => {
                "SELECT number, id, version, deleted, source, NULL, NULL, NULL, NULL, NULL, NULL FROM documents
                 WHERE id IN (SELECT value FROM json_each(?1))"
            }
            Table::State => {
                "SELECT rowid, id, version, deleted, payload, user_id, transaction_type, product, status, currency, amount
                 FROM transaction_state WHERE id IN (SELECT value FROM json_each(?1))"
            }
        };
        let asked = json!(ids).to_string();
        let rows = sqlx::query_as::<_, Row>(query).bind(asked).fetch_all(&self.sqlite.pool).await;
        let rows = rows.map_err(|error| self.sqlite.judge(&error))?;
        let found = |row: Row| (row.1.clone(), StoredDocument { version: self.table.version_of(&row), text: row.4 });
        Ok(in_order(ids, rows.into_iter().map(found)))
    }

    fn keeps_history(&self) -> bool {
        !matches!(self.table, Table::Documents)
    }

    async fn history(&self, id: &str) -> Result<Option<Vec<Record>>, Failure> {
        if matches!(self.table, Table::Documents) {
            return Ok(None);
        }
        let rows = sqlx::query_as(
            "SELECT kafka_topic, kafka_partition, kafka_offset, payload FROM transaction_events
             WHERE transaction_id = ?1",
        );
        let rows: Result<Vec<_>, _> = rows.bind(id).fetch_all(&self.sqlite.pool).await;
        Ok(Some(
            rows.map_err(|error| self.sqlite.judge(&error))?
                .into_iter()
                .map(record_of_history)
                .filter(|event| !is_erased(event))
                .collect(),
        ))
    }

    async fn events_after(&self, after: &EventKey, most: i64) -> Result<Option<Vec<(EventKey, Record)>>, Failure> {
        if matches!(self.table, Table::Documents) {
            return Ok(None);
        }
        let page = sqlx::query_as(include_str!("sql/history_page.sql"));
        let page = page.bind(&after.0).bind(&after.1).bind(most).fetch_all(&self.sqlite.pool).await;
        Ok(Some(page.map_err(|error| self.sqlite.judge(&error))?.into_iter().map(record_with_key).collect()))
    }

    async fn remove(&self, seen: &[ObservedVersion]) -> Result<u64, Failure> {
        // A cross join keeps its order, so that each row is looked up by its id: <https://www.sqlite.org/optoverview.html#crossjoin>.
        let query = match self.table {
            Table::Documents => {
                include_str!("sql/remove_documents.sql")
            }
            Table::State => {
                include_str!("sql/remove_state.sql")
            }
        };
        let mut removed = 0;
        for seen in seen.chunks(DELETED_AT_ONCE) {
            let rows: Vec<(&str, i64, bool)> = seen.iter().map(|s| (s.id.as_str(), s.version, s.deleted)).collect();
            let deleted = sqlx::query(query).bind(json!(rows).to_string()).execute(&self.sqlite.pool).await;
            removed += deleted.map_err(|error| self.sqlite.judge(&error))?.rows_affected();
        }
        Ok(removed)
    }

    async fn of_person(&self, person: &str) -> Result<Option<Vec<ObservedVersion>>, Failure> {
        let query = match self.table {
            Table::Documents => {
                "SELECT id, version FROM documents
                 WHERE NOT deleted AND CAST(source ->> 'user_id' AS TEXT) = ?1 ORDER BY number"
            }
            Table::State => {
                "SELECT id, version FROM transaction_state WHERE NOT deleted AND user_id = ?1 ORDER BY rowid"
            }
        };
        persons_tables::living(&self.sqlite, query, person).await.map(Some)
    }

    async fn forget(&self, person: &str, seen: &[ObservedVersion], only_look: bool) -> Result<u64, Failure> {
        match self.table {
            Table::Documents => Ok(0),
            Table::State => persons_tables::history(&self.sqlite, person, seen, only_look).await,
        }
    }

    async fn horizon(&self) -> Result<Option<i64>, Failure> {
        let noted = sqlx::query_scalar("SELECT version FROM purge_horizons WHERE table_name = ?1");
        let noted = noted.bind(self.table.name()).fetch_optional(&self.sqlite.pool).await;
        noted.map_err(|error| self.sqlite.judge(&error))
    }

    async fn note_horizon(&self, version: i64) -> Result<(), Failure> {
        let note = sqlx::query(
            "INSERT INTO purge_horizons (table_name, version) VALUES (?1, ?2)
             ON CONFLICT (table_name) DO UPDATE SET version = max(version, excluded.version)",
        );
        let noted = note.bind(self.table.name()).bind(version).execute(&self.sqlite.pool).await;
        noted.map(|_| ()).map_err(|error| self.sqlite.judge(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_table_has_a_horizon_that_only_rises() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = Sqlite::new(&folder.path().join("store.db"));
        sqlite.install().await.unwrap();
        let (documents, audit) = (SqliteReader::documents(sqlite.clone()), SqliteReader::audit(sqlite));
        assert_eq!(documents.horizon().await.unwrap(), None);
        for version in [8, 4] {
            documents.note_horizon(version).await.unwrap();
            assert_eq!(documents.horizon().await.unwrap(), Some(8));
        }
        assert_eq!(audit.horizon().await.unwrap(), None);
    }

    #[tokio::test]
    async fn only_what_is_still_as_it_was_seen_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = Sqlite::new(&folder.path().join("store.db"));
        sqlite.install().await.unwrap();
        let rows = "INSERT INTO documents (id, version, deleted, source) VALUES
            ('a', 6, true, '{\"_deleted\":true}'), ('b', 6, false, '{}'), ('c', 7, true, '{\"_deleted\":true}');
            INSERT INTO transaction_state (id, version, deleted, event_type, updated_at, message_id, kafka_topic, kafka_partition, kafka_offset)
            SELECT id, version, deleted, '', '', '', '', 0, number FROM documents";
        sqlx::raw_sql(rows).execute(&sqlite.pool).await.unwrap();
        let seen: Vec<ObservedVersion> =
            ["a", "b", "c", "d"].map(|id| ObservedVersion { id: id.to_owned(), version: 6, deleted: true }).into();
        for reader in [SqliteReader::documents(sqlite.clone()), SqliteReader::audit(sqlite)] {
            assert_eq!(reader.remove(&seen).await.unwrap(), 1);
            let left = reader.find(&["a".to_owned(), "b".to_owned(), "c".to_owned()]).await.unwrap();
            assert_eq!(left.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true]);
        }
    }
}
