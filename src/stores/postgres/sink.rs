//! The audit in PostgreSQL: state and history of a batch in one statement.

use pipeline::mutants::{self, Mutant};
use pipeline::sink::{BoxFuture, Failure, Order, Sink, SinkLimits, Verdict};

use super::Postgres;
use crate::stores::audit::{AuditRow, MAX_BYTES, MAX_ITEMS};
use crate::stores::sql::verdicts::verdicts;

/// One statement is one transaction: the history has every event whose state was judged, and the other way round. Rows go in
/// the order of their ids, so that two instances cannot lock each other out.
macro_rules! write {
    ($accepts:literal) => {
        concat!(
            r#"
WITH events AS (
    SELECT * FROM UNNEST(
        $1::text[], $2::bigint[], $3::boolean[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::integer[], $11::bigint[],
        $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[]
    ) AS event (id, version, deleted, event_type, micros, message_id, payload_digest, payload,
        topic, "partition", "offset", user_id, transaction_type, product, status, currency, amount)
), history AS (
    INSERT INTO transaction_events (message_id, payload_digest, transaction_id, event_type, occurred_at, version,
        payload, kafka_topic, kafka_partition, kafka_offset)
    SELECT message_id, payload_digest, id, event_type, timestamptz 'epoch' + micros * interval '1 microsecond', version,
        payload::json, topic, "partition", "offset"
    FROM events
    WHERE NOT EXISTS (
        SELECT FROM transaction_state AS erased
        WHERE erased.kafka_topic = 'millrace.erase' AND erased.id = events.id AND erased.version > events.version
    )
    ORDER BY message_id, payload_digest
    ON CONFLICT (message_id, payload_digest) DO NOTHING
)
INSERT INTO transaction_state AS state (id, version, deleted, event_type, updated_at, user_id, transaction_type, product,
    status, currency, amount, payload, message_id, kafka_topic, kafka_partition, kafka_offset)
SELECT id, version, deleted, event_type, timestamptz 'epoch' + micros * interval '1 microsecond', user_id,
    transaction_type, product, status, currency, amount::numeric, CASE WHEN NOT deleted THEN payload::json END, message_id,
    topic, "partition", "offset"
FROM events ORDER BY id
ON CONFLICT (id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted, event_type = excluded.event_type,
    updated_at = excluded.updated_at, user_id = excluded.user_id, transaction_type = excluded.transaction_type,
    product = excluded.product, status = excluded.status, currency = excluded.currency, amount = excluded.amount,
    payload = excluded.payload, message_id = excluded.message_id, kafka_topic = excluded.kafka_topic,
    kafka_partition = excluded.kafka_partition, kafka_offset = excluded.kafka_offset, written_at = excluded.written_at
WHERE state.version "#,
            $accepts,
            " excluded.version RETURNING state.id"
        )
    };
}

/// Writes rows to `transaction_state` and `transaction_events`.
pub struct PostgresAudit {
    postgres: Postgres,
    statement: &'static str,
}

impl PostgresAudit {
    pub fn new(postgres: Postgres, order: Order) -> Self {
        let statement = match order {
            Order::Log if mutants::on(Mutant::EqualRefused) => write!("<"),
            Order::Log => write!("<="),
            Order::Any => write!("<"),
        };
        Self { postgres, statement }
    }

    async fn upsert(&self, rows: &[&AuditRow]) -> Result<Vec<Verdict>, Failure> {
        macro_rules! column {
            ($get:expr) => {
                rows.iter().copied().map($get).collect::<Vec<_>>()
            };
        }
        let statement = sqlx::query_scalar::<_, String>(self.statement)
            .bind(column!(|row| row.id.as_str()))
            .bind(column!(|row| row.version))
            .bind(column!(|row| row.deleted))
            .bind(column!(|row| row.event_type))
            .bind(column!(|row| row.micros))
            .bind(column!(AuditRow::message_hex))
            .bind(column!(AuditRow::digest_hex))
            .bind(column!(AuditRow::payload_text))
            .bind(column!(|row| &*row.at.topic))
            .bind(column!(|row| row.at.partition))
            .bind(column!(|row| row.offset))
            .bind(column!(|row| row.columns.user_id.as_deref()))
            .bind(column!(|row| row.columns.transaction_type.as_deref()))
            .bind(column!(|row| row.columns.product.as_deref()))
            .bind(column!(|row| row.columns.status.as_deref()))
            .bind(column!(|row| row.columns.currency.as_deref()))
            .bind(column!(|row| row.columns.amount.as_deref()));
        let written = self.postgres.scalars(statement).await?;
        Ok(verdicts(&written, rows.iter().map(|row| row.id.as_str())))
    }

    /// An update of no row: refused like any write where the server is read-only, the table missing or the user without rights.
    async fn take_nothing(&self) -> Result<(), Failure> {
        let nothing = sqlx::query("UPDATE transaction_state SET version = version WHERE false");
        self.postgres.done(nothing).await.map(drop)
    }
}

impl Sink<AuditRow> for PostgresAudit {
    fn name(&self) -> &'static str {
        "postgres"
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
