//! A version store in PostgreSQL: each call is one statement, and so one transaction.

use std::collections::HashMap;

use pipeline::sink::{BoxFuture, Failure, Order, Reject, Verdict};

use super::version_store::{IndexEntry, VersionRow, VersionStore};
use crate::stores::postgres::{Postgres, persons_rows};
use crate::stores::reader::ObservedVersion;
use crate::stores::sql::verdicts::verdicts;

/// Rows in one page.
const PAGE: i64 = 1_000;
/// Rows deleted by one statement.
const DELETED_AT_ONCE: usize = 5_000;

/// Rows go in the order of their ids, so that two instances cannot lock each other out. What was held before stays what it
/// was when the same version comes once more.
macro_rules! take {
    ($accepts:literal) => {
        concat!(
            r#"
WITH entries AS (
    SELECT * FROM UNNEST($2::text[], $3::bigint[], $4::text[], $5::text[], $6::smallint[])
        AS entry (id, version, object, subject, stars)
)
INSERT INTO algolia_ledger AS held (index_name, id, version, object, subject, stars, subjects)
SELECT $1, id, version, object, subject, stars, array_remove(ARRAY[subject], NULL) FROM entries ORDER BY id
ON CONFLICT (index_name, id) DO UPDATE SET version = excluded.version, object = excluded.object,
    subject = excluded.subject, stars = excluded.stars,
    subjects = CASE WHEN held.subjects @> excluded.subjects THEN held.subjects
        ELSE held.subjects || excluded.subjects END,
    previous_version = CASE WHEN held.version < excluded.version THEN held.version ELSE held.previous_version END,
    previous_object = CASE WHEN held.version < excluded.version THEN held.object ELSE held.previous_object END,
    previous_subject = CASE WHEN held.version < excluded.version THEN held.subject ELSE held.previous_subject END,
    previous_stars = CASE WHEN held.version < excluded.version THEN held.stars ELSE held.previous_stars END
WHERE held.version "#,
            $accepts,
            " excluded.version RETURNING held.id"
        )
    };
}

/// Either part finds the row or the other does.
const GIVE_BACK: &str = "
WITH gone AS (
    DELETE FROM algolia_ledger WHERE index_name = $1 AND id = $2 AND version = $3 AND previous_version IS NULL
)
UPDATE algolia_ledger SET version = previous_version, object = previous_object, subject = previous_subject,
    stars = previous_stars, previous_version = NULL, previous_object = NULL, previous_subject = NULL, previous_stars = NULL
WHERE index_name = $1 AND id = $2 AND version = $3 AND previous_version IS NOT NULL";

/// A condition on the id of its own for the first page, for one that allows both would read from the start each time.
macro_rules! page {
    ($beyond:literal) => {
        concat!(
            "SELECT id, version, object FROM algolia_ledger WHERE index_name = $1 AND id ",
            $beyond,
            " $2 ORDER BY id LIMIT $3"
        )
    };
}

/// Locks in the order of ids, and looks at the rows again once it has them.
const REMOVE: &str = "
DELETE FROM algolia_ledger WHERE index_name = $1 AND id IN (
    SELECT held.id FROM algolia_ledger AS held
    JOIN UNNEST($2::text[], $3::bigint[], $4::boolean[]) AS seen (id, version, deleted)
        ON held.id = seen.id AND held.version = seen.version AND held.deleted = seen.deleted
    WHERE held.index_name = $1 ORDER BY seen.id FOR UPDATE OF held
)";

/// Versions and objects of one index.
#[derive(Clone, Debug)]
pub struct PostgresVersionStore {
    postgres: Postgres,
    index: &'static str,
    take: &'static str,
}

impl PostgresVersionStore {
    /// Needs the tables of [`Postgres::install_version_store`].
    pub fn new(postgres: Postgres, index: &'static str, order: Order) -> Self {
        let take = match order {
            Order::Log => take!("<="),
            Order::Any => take!("<"),
        };
        Self { postgres, index, take }
    }

    async fn taken(&self, entries: &[&IndexEntry]) -> Result<Vec<Verdict>, Failure> {
        let rejects: Vec<Option<Reject>> = entries.iter().map(|entry| unfit(entry)).collect();
        let fit: Vec<&IndexEntry> =
            entries.iter().zip(&rejects).filter(|(_, reject)| reject.is_none()).map(|(entry, _)| *entry).collect();
        let mut judged = self.upsert(&fit).await?.into_iter();
        let verdict = |reject: Option<Reject>| match reject {
            Some(reject) => Some(Verdict::Reject(reject)),
            None => judged.next(),
        };
        Ok(rejects.into_iter().filter_map(verdict).collect())
    }

    async fn upsert(&self, entries: &[&IndexEntry]) -> Result<Vec<Verdict>, Failure> {
        macro_rules! column {
            ($get:expr) => {
                entries.iter().copied().map($get).collect::<Vec<_>>()
            };
        }
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let take = sqlx::query_scalar::<_, String>(self.take)
            .bind(self.index)
            .bind(column!(|entry| entry.id.as_str()))
            .bind(column!(|entry| entry.version))
            .bind(column!(|entry| entry.object.as_deref()))
            .bind(column!(|entry| entry.contribution.as_ref().map(|adds| adds.subject.as_str())))
            .bind(column!(|entry| entry.contribution.as_ref().map(|adds| i16::from(adds.stars))));
        let written = self.postgres.scalars(take).await?;
        Ok(verdicts(&written, entries.iter().map(|entry| entry.id.as_str())))
    }

    async fn put_back(&self, entry: &IndexEntry) -> Result<(), Failure> {
        if unfit(entry).is_some() {
            return Ok(());
        }
        let give = sqlx::query(GIVE_BACK).bind(self.index).bind(&entry.id).bind(entry.version);
        self.postgres.done(give).await.map(drop)
    }

    async fn rows_of(&self, ids: &[String]) -> Result<Vec<Option<VersionRow>>, Failure> {
        const ROWS: &str = "SELECT id, version, object FROM algolia_ledger WHERE index_name = $1 AND id = ANY($2)";
        let rows = sqlx::query_as(ROWS).bind(self.index).bind(possible(ids));
        let rows = self.postgres.rows(rows).await?;
        let rows: HashMap<String, VersionRow> =
            rows.into_iter().map(row).map(|row: VersionRow| (row.id.clone(), row)).collect();
        Ok(ids.iter().map(|id| rows.get(id).cloned()).collect())
    }

    async fn rows_after(&self, after: Option<&str>) -> Result<Vec<VersionRow>, Failure> {
        let page = sqlx::query_as(if after.is_some() { page!(">") } else { page!(">=") });
        let page = page.bind(self.index).bind(after.unwrap_or_default()).bind(PAGE);
        let rows = self.postgres.rows(page).await?;
        Ok(rows.into_iter().map(row).collect())
    }

    async fn delete(&self, seen: &[ObservedVersion]) -> Result<u64, Failure> {
        let mut removed = 0;
        for seen in seen.chunks(DELETED_AT_ONCE) {
            let seen = seen.iter().filter(|seen| !seen.id.contains('\0'));
            let (ids, (versions, deleted)): (Vec<&str>, (Vec<i64>, Vec<bool>)) =
                seen.map(|seen| (seen.id.as_str(), (seen.version, seen.deleted))).unzip();
            let remove = sqlx::query(REMOVE).bind(self.index).bind(ids).bind(versions).bind(deleted);
            removed += self.postgres.done(remove).await?;
        }
        Ok(removed)
    }

    async fn noted(&self) -> Result<Option<i64>, Failure> {
        let noted = sqlx::query_scalar("SELECT version FROM algolia_horizons WHERE index_name = $1").bind(self.index);
        Ok(self.postgres.scalars(noted).await?.pop())
    }

    async fn note(&self, version: i64) -> Result<(), Failure> {
        let note = sqlx::query(
            "INSERT INTO algolia_horizons AS noted (index_name, version) VALUES ($1, $2)
             ON CONFLICT (index_name) DO UPDATE SET version = greatest(noted.version, excluded.version)",
        );
        self.postgres.done(note.bind(self.index).bind(version)).await.map(drop)
    }

    /// An update of no row: refused like any write where the server is read-only, the table missing or the user without rights.
    async fn take_nothing(&self) -> Result<(), Failure> {
        let nothing = sqlx::query("UPDATE algolia_ledger SET version = version WHERE false");
        self.postgres.done(nothing).await.map(drop)
    }
}

/// PostgreSQL has no text with a NUL in it, and does not even let one be asked for.
pub(crate) fn possible(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).filter(|text| !text.contains('\0')).collect()
}

fn unfit(entry: &IndexEntry) -> Option<Reject> {
    let subject = entry.contribution.as_ref().map(|contribution| contribution.subject.as_str());
    if entry.id.contains('\0') {
        Some(Reject::new("nul_in_id", "the id holds a NUL character, which SQL text cannot"))
    } else if subject.is_some_and(|subject| subject.contains('\0')) {
        Some(Reject::new("nul_in_subject", "the id of whom it counts for holds a NUL character, which SQL text cannot"))
    } else {
        None
    }
}

fn row((id, version, object): (String, i64, Option<String>)) -> VersionRow {
    VersionRow { id, version, object }
}

impl VersionStore for PostgresVersionStore {
    fn take<'a>(&'a self, entries: &'a [&'a IndexEntry]) -> BoxFuture<'a, Result<Vec<Verdict>, Failure>> {
        Box::pin(self.taken(entries))
    }

    fn give_back<'a>(&'a self, entry: &'a IndexEntry) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.put_back(entry))
    }

    fn rows<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<Vec<Option<VersionRow>>, Failure>> {
        Box::pin(self.rows_of(ids))
    }

    fn page<'a>(&'a self, after: Option<&'a str>) -> BoxFuture<'a, Result<Vec<VersionRow>, Failure>> {
        Box::pin(self.rows_after(after))
    }

    fn remove<'a>(&'a self, seen: &'a [ObservedVersion]) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(self.delete(seen))
    }

    fn of_person<'a>(&'a self, person: &'a str) -> BoxFuture<'a, Result<Vec<ObservedVersion>, Failure>> {
        Box::pin(persons_rows::rows(&self.postgres, self.index, person))
    }

    fn forget<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(async move { persons_rows::previous(&self.postgres, self.index, &possible(ids)).await })
    }

    fn horizon(&self) -> BoxFuture<'_, Result<Option<i64>, Failure>> {
        Box::pin(self.noted())
    }

    fn note_horizon(&self, version: i64) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(self.note(version))
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(self.take_nothing())
    }
}
