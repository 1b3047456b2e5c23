//! Tables: our own are always made where they are missing; those of the seven entities only where a setting asks for it.

use pipeline::sink::Failure;

use super::catalogue::Catalogue;
use super::dialect::{BoundValues, Dialect, Statement};
use super::errors::SqlError;
use super::session::OperationStore;
use crate::config::DatabaseSettings;
use crate::stores::sql::migrations::Migration;

/// Keeps which migrations were applied.
pub(super) const APPLIED: &str = "millrace_database_migrations";

macro_rules! migrations {
    ($database:literal) => {
        &[
            Migration {
                version: 1,
                name: "marks",
                sql: include_str!(concat!("../../../migrations/operations/", $database, "/0001_marks.sql")),
            },
            Migration {
                version: 2,
                name: "dirty_keys",
                sql: include_str!(concat!("../../../migrations/operations/", $database, "/0002_dirty_keys.sql")),
            },
            Migration {
                version: 3,
                name: "written_rows",
                sql: include_str!(concat!("../../../migrations/operations/", $database, "/0003_written_rows.sql")),
            },
        ]
    };
}

pub(super) const MYSQL: &[Migration] = migrations!("mysql");
pub(super) const POSTGRES: &[Migration] = migrations!("postgres");

macro_rules! shipped {
    ($($table:literal),+) => {
        &[$(ShippedTable {
            name: $table,
            mysql: include_str!(concat!("../../../migrations/operations/mysql/", $table, ".sql")),
            postgres: include_str!(concat!("../../../migrations/operations/postgres/", $table, ".sql")),
        }),+]
    };
}

/// A table of an entity that comes with the program.
struct ShippedTable {
    name: &'static str,
    mysql: &'static str,
    postgres: &'static str,
}

const SHIPPED: &[ShippedTable] =
    shipped!("Users", "Businesses", "Finances", "BusinessModels", "WorkTeams", "Ratings", "SocialEnvironmentalImpacts");

/// What a server says of itself.
#[derive(Clone, Debug)]
pub struct OperationServer {
    /// Such as `10.11.6-MariaDB`.
    pub version: String,
    /// The largest packet that it takes, in bytes, where it has such a limit.
    pub packet: Option<usize>,
    /// Tables of entities that are not there.
    pub missing: Vec<String>,
}

impl OperationStore {
    /// Looks at the server; changes nothing.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub async fn inspect(&self, settings: &DatabaseSettings) -> Result<OperationServer, Failure> {
        let (sql, values) = match self.dialect() {
            Dialect::Mysql => ("SELECT CAST(VERSION() AS CHAR)", BoundValues::Each(Vec::new())),
            Dialect::Postgres => ("SELECT version()", BoundValues::Columns(Vec::new())),
        };
        let rows = self.texts(&Statement { sql: sql.to_owned(), values }).await.map_err(SqlError::failure)?;
        let version = rows.into_iter().flatten().flatten().next().unwrap_or_default();
        let catalogue = Catalogue::new(self.clone(), settings.entities.clone());
        let mut missing = Vec::new();
        for (entity, of) in &settings.entities {
            if catalogue.table(entity, None).await.map_err(SqlError::failure)?.is_none() {
                missing.push(of.table.clone());
            }
        }
        let packet = (self.dialect() == Dialect::Mysql).then(|| self.packet());
        Ok(OperationServer { version, packet, missing })
    }

    /// Connects, and makes the tables that are missing.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub async fn install(&self, settings: &DatabaseSettings) -> Result<(), Failure> {
        self.migrate().await?;
        if !settings.create_tables {
            return Ok(());
        }
        let wanted = |shipped: &&ShippedTable| settings.entities.values().any(|entity| entity.table == shipped.name);
        let of = |shipped: &ShippedTable| match self.dialect() {
            Dialect::Mysql => shipped.mysql,
            Dialect::Postgres => shipped.postgres,
        };
        let statements: Vec<&str> = SHIPPED.iter().filter(wanted).map(of).collect();
        self.run(&statements).await.map_err(SqlError::failure)
    }
}
