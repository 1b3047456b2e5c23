//! The audit's state, read back row by row.

use async_trait::async_trait;
use pipeline::Record;
use pipeline::sink::Failure;

use super::{Postgres, persons_rows};
use crate::stores::erased::is_erased;
use crate::stores::reader::{
    Column, EventKey, ObservedVersion, StoreReader, StoredDocument, StoredVersion, Visit, in_order, record_of_history,
    record_with_key, text_content,
};
use crate::walk::transactions::of_row;

/// Rows in one page.
const PAGE: i64 = 5_000;
/// Rows deleted by one statement.
const DELETED_AT_ONCE: usize = 5_000;
/// Whose horizon it is.
const TABLE: &str = "transaction_state";

/// Reads `transaction_state`, and of `transaction_events` what is about one document.
pub struct PostgresReader(pub Postgres);

type StateRow = (String, i64, bool, Column, Column, Column, Column, Column, Column, Column);

fn version_of(
    (_, version, deleted, payload, user, kind, product, status, currency, amount): &StateRow,
) -> StoredVersion {
    let content = payload.as_ref().map_or(0, |payload| text_content(payload.as_bytes()));
    let columns = [user, kind, product, status, currency, amount].map(Option::as_deref);
    let passed = (!deleted).then(|| of_row(payload.as_deref(), columns));
    StoredVersion { version: *version, deleted: *deleted, content, passed }
}

#[async_trait]
impl StoreReader for PostgresReader {
    fn name(&self) -> &'static str {
        "postgres"
    }

    async fn read(&self, visit: Visit<'_>) -> Result<(), Failure> {
        let Self(postgres) = self;
        let mut after: Option<String> = None;
        loop {
            let page = sqlx::query_as::<_, StateRow>(
                "SELECT id, version, deleted, payload::text, user_id, transaction_type, product, status, currency, amount::text
                 FROM transaction_state WHERE $1::text IS NULL OR id > $1 ORDER BY id LIMIT $2",
            );
            let page = postgres.rows(page.bind(&after).bind(PAGE)).await?;
            for row in &page {
                visit(&row.0, version_of(row))?;
            }
            match page.into_iter().last() {
                Some((id, ..)) => after = Some(id),
                None => return Ok(()),
            }
        }
    }

    async fn find(&self, ids: &[String]) -> Result<Vec<Option<StoredDocument>>, Failure> {
        let Self(postgres) = self;
        let rows = sqlx::query_as::<_, StateRow>(
            "SELECT id, version, deleted, payload::text, user_id, transaction_type, product, status, currency, amount::text
             FROM transaction_state WHERE id = ANY($1)",
        );
        // PostgreSQL has no text with a NUL in it, and does not even let one be asked for.
        let possible: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !id.contains('\0')).collect();
        let rows = postgres.rows(rows.bind(possible)).await?;
        Ok(in_order(
            ids,
            rows.into_iter().map(|row| (row.0.clone(), StoredDocument { version: version_of(&row), text: row.3 })),
        ))
    }

    fn keeps_history(&self) -> bool {
        true
    }

    async fn history(&self, id: &str) -> Result<Option<Vec<Record>>, Failure> {
        let Self(postgres) = self;
        let rows = sqlx::query_as(
            "SELECT kafka_topic, kafka_partition, kafka_offset, payload::text FROM transaction_events
             WHERE transaction_id = $1",
        );
        let rows = postgres.rows(rows.bind(id)).await?;
        Ok(Some(rows.into_iter().map(record_of_history).filter(|event| !is_erased(event)).collect()))
    }

    async fn events_after(&self, after: &EventKey, most: i64) -> Result<Option<Vec<(EventKey, Record)>>, Failure> {
        let Self(postgres) = self;
        let page = sqlx::query_as(include_str!("sql/history_page.sql"));
        let page = postgres.rows(page.bind(&after.0).bind(&after.1).bind(most)).await?;
        Ok(Some(page.into_iter().map(record_with_key).collect()))
    }

    async fn remove(&self, seen: &[ObservedVersion]) -> Result<u64, Failure> {
        let Self(postgres) = self;
        let mut removed = 0;
        for seen in seen.chunks(DELETED_AT_ONCE) {
            let ids: Vec<&str> = seen.iter().map(|seen| seen.id.as_str()).collect();
            let (versions, deleted): (Vec<i64>, Vec<bool>) =
                seen.iter().map(|seen| (seen.version, seen.deleted)).unzip();
            let delete = sqlx::query(include_str!("sql/remove_state.sql"));
            removed += postgres.execute(delete.bind(ids).bind(versions).bind(deleted)).await?;
        }
        Ok(removed)
    }

    async fn of_person(&self, person: &str) -> Result<Option<Vec<ObservedVersion>>, Failure> {
        persons_rows::states(&self.0, person).await.map(Some)
    }

    async fn forget(&self, person: &str, seen: &[ObservedVersion], only_look: bool) -> Result<u64, Failure> {
        persons_rows::history(&self.0, person, seen, only_look).await
    }

    async fn horizon(&self) -> Result<Option<i64>, Failure> {
        let Self(postgres) = self;
        let noted = sqlx::query_scalar("SELECT version FROM purge_horizons WHERE table_name = $1");
        Ok(postgres.scalars(noted.bind(TABLE)).await?.pop())
    }

    async fn note_horizon(&self, version: i64) -> Result<(), Failure> {
        let Self(postgres) = self;
        let note = sqlx::query(
            "INSERT INTO purge_horizons AS noted (table_name, version) VALUES ($1, $2)
             ON CONFLICT (table_name) DO UPDATE SET version = greatest(noted.version, excluded.version)",
        );
        postgres.execute(note.bind(TABLE).bind(version)).await.map(drop)
    }
}
