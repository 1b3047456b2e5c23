//! The audit in SQLite: state and history of a batch in one transaction, as in PostgreSQL.

use async_trait::async_trait;
use pipeline::sink::{Failure, Order, Sink, SinkLimits, Verdict};
use serde_json::{Value, json};
use sqlx::Error;

use super::{Sqlite, Stored};
use crate::stores::audit::{AuditRow, MAX_BYTES, MAX_ITEMS};
use crate::stores::sql::verdicts::verdicts;

const HISTORY: &str = include_str!("sql/write_history.sql");

const STATE: &str = include_str!("sql/write_state.sql");

/// Writes rows to `transaction_state` and `transaction_events`.
#[derive(Clone)]
pub struct SqliteAudit {
    sqlite: Sqlite,
    /// Whether a row of the version that is held is taken.
    takes_equal: bool,
}

impl SqliteAudit {
    pub fn new(sqlite: Sqlite, order: Order) -> Self {
        Self { sqlite, takes_equal: order == Order::Log }
    }

    async fn transaction(&self, values: &str) -> Result<Vec<String>, Error> {
        let mut transaction = self.sqlite.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(HISTORY).bind(values).execute(&mut *transaction).await?;
        let written = sqlx::query_scalar(STATE).bind(values).bind(self.takes_equal);
        let written = written.fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(written)
    }

    /// The state of every transaction with its raw event, tombstones without.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn all(&self) -> Result<Vec<Stored>, Failure> {
        self.sqlite.read_rows("SELECT id, version, deleted, payload FROM transaction_state").await
    }

    /// How many events the history holds.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn history(&self) -> Result<i64, Failure> {
        let counted = sqlx::query_scalar("SELECT count(*) FROM transaction_events").fetch_one(&self.sqlite.pool).await;
        counted.map_err(|error| self.sqlite.judge(&error))
    }
}

fn value(row: &AuditRow) -> Value {
    let columns = &row.columns;
    json!([
        row.id,
        row.version,
        row.deleted,
        row.event_type,
        row.time(),
        row.message_hex(),
        row.digest_hex(),
        row.payload_text(),
        &*row.at.topic,
        row.at.partition,
        row.offset,
        columns.user_id,
        columns.transaction_type,
        columns.product,
        columns.status,
        columns.currency,
        columns.amount,
    ])
}

#[async_trait]
impl Sink<AuditRow> for SqliteAudit {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn limits(&self) -> SinkLimits {
        SinkLimits { items: MAX_ITEMS, bytes: MAX_BYTES, ordered: false, one_write_a_document: true }
    }

    async fn write(&self, rows: &[&AuditRow]) -> Result<Vec<Verdict>, Failure> {
        let values: Value = rows.iter().map(|row| value(row)).collect();
        let written = self.transaction(&values.to_string()).await.map_err(|error| self.sqlite.judge(&error))?;
        Ok(verdicts(&written, rows.iter().map(|row| row.id.as_str())))
    }

    async fn probe(&self) -> Result<(), Failure> {
        let nothing = sqlx::query("UPDATE transaction_state SET version = version WHERE false");
        nothing.execute(&self.sqlite.pool).await.map(|_| ()).map_err(|error| self.sqlite.judge(&error))
    }
}
