//! How statements are sent: without a name, each in a transaction of its own, and without anything that a session keeps.
//!
//! So a pool in between may give every transaction another session of the server: PgBouncer and others that pool
//! transactions. A name would be of one session, and there might be of a statement of somebody else's.

use pipeline::sink::Failure;
use sqlx::migrate::{Migration, Migrator};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection, Transaction, migrate::MigrateError};

use super::Postgres;
use super::errors::judge;

/// Each statement sees what was committed before it, whatever the server's default is.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Of this program's migrations, within a database.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7885107240661)";

type As<'q, O> = QueryAs<'q, sqlx::Postgres, O, PgArguments>;

impl Postgres {
    /// Begins a transaction whose names are looked for in this schema alone. Behind a pool the session is somebody else's afterwards.
    pub(crate) async fn begin_in(&self, schema: &str) -> Result<Transaction<'static, sqlx::Postgres>, Failure> {
        let begun = async {
            let mut transaction = self.pool.begin_with(BEGIN).await?;
            let path = sqlx::query("SELECT set_config('search_path', $1, true)").bind(schema).persistent(false);
            path.execute(&mut *transaction).await?;
            Ok(transaction)
        };
        self.asked(begun).await
    }

    /// The rows that a statement gives.
    pub(crate) async fn rows<O>(&self, query: As<'_, O>) -> Result<Vec<O>, Failure>
    where
        O: Send + Unpin + for<'r> FromRow<'r, PgRow>,
    {
        self.rows_or(query, "").await.map(Option::unwrap_or_default)
    }

    /// The same; `None` when it ends in the error of this code.
    pub(crate) async fn rows_or<O>(&self, query: As<'_, O>, code: &str) -> Result<Option<Vec<O>>, Failure>
    where
        O: Send + Unpin + for<'r> FromRow<'r, PgRow>,
    {
        let asked = async {
            let mut transaction = self.pool.begin_with(BEGIN).await?;
            let rows = query.persistent(false).fetch_all(&mut *transaction).await?;
            transaction.commit().await.map(|()| rows)
        };
        match self.within(asked).await? {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(code) => Ok(None),
            answer => answer.map(Some).map_err(|error| judge(&error, &self.address)),
        }
    }

    /// The first column of the rows that a statement gives.
    pub(crate) async fn scalars<O>(
        &self,
        query: QueryScalar<'_, sqlx::Postgres, O, PgArguments>,
    ) -> Result<Vec<O>, Failure>
    where
        O: Send + Unpin,
        (O,): Send + Unpin + for<'r> FromRow<'r, PgRow>,
    {
        let asked = async {
            let mut transaction = self.pool.begin_with(BEGIN).await?;
            let column = query.persistent(false).fetch_all(&mut *transaction).await?;
            transaction.commit().await.map(|()| column)
        };
        self.asked(asked).await
    }

    /// How many rows a statement touched.
    pub(crate) async fn done(&self, query: Query<'_, sqlx::Postgres, PgArguments>) -> Result<u64, Failure> {
        let asked = async {
            let mut transaction = self.pool.begin_with(BEGIN).await?;
            let done = query.persistent(false).execute(&mut *transaction).await?;
            transaction.commit().await.map(|()| done.rows_affected())
        };
        self.asked(asked).await
    }
}

/// Applies what is missing, all of it or nothing; `table` keeps what was applied, as sqlx has it.
pub(crate) async fn migrate(
    migrator: &Migrator,
    table: &'static str,
    connection: &mut PgConnection,
) -> Result<(), MigrateError> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    bring_up(migrator, table, &mut transaction).await?;
    Ok(transaction.commit().await?)
}

/// The same in a schema, which is made where it is missing; its name is a plain one.
pub(crate) async fn migrate_schema(
    migrator: &Migrator,
    table: &'static str,
    schema: &str,
    connection: &mut PgConnection,
) -> Result<(), MigrateError> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    // Before the schema is made: two that make it at once would fail one another.
    sqlx::raw_sql(LOCK).execute(&mut *transaction).await?;
    let make = format!("CREATE SCHEMA IF NOT EXISTS {schema}; SET LOCAL search_path TO {schema}");
    sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut *transaction).await?;
    bring_up(migrator, table, &mut transaction).await?;
    Ok(transaction.commit().await?)
}

async fn bring_up(
    migrator: &Migrator,
    table: &'static str,
    transaction: &mut PgConnection,
) -> Result<(), MigrateError> {
    sqlx::raw_sql(LOCK).execute(&mut *transaction).await?;
    let make = format!(
        "CREATE TABLE IF NOT EXISTS {table} (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
            installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL,
            execution_time BIGINT NOT NULL)"
    );
    sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut *transaction).await?;
    let list = format!("SELECT version, success, checksum FROM {table} ORDER BY version");
    let applied: As<'_, (i64, bool, Vec<u8>)> = sqlx::query_as(AssertSqlSafe(list));
    let applied = applied.persistent(false).fetch_all(&mut *transaction).await?;
    if let Some((version, ..)) = applied.iter().find(|(_, success, _)| !success) {
        return Err(MigrateError::Dirty(*version));
    }
    if let Some((version, ..)) = applied.iter().find(|(version, ..)| !migrator.version_exists(*version)) {
        return Err(MigrateError::VersionMissing(*version));
    }
    for migration in migrator.iter() {
        match applied.iter().find(|(version, ..)| *version == migration.version) {
            Some((version, _, checksum)) if *checksum != *migration.checksum => {
                return Err(MigrateError::VersionMismatch(*version));
            }
            Some(_) => {}
            None => apply(migration, table, transaction).await?,
        }
    }
    Ok(())
}

async fn apply(migration: &Migration, table: &str, connection: &mut PgConnection) -> Result<(), MigrateError> {
    let applied = sqlx::raw_sql(migration.sql.clone()).execute(&mut *connection).await;
    applied.map_err(|error| MigrateError::ExecuteMigration(error, migration.version))?;
    let note = format!(
        "INSERT INTO {table} (version, description, success, checksum, execution_time) VALUES ($1, $2, TRUE, $3, -1)"
    );
    let note = sqlx::query(AssertSqlSafe(note))
        .bind(migration.version)
        .bind(migration.description.clone().into_owned())
        .bind(migration.checksum.to_vec());
    note.persistent(false).execute(connection).await?;
    Ok(())
}
