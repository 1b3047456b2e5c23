//! Migrations: all of them or nothing, in one transaction, as a pool of transactions wants it.

use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::config::is_plain_schema;

/// Each statement sees what was committed before it, whatever the server's default is.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Of this program's migrations, within a database.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7885107240661)";

/// Applies what is missing, all of it or nothing; `table` keeps what was applied, as sqlx has it. A schema is made where it is
/// missing; its name has to be a plain one.
pub(super) async fn migrate(
    migrator: &Migrator,
    table: &'static str,
    schema: Option<&str>,
    connection: &mut PgConnection,
) -> Result<(), MigrateError> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    if let Some(schema) = schema {
        if !is_plain_schema(schema) {
            let why = "the name of the schema is not small letters, digits and underscores";
            return Err(MigrateError::Source(why.into()));
        }
        // Before the schema is made: two that make it at once would fail one another.
        sqlx::raw_sql(LOCK).execute(&mut *transaction).await?;
        let make = format!("CREATE SCHEMA IF NOT EXISTS {schema}; SET LOCAL search_path TO {schema}");
        sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut *transaction).await?;
    }
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
    let applied = sqlx::query_as::<_, (i64, bool, Vec<u8>)>(AssertSqlSafe(list))
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
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
