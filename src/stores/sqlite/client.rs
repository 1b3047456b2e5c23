//! SQLite: one file that holds the index with its full-text search, the audit, or both.
//!
//! Versions and tombstones follow the same rules as in the other stores. It waits for whoever else writes to the file for
//! a few seconds at a time, and guarantees that what it said is written is on disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pipeline::sink::Failure;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Error};

use crate::stores::sql::migrations::{self, Migration};

/// How long to wait for another writer.
const BUSY: Duration = Duration::from_secs(5);

/// Negative, as SQLite has it for sizes: <https://www.sqlite.org/pragma.html#pragma_cache_size>.
const CACHE_KIBIBYTES: &str = "-32768";

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "transactions",
        sql: include_str!("../../../migrations/sqlite/0001_transactions.sql"),
    },
    Migration {
        version: 2,
        name: "purge horizons",
        sql: include_str!("../../../migrations/sqlite/0002_purge_horizons.sql"),
    },
    Migration { version: 3, name: "erasure", sql: include_str!("../../../migrations/sqlite/0003_erasure.sql") },
];

/// A database file.
#[derive(Clone, Debug)]
pub struct Sqlite {
    pub(super) pool: SqlitePool,
    pub(super) path: PathBuf,
}

/// A row as the file holds it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: String,
    pub version: i64,
    pub deleted: bool,
    /// The document, or the raw event.
    pub text: Option<String>,
}

impl Sqlite {
    /// Must be called inside a tokio runtime; opens nothing yet. The file is made when it is missing.
    pub fn new(path: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            // A batch touches more pages than the default of 2 MB holds, and what does not fit is written twice.
            .pragma("cache_size", CACHE_KIBIBYTES)
            .disable_statement_logging();
        // One connection: SQLite has one writer at a time anyway, and our own never wait for each other's locks.
        let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(30));
        Self { pool: pool.connect_lazy_with(options), path: path.to_owned() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the tables where they are missing or old.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub async fn install(&self) -> Result<(), Failure> {
        let mut connection = self.pool.acquire().await.map_err(|error| self.judge(&error))?;
        let migrated = migrations::run(MIGRATIONS, "millrace_migrations", &mut *connection).await;
        migrated.map_err(|error| migrations::failure(error, &self.describe(), |e| self.judge(e)))
    }

    pub(crate) async fn read_rows(&self, query: &'static str) -> Result<Vec<Stored>, Failure> {
        let rows = sqlx::query_as::<_, (String, i64, bool, Option<String>)>(query).fetch_all(&self.pool).await;
        let stored = |(id, version, deleted, text)| Stored { id, version, deleted, text };
        rows.map(|rows| rows.into_iter().map(stored).collect()).map_err(|error| self.judge(&error))
    }

    pub(crate) fn describe(&self) -> String {
        self.path.display().to_string()
    }

    /// What an error means, by SQLite's primary result code. <https://www.sqlite.org/rescode.html>
    pub(crate) fn judge(&self, error: &Error) -> Failure {
        let path = self.describe();
        let Error::Database(cause) = error else {
            return match error {
                Error::PoolTimedOut => Failure::unavailable(format!("the database file {path} is in use for too long")),
                _ => Failure::broken(format!("the database file {path} did not answer as expected")),
            };
        };
        let code = cause.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or(1);
        let what = match code & 0xff {
            5 | 6 => return Failure::unavailable(format!("the database file {path} is locked by another program")),
            10 => {
                return Failure::unavailable(format!(
                    "the database file {path} cannot be read or written (code {code})"
                ));
            }
            13 => return Failure::unavailable(format!("the disk of the database file {path} is full")),
            18..=20 => return Failure::refused(format!("SQLite does not take a value (code {code})")),
            3 | 8 => "may not be written",
            14 => "cannot be opened: does its folder exist, and may this user write there?",
            11 | 26 => "is no SQLite database, or is damaged",
            1 => "lacks a table of ours: a restart makes what is missing",
            _ => return Failure::broken(format!("the database file {path} failed (code {code})")),
        };
        Failure::misconfigured(format!("the database file {path} {what} (code {code})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_cannot_be_is_named_with_what_to_do() {
        let failure = Sqlite::new(Path::new("/nowhere/x.db")).install().await.unwrap_err();
        assert!(failure.why.contains("/nowhere/x.db cannot be opened"), "{}", failure.why);
        let path = std::env::temp_dir().join(format!("millrace-no-database-{}", std::process::id()));
        std::fs::write(&path, "this is a text, and a long one too, so that it cannot be taken for an empty file")
            .unwrap();
        let failure = Sqlite::new(&path).install().await.unwrap_err();
        assert!(failure.why.contains("is no SQLite database"), "{}", failure.why);
        std::fs::remove_file(&path).unwrap();
    }
}
