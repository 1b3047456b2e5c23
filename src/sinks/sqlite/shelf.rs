//! The file's tables, read back row by row.

use pipeline::Record;
use pipeline::sink::{Answer, Failure};
use serde_json::json;

use super::Sqlite;
use crate::shelf::{Found, Held, Shelf, Visit, document_content, in_order, kept, text_content};

/// Rows in one page.
const PAGE: i64 = 5_000;

/// Which of the file's tables.
#[derive(Clone, Copy, Debug)]
enum Table {
    Documents,
    State,
}

/// Reads `documents`, or the audit's `transaction_state` and of `transaction_events` what is about one document.
pub struct SqliteShelf {
    sqlite: Sqlite,
    table: Table,
}

/// A row's place in the table comes first.
type Row = (i64, String, i64, bool, Option<String>);

impl Table {
    fn held(self, (_, _, version, deleted, text): &Row) -> Held {
        let content = match (self, text) {
            (Self::Documents, Some(source)) => document_content(source),
            (Self::State, Some(payload)) => text_content(payload.as_bytes()),
            (_, None) => 0,
        };
        Held { version: *version, deleted: *deleted, content }
    }
}

impl SqliteShelf {
    pub fn documents(sqlite: Sqlite) -> Self {
        Self { sqlite, table: Table::Documents }
    }

    pub fn audit(sqlite: Sqlite) -> Self {
        Self { sqlite, table: Table::State }
    }

    async fn all(&self, visit: Visit<'_>) -> Result<(), Failure> {
        let query = match self.table {
            Table::Documents => {
                "SELECT number, id, version, deleted, source FROM documents WHERE number > ?1 ORDER BY number LIMIT ?2"
            }
            Table::State => {
                "SELECT rowid, id, version, deleted, payload FROM transaction_state WHERE rowid > ?1 ORDER BY rowid LIMIT ?2"
            }
        };
        let mut after = i64::MIN;
        loop {
            let page = sqlx::query_as::<_, Row>(query).bind(after).bind(PAGE).fetch_all(&self.sqlite.pool).await;
            let page = page.map_err(|error| self.sqlite.judge(&error))?;
            for row in &page {
                visit(&row.1, self.table.held(row))?;
            }
            match page.last() {
                Some((number, ..)) => after = *number,
                None => return Ok(()),
            }
        }
    }

    async fn look_up(&self, ids: &[String]) -> Result<Vec<Option<Found>>, Failure> {
        let query = match self.table {
            Table::Documents => {
                "SELECT number, id, version, deleted, source FROM documents
                 WHERE id IN (SELECT value FROM json_each(?1))"
            }
            Table::State => {
                "SELECT rowid, id, version, deleted, payload FROM transaction_state
                 WHERE id IN (SELECT value FROM json_each(?1))"
            }
        };
        let asked = json!(ids).to_string();
        let rows = sqlx::query_as::<_, Row>(query).bind(asked).fetch_all(&self.sqlite.pool).await;
        let rows = rows.map_err(|error| self.sqlite.judge(&error))?;
        let found = |row: Row| (row.1.clone(), Found { held: self.table.held(&row), text: row.4 });
        Ok(in_order(ids, rows.into_iter().map(found)))
    }

    async fn events(&self, id: &str) -> Result<Option<Vec<Record>>, Failure> {
        if matches!(self.table, Table::Documents) {
            return Ok(None);
        }
        let rows = sqlx::query_as(
            "SELECT kafka_topic, kafka_partition, kafka_offset, payload FROM transaction_events
             WHERE transaction_id = ?1",
        );
        let rows: Result<Vec<_>, _> = rows.bind(id).fetch_all(&self.sqlite.pool).await;
        Ok(Some(rows.map_err(|error| self.sqlite.judge(&error))?.into_iter().map(kept).collect()))
    }

    async fn delete(&self, documents: &[(String, i64)]) -> Result<u64, Failure> {
        let query = match self.table {
            Table::Documents => "DELETE FROM documents WHERE id = ?1 AND version = ?2",
            Table::State => "DELETE FROM transaction_state WHERE id = ?1 AND version = ?2",
        };
        let mut removed = 0;
        for (id, version) in documents {
            let deleted = sqlx::query(query).bind(id).bind(version).execute(&self.sqlite.pool).await;
            removed += deleted.map_err(|error| self.sqlite.judge(&error))?.rows_affected();
        }
        Ok(removed)
    }
}

impl Shelf for SqliteShelf {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn read<'a>(&'a self, visit: Visit<'a>) -> Answer<'a, Result<(), Failure>> {
        Box::pin(self.all(visit))
    }

    fn find<'a>(&'a self, ids: &'a [String]) -> Answer<'a, Result<Vec<Option<Found>>, Failure>> {
        Box::pin(self.look_up(ids))
    }

    fn history<'a>(&'a self, id: &'a str) -> Answer<'a, Result<Option<Vec<Record>>, Failure>> {
        Box::pin(self.events(id))
    }

    fn remove<'a>(&'a self, documents: &'a [(String, i64)]) -> Answer<'a, Result<u64, Failure>> {
        Box::pin(self.delete(documents))
    }
}
