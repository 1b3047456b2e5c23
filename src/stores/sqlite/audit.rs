//! The audit in SQLite: state and history of a batch in one transaction, as in PostgreSQL.

use pipeline::sink::{BoxFuture, Failure, Order, Sink, SinkLimits, Verdict};
use serde_json::{Value, json};
use sqlx::Error;

use super::{Sqlite, Stored};
use crate::stores::audit::{AuditRow, MAX_BYTES, MAX_ITEMS};
use crate::stores::sql::verdicts::verdicts;

const HISTORY: &str = "
INSERT INTO transaction_events (message_id, payload_digest, transaction_id, event_type, occurred_at, version, payload,
    kafka_topic, kafka_partition, kafka_offset)
SELECT value ->> 5, value ->> 6, value ->> 0, value ->> 3, value ->> 4, value ->> 1, value ->> 7,
    value ->> 8, value ->> 9, value ->> 10
FROM json_each(?1)
WHERE NOT EXISTS (
    SELECT 1 FROM transaction_state AS erased
    WHERE erased.kafka_topic = 'millrace.erase' AND erased.id = value ->> 0 AND erased.version > value ->> 1
)
ON CONFLICT (message_id, payload_digest) DO NOTHING";

macro_rules! state {
    ($accepts:literal) => {
        concat!(
            "
INSERT INTO transaction_state (id, version, deleted, event_type, updated_at, message_id, payload, kafka_topic,
    kafka_partition, kafka_offset, user_id, transaction_type, product, status, currency, amount)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, iif(value ->> 2, NULL, value ->> 7),
    value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> 14, value ->> 15, value ->> 16
FROM json_each(?1) WHERE true
ON CONFLICT (id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted, event_type = excluded.event_type,
    updated_at = excluded.updated_at, message_id = excluded.message_id, payload = excluded.payload,
    kafka_topic = excluded.kafka_topic, kafka_partition = excluded.kafka_partition, kafka_offset = excluded.kafka_offset,
    user_id = excluded.user_id, transaction_type = excluded.transaction_type, product = excluded.product,
    status = excluded.status, currency = excluded.currency, amount = excluded.amount, written_at = excluded.written_at
WHERE transaction_state.version ",
            $accepts,
            " excluded.version RETURNING id"
        )
    };
}

/// Writes rows to `transaction_state` and `transaction_events`.
#[derive(Clone)]
pub struct SqliteAudit {
    sqlite: Sqlite,
    statement: &'static str,
}

impl SqliteAudit {
    pub fn new(sqlite: Sqlite, order: Order) -> Self {
        let statement = match order {
            Order::Log => state!("<="),
            Order::Any => state!("<"),
        };
        Self { sqlite, statement }
    }

    async fn upsert(&self, rows: &[&AuditRow]) -> Result<Vec<Verdict>, Failure> {
        let values: Value = rows.iter().map(|row| value(row)).collect();
        let written = self.transaction(&values.to_string()).await.map_err(|error| self.sqlite.judge(&error))?;
        Ok(verdicts(&written, rows.iter().map(|row| row.id.as_str())))
    }

    async fn transaction(&self, values: &str) -> Result<Vec<String>, Error> {
        let mut transaction = self.sqlite.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(HISTORY).bind(values).execute(&mut *transaction).await?;
        let written = sqlx::query_scalar(self.statement).bind(values).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(written)
    }

    async fn take_nothing(&self) -> Result<(), Failure> {
        let nothing = sqlx::query("UPDATE transaction_state SET version = version WHERE false");
        nothing.execute(&self.sqlite.pool).await.map(|_| ()).map_err(|error| self.sqlite.judge(&error))
    }

    /// The state of every transaction with its raw event, tombstones without.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn all(&self) -> Result<Vec<Stored>, Failure> {
        self.sqlite.stored("SELECT id, version, deleted, payload FROM transaction_state").await
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

impl Sink<AuditRow> for SqliteAudit {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn limits(&self) -> SinkLimits {
        SinkLimits { items: MAX_ITEMS, bytes: MAX_BYTES, ordered: false, one_write_a_document: true }
    }

    fn write<'a>(&'a self, rows: &'a [&'a AuditRow]) -> BoxFuture<'a, Result<Vec<Verdict>, Failure>> {
        Box::pin(self.upsert(rows))
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(self.take_nothing())
    }
}
