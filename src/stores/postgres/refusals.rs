//! The list of refused follow-ups in PostgreSQL: one row a subject.

use async_trait::async_trait;
use pipeline::sink::Failure;

use super::Postgres;
use crate::stores::follow_up::{Listed, Refusal, Refusals};

/// Rows go in the order of their subjects, so that two instances cannot lock each other out.
const PUT: &str = include_str!("sql/put_refusals.sql");

const REMOVE: &str = include_str!("sql/remove_refusals.sql");

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
}

#[async_trait]
impl Refusals for PostgresRefusals {
    async fn put(&self, listed: &[Listed]) -> Result<(), Failure> {
        macro_rules! values_of {
            ($get:expr) => {
                listed.iter().map($get).collect::<Vec<_>>()
            };
        }
        let put = sqlx::query(PUT)
            .bind(self.system)
            .bind(values_of!(|one| one.refusal.subject.as_str()))
            .bind(values_of!(|one| one.refusal.document.as_str()))
            .bind(values_of!(|one| one.refusal.why.as_ref()))
            .bind(values_of!(|one| one.token.as_str()));
        self.postgres.execute(put).await.map(drop)
    }

    async fn remove(&self, seen: &[Listed]) -> Result<(), Failure> {
        let (subjects, tokens): (Vec<&str>, Vec<&str>) =
            seen.iter().map(|one| (one.refusal.subject.as_str(), one.token.as_str())).unzip();
        let remove = sqlx::query(REMOVE).bind(self.system).bind(subjects).bind(tokens);
        self.postgres.execute(remove).await.map(drop)
    }

    async fn all(&self) -> Result<Vec<Listed>, Failure> {
        let all = sqlx::query_as(ALL).bind(self.system);
        let rows: Option<Vec<(String, String, String, String)>> = self.postgres.rows_or(all, NO_TABLE).await?;
        let listed = |(subject, document, why, token): (String, String, String, String)| Listed {
            refusal: Refusal { subject, document, why: why.into() },
            token,
        };
        Ok(rows.unwrap_or_default().into_iter().map(listed).collect())
    }
}
