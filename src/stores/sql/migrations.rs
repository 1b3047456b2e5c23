//! Tables: made and brought up to date from the files in `migrations/`, each applied once, by one process at a time.

use pipeline::sink::Failure;
use sqlx::migrate::{Migrate, MigrateError, MigrationType, Migrator};
use sqlx::{Error, SqlStr};

/// One file of a database's folder.
pub(crate) struct Migration {
    pub version: i64,
    pub name: &'static str,
    pub sql: &'static str,
}

/// Applies what is missing; `table` keeps what was applied, one for each set of tables that may share a database.
pub(crate) async fn run<C: Migrate>(
    migrations: &[Migration],
    table: &'static str,
    connection: &mut C,
) -> Result<(), MigrateError> {
    migrator(migrations, table).run_direct(None, connection, false).await
}

/// The migrations as sqlx has them.
pub(crate) fn migrator(migrations: &[Migration], table: &'static str) -> Migrator {
    let made = |migration: &Migration| {
        let sql = SqlStr::from_static(migration.sql);
        sqlx::migrate::Migration::new(migration.version, migration.name.into(), MigrationType::Simple, sql, false)
    };
    let mut migrator = Migrator::with_migrations(migrations.iter().map(made).collect());
    migrator.dangerous_set_table_name(table);
    migrator
}

/// What a failed migration means; `judge` knows the database's own errors.
pub(crate) fn failure(error: MigrateError, address: &str, judge: impl Fn(&Error) -> Failure) -> Failure {
    match &error {
        MigrateError::Execute(cause) => judge(cause),
        MigrateError::ExecuteMigration(cause, version) => {
            let Failure { kind, why } = judge(cause);
            Failure::new(kind, format!("migration {version}: {why}"))
        }
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => Failure::misconfigured(
            format!("the tables in {address} were made by a newer millrace (migration {version}): run that one"),
        ),
        _ => Failure::misconfigured(format!("the tables in {address} cannot be brought up to date: {error}")),
    }
}
