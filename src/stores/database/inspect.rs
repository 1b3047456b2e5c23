//! A look at what the consumer has left in the database: keys that wait for Redis, rows whose operations come from several
//! partitions, and codes that nobody knows. It changes nothing.

use std::collections::BTreeMap;

use enrichers::operation::SqlValue;
use pipeline::sink::Failure;

use super::dialect::{Dialect, Statement};
use super::errors::{ErrorMeaning, SqlError, is_known};
use super::session::OperationStore;

/// Marks of single rows that are looked at: those of the lowest hashes, so a sample of rows with all that is known of each.
const SAMPLE: usize = 100_000;
/// Marks of letters that are looked at.
const LETTERS: usize = 10_000;

/// What waits and what is odd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationTraces {
    /// Keys of rows that Redis has to forget.
    pub dirty: u64,
    /// For how many seconds the oldest of them waits.
    pub dirty_seconds: u64,
    /// Rows of the sample.
    pub rows: u64,
    /// Those whose operations came from more than one partition of the topic.
    pub scattered: u64,
    /// Codes of letters that are not in the table of codes, and how many letters of the sample have each.
    pub unknown: BTreeMap<String, u64>,
}

impl OperationStore {
    /// Looks at the tables of ours; all is nought where they are not made yet.
    ///
    /// # Errors
    /// Why the database cannot be asked.
    pub async fn traces(&self, topic: &str) -> Result<OperationTraces, Failure> {
        match self.look(topic).await {
            Err(error) if error.meaning == ErrorMeaning::Catalogue => Ok(OperationTraces::default()),
            looked => looked.map_err(SqlError::failure),
        }
    }

    async fn look(&self, topic: &str) -> Result<OperationTraces, SqlError> {
        let dialect = self.dialect();
        let age = match dialect {
            Dialect::Mysql => "TIMESTAMPDIFF(SECOND, MIN(noted_at), NOW())",
            Dialect::Postgres => "floor(extract(epoch FROM now() - min(noted_at)))",
        };
        let [dirty, dirty_seconds] =
            self.numbers(&format!("SELECT COUNT(*) AS a, {age} AS b FROM millrace_dirty_keys"), &[]).await?;
        let [place, one] = match dialect {
            Dialect::Mysql => ["?", "MIN(kafka_partition) <> MAX(kafka_partition)"],
            Dialect::Postgres => ["($1::text[])[1]", "(MIN(kafka_partition) <> MAX(kafka_partition))::int"],
        };
        let sql = format!(
            "SELECT COUNT(*) AS a, SUM(scattered) AS b FROM (SELECT {one} AS scattered FROM (SELECT row_hash, kafka_partition, kafka_topic \
             FROM millrace_operations WHERE row_hash IS NOT NULL ORDER BY row_hash LIMIT {SAMPLE}) AS sample \
             WHERE kafka_topic = {place} GROUP BY row_hash) AS each_row"
        );
        let [rows, scattered] = self.numbers(&sql, &[SqlValue::Text(topic.to_owned())]).await?;
        Ok(OperationTraces { dirty, dirty_seconds, rows, scattered, unknown: self.unknown().await? })
    }

    /// The columns `a` and `b` of one row.
    async fn numbers(&self, sql: &str, values: &[SqlValue]) -> Result<[u64; 2], SqlError> {
        let text = if self.dialect() == Dialect::Mysql { "CHAR" } else { "TEXT" };
        let sql = format!("SELECT CAST(a AS {text}), CAST(b AS {text}) FROM ({sql}) AS looked");
        let statement = Statement { sql, values: self.dialect().one(values) };
        let row = self.texts(&statement).await?.into_iter().next().unwrap_or_default();
        let number = |at: usize| row.get(at).and_then(|text| text.as_ref()?.parse().ok()).unwrap_or(0);
        Ok([number(0), number(1)])
    }

    async fn unknown(&self) -> Result<BTreeMap<String, u64>, SqlError> {
        let sql =
            format!("SELECT rejected FROM millrace_operations WHERE rejected LIKE 'sql|_%' ESCAPE '|' LIMIT {LETTERS}");
        let statement = Statement { sql, values: self.dialect().one(&[]) };
        let mut unknown = BTreeMap::new();
        for rejected in self.texts(&statement).await?.into_iter().flatten().flatten() {
            let class = rejected.split('\n').next().and_then(|class| class.strip_prefix("sql_"));
            if let Some(code) = class.filter(|code| !is_known(code)) {
                *unknown.entry(code.to_owned()).or_default() += 1;
            }
        }
        Ok(unknown)
    }
}
