//! A version store in PostgreSQL: each call is one statement, and so one transaction.

use std::collections::HashMap;

use async_trait::async_trait;
use pipeline::sink::{Failure, Order, Reject, Verdict};

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
const TAKE: &str = include_str!("sql/take.sql");

/// Either part finds the row or the other does.
const GIVE_BACK: &str = include_str!("sql/give_back.sql");

/// The first page has a condition of its own: one that allows both would read from the start each time.
const FIRST_PAGE: &str =
    "SELECT id, version, object FROM algolia_ledger WHERE index_name = $1 AND id >= $2 ORDER BY id LIMIT $3";
const NEXT_PAGE: &str =
    "SELECT id, version, object FROM algolia_ledger WHERE index_name = $1 AND id > $2 ORDER BY id LIMIT $3";

/// Locks in the order of ids, and looks at the rows again once it has them.
const REMOVE: &str = include_str!("sql/remove.sql");

/// Versions and objects of one index.
#[derive(Clone, Debug)]
pub struct PostgresVersionStore {
    postgres: Postgres,
    index: &'static str,
    /// Whether an entry of the version that is held is taken.
    takes_equal: bool,
}

impl PostgresVersionStore {
    /// Needs the tables of [`Postgres::install_version_store`].
    pub fn new(postgres: Postgres, index: &'static str, order: Order) -> Self {
        Self { postgres, index, takes_equal: order == Order::Log }
    }

    async fn upsert(&self, entries: &[&IndexEntry]) -> Result<Vec<Verdict>, Failure> {
        macro_rules! values_of {
            ($get:expr) => {
                entries.iter().copied().map($get).collect::<Vec<_>>()
            };
        }
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let take = sqlx::query_scalar::<_, String>(TAKE)
            .bind(self.index)
            .bind(values_of!(|entry| entry.id.as_str()))
            .bind(values_of!(|entry| entry.version))
            .bind(values_of!(|entry| entry.object.as_deref()))
            .bind(values_of!(|entry| entry.contribution.as_ref().map(|adds| adds.subject.as_str())))
            .bind(values_of!(|entry| entry.contribution.as_ref().map(|adds| i16::from(adds.stars))))
            .bind(self.takes_equal);
        let written = self.postgres.scalars(take).await?;
        Ok(verdicts(&written, entries.iter().map(|entry| entry.id.as_str())))
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

#[async_trait]
impl VersionStore for PostgresVersionStore {
    async fn take(&self, entries: &[&IndexEntry]) -> Result<Vec<Verdict>, Failure> {
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

    async fn give_back(&self, entry: &IndexEntry) -> Result<(), Failure> {
        if unfit(entry).is_some() {
            return Ok(());
        }
        let give = sqlx::query(GIVE_BACK).bind(self.index).bind(&entry.id).bind(entry.version);
        self.postgres.execute(give).await.map(drop)
    }

    async fn rows(&self, ids: &[String]) -> Result<Vec<Option<VersionRow>>, Failure> {
        const ROWS: &str = "SELECT id, version, object FROM algolia_ledger WHERE index_name = $1 AND id = ANY($2)";
        let rows = sqlx::query_as(ROWS).bind(self.index).bind(possible(ids));
        let rows = self.postgres.rows(rows).await?;
        let rows: HashMap<String, VersionRow> =
            rows.into_iter().map(row).map(|row: VersionRow| (row.id.clone(), row)).collect();
        Ok(ids.iter().map(|id| rows.get(id).cloned()).collect())
    }

    async fn page(&self, after: Option<&str>) -> Result<Vec<VersionRow>, Failure> {
        let page = sqlx::query_as(if after.is_some() { NEXT_PAGE } else { FIRST_PAGE });
        let page = page.bind(self.index).bind(after.unwrap_or_default()).bind(PAGE);
        let rows = self.postgres.rows(page).await?;
        Ok(rows.into_iter().map(row).collect())
    }

    async fn remove(&self, seen: &[ObservedVersion]) -> Result<u64, Failure> {
        let mut removed = 0;
        for seen in seen.chunks(DELETED_AT_ONCE) {
            let seen = seen.iter().filter(|seen| !seen.id.contains('\0'));
            let (ids, (versions, deleted)): (Vec<&str>, (Vec<i64>, Vec<bool>)) =
                seen.map(|seen| (seen.id.as_str(), (seen.version, seen.deleted))).unzip();
            let remove = sqlx::query(REMOVE).bind(self.index).bind(ids).bind(versions).bind(deleted);
            removed += self.postgres.execute(remove).await?;
        }
        Ok(removed)
    }

    async fn of_person(&self, person: &str) -> Result<Vec<ObservedVersion>, Failure> {
        persons_rows::rows(&self.postgres, self.index, person).await
    }

    async fn forget(&self, ids: &[String]) -> Result<u64, Failure> {
        persons_rows::previous(&self.postgres, self.index, &possible(ids)).await
    }

    async fn horizon(&self) -> Result<Option<i64>, Failure> {
        let noted = sqlx::query_scalar("SELECT version FROM algolia_horizons WHERE index_name = $1").bind(self.index);
        Ok(self.postgres.scalars(noted).await?.pop())
    }

    async fn note_horizon(&self, version: i64) -> Result<(), Failure> {
        let note = sqlx::query(
            "INSERT INTO algolia_horizons AS noted (index_name, version) VALUES ($1, $2)
             ON CONFLICT (index_name) DO UPDATE SET version = greatest(noted.version, excluded.version)",
        );
        self.postgres.execute(note.bind(self.index).bind(version)).await.map(drop)
    }

    async fn probe(&self) -> Result<(), Failure> {
        let nothing = sqlx::query("UPDATE algolia_ledger SET version = version WHERE false");
        self.postgres.execute(nothing).await.map(drop)
    }
}
