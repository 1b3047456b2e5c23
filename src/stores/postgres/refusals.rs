//! The list of refused follow-ups in PostgreSQL: one row a subject.

use pipeline::sink::{BoxFuture, Failure};

use super::Postgres;
use crate::stores::follow_up::{Listed, Refusal, Refusals};

/// Rows go in the order of their subjects, so that two instances cannot lock each other out.
const PUT: &str = "INSERT INTO millrace_refused_follow_ups (system, subject, document, why, token)
    SELECT $1, subject, document, why, token FROM UNNEST($2::text[], $3::text[], $4::text[], $5::text[])
        AS listed (subject, document, why, token) ORDER BY subject
    ON CONFLICT (system, subject) DO UPDATE SET document = excluded.document, why = excluded.why, token = excluded.token";

const REMOVE: &str = "DELETE FROM millrace_refused_follow_ups WHERE system = $1 AND subject IN (
    SELECT held.subject FROM millrace_refused_follow_ups AS held
    JOIN UNNEST($2::text[], $3::text[]) AS seen (subject, token)
        ON held.subject = seen.subject AND held.token = seen.token
    WHERE held.system = $1 ORDER BY held.subject FOR UPDATE OF held
)";

const ALL: &str =
    "SELECT subject, document, why, token FROM millrace_refused_follow_ups WHERE system = $1 ORDER BY subject";

/// The table is not there: nothing was ever listed.
const NO_TABLE: &str = "42P01";

/// The list of one system.
#[derive(Clone, Debug)]
pub struct PostgresRefusals {
    postgres: Postgres,
    system: &'static str,
}

impl PostgresRefusals {
    /// Needs the tables of [`Postgres::install_version_store`].
    pub fn new(postgres: Postgres, system: &'static str) -> Self {
        Self { postgres, system }
    }

    async fn write(&self, listed: &[Listed]) -> Result<(), Failure> {
        macro_rules! column {
            ($get:expr) => {
                listed.iter().map($get).collect::<Vec<_>>()
            };
        }
        let put = sqlx::query(PUT)
            .bind(self.system)
            .bind(column!(|one| one.refusal.subject.as_str()))
            .bind(column!(|one| one.refusal.document.as_str()))
            .bind(column!(|one| one.refusal.why.as_ref()))
            .bind(column!(|one| one.token.as_str()));
        self.postgres.done(put).await.map(drop)
    }

    async fn delete(&self, seen: &[Listed]) -> Result<(), Failure> {
        let (subjects, tokens): (Vec<&str>, Vec<&str>) =
            seen.iter().map(|one| (one.refusal.subject.as_str(), one.token.as_str())).unzip();
        let remove = sqlx::query(REMOVE).bind(self.system).bind(subjects).bind(tokens);
        self.postgres.done(remove).await.map(drop)
    }

    async fn read(&self) -> Result<Vec<Listed>, Failure> {
        let all = sqlx::query_as(ALL).bind(self.system);
        let rows: Option<Vec<(String, String, String, String)>> = self.postgres.rows_or(all, NO_TABLE).await?;
        let listed = |(subject, document, why, token): (String, String, String, String)| Listed {
            refusal: Refusal { subject, document, why: why.into() },
            token,
        };
        Ok(rows.unwrap_or_default().into_iter().map(listed).collect())
    }
}

impl Refusals for PostgresRefusals {
    fn put<'a>(&'a self, listed: &'a [Listed]) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.write(listed))
    }

    fn remove<'a>(&'a self, seen: &'a [Listed]) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.delete(seen))
    }

    fn all(&self) -> BoxFuture<'_, Result<Vec<Listed>, Failure>> {
        Box::pin(self.read())
    }
}
