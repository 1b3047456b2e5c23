//! The audit in PostgreSQL: state and history of a batch in one statement.

use async_trait::async_trait;
use pipeline::mutant;
use pipeline::sink::{Failure, Order, Sink, SinkLimits, Verdict};

use super::Postgres;
use crate::stores::audit::{AuditRow, MAX_BYTES, MAX_ITEMS};
use crate::stores::sql::verdicts::verdicts;

/// One statement is one transaction: the history has every event whose state was judged, and the other way round. Rows go in
/// the order of their ids, so that two instances cannot lock each other out.
const WRITE: &str = include_str!("sql/write_audit.sql");

/// Writes rows to `transaction_state` and `transaction_events`.
pub struct PostgresAudit {
    postgres: Postgres,
    /// Whether a row of the version that is held is taken.
    takes_equal: bool,
}

impl PostgresAudit {
    pub fn new(postgres: Postgres, order: Order) -> Self {
        Self { postgres, takes_equal: order == Order::Log && !mutant!(EqualRefused) }
    }
}

#[async_trait]
impl Sink<AuditRow> for PostgresAudit {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn limits(&self) -> SinkLimits {
        SinkLimits { items: MAX_ITEMS, bytes: MAX_BYTES, ordered: false, one_write_a_document: true }
    }

    async fn write(&self, rows: &[&AuditRow]) -> Result<Vec<Verdict>, Failure> {
        macro_rules! values_of {
            ($get:expr) => {
                rows.iter().copied().map($get).collect::<Vec<_>>()
            };
        }
        let statement = sqlx::query_scalar::<_, String>(WRITE)
            .bind(values_of!(|row| row.id.as_str()))
            .bind(values_of!(|row| row.version))
            .bind(values_of!(|row| row.deleted))
            .bind(values_of!(|row| row.event_type))
            .bind(values_of!(|row| row.micros))
            .bind(values_of!(AuditRow::message_hex))
            .bind(values_of!(AuditRow::digest_hex))
            .bind(values_of!(AuditRow::payload_text))
            .bind(values_of!(|row| &*row.at.topic))
            .bind(values_of!(|row| row.at.partition))
            .bind(values_of!(|row| row.offset))
            .bind(values_of!(|row| row.columns.user_id.as_deref()))
            .bind(values_of!(|row| row.columns.transaction_type.as_deref()))
            .bind(values_of!(|row| row.columns.product.as_deref()))
            .bind(values_of!(|row| row.columns.status.as_deref()))
            .bind(values_of!(|row| row.columns.currency.as_deref()))
            .bind(values_of!(|row| row.columns.amount.as_deref()))
            .bind(self.takes_equal);
        let written = self.postgres.scalars(statement).await?;
        Ok(verdicts(&written, rows.iter().map(|row| row.id.as_str())))
    }

    async fn probe(&self) -> Result<(), Failure> {
        let nothing = sqlx::query("UPDATE transaction_state SET version = version WHERE false");
        self.postgres.execute(nothing).await.map(drop)
    }
}
