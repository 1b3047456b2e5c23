//! The audit's state, read back row by row.

use pipeline::Record;
use pipeline::sink::{Answer, Failure};

use super::Postgres;
use super::judge::judge;
use crate::shelf::{Found, Held, Shelf, Visit, in_order, kept, text_content};

/// Rows in one page.
const PAGE: i64 = 5_000;

/// Reads `transaction_state`, and of `transaction_events` what is about one document.
pub struct PostgresShelf(pub Postgres);

type StateRow = (String, i64, bool, Option<String>);

impl PostgresShelf {
    async fn all(&self, visit: Visit<'_>) -> Result<(), Failure> {
        let Self(postgres) = self;
        let mut after: Option<String> = None;
        loop {
            let page = sqlx::query_as::<_, StateRow>(
                "SELECT id, version, deleted, payload::text FROM transaction_state
                 WHERE $1::text IS NULL OR id > $1 ORDER BY id LIMIT $2",
            );
            let page = postgres.within(page.bind(&after).bind(PAGE).fetch_all(&postgres.pool)).await?;
            let page = page.map_err(|error| judge(&error, &postgres.address))?;
            for row in &page {
                visit(&row.0, held(row))?;
            }
            match page.into_iter().last() {
                Some((id, ..)) => after = Some(id),
                None => return Ok(()),
            }
        }
    }

    async fn look_up(&self, ids: &[String]) -> Result<Vec<Option<Found>>, Failure> {
        let Self(postgres) = self;
        let rows = sqlx::query_as::<_, StateRow>(
            "SELECT id, version, deleted, payload::text FROM transaction_state WHERE id = ANY($1)",
        );
        let rows = postgres.within(rows.bind(ids).fetch_all(&postgres.pool)).await?;
        let rows = rows.map_err(|error| judge(&error, &postgres.address))?;
        Ok(in_order(ids, rows.into_iter().map(|row| (row.0.clone(), Found { held: held(&row), text: row.3 }))))
    }

    async fn events(&self, id: &str) -> Result<Option<Vec<Record>>, Failure> {
        let Self(postgres) = self;
        let rows = sqlx::query_as(
            "SELECT kafka_topic, kafka_partition, kafka_offset, payload::text FROM transaction_events
             WHERE transaction_id = $1",
        );
        let rows = postgres.within(rows.bind(id).fetch_all(&postgres.pool)).await?;
        let rows: Vec<_> = rows.map_err(|error| judge(&error, &postgres.address))?;
        Ok(Some(rows.into_iter().map(kept).collect()))
    }

    async fn delete(&self, documents: &[(String, i64)]) -> Result<u64, Failure> {
        let Self(postgres) = self;
        let (ids, versions): (Vec<&str>, Vec<i64>) =
            documents.iter().map(|(id, version)| (id.as_str(), version)).unzip();
        let delete = sqlx::query(
            "DELETE FROM transaction_state USING UNNEST($1::text[], $2::bigint[]) AS gone (id, version)
             WHERE transaction_state.id = gone.id AND transaction_state.version = gone.version",
        );
        let deleted = postgres.within(delete.bind(ids).bind(versions).execute(&postgres.pool)).await?;
        deleted.map(|done| done.rows_affected()).map_err(|error| judge(&error, &postgres.address))
    }
}

fn held((_, version, deleted, payload): &StateRow) -> Held {
    let content = payload.as_ref().map_or(0, |payload| text_content(payload.as_bytes()));
    Held { version: *version, deleted: *deleted, content }
}

impl Shelf for PostgresShelf {
    fn name(&self) -> &'static str {
        "postgres"
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
