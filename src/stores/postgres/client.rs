//! PostgreSQL: the connection, the tables, and what its errors mean.
//!
//! It waits for the server at most a few seconds at a time; the engine tries again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use pipeline::sink::Failure;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::timeout;

use super::errors::judge;
use super::migrate::migrate;
use crate::stores::sql::migrations::{self, Migration};
use crate::stores::target::SetupError;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a statement may take.
pub(crate) const STATEMENT: Duration = Duration::from_secs(60);

const AUDIT: &[Migration] = &[
    Migration {
        version: 1,
        name: "transactions",
        sql: include_str!("../../../migrations/audit/0001_transactions.sql"),
    },
    Migration {
        version: 2,
        name: "purge horizons",
        sql: include_str!("../../../migrations/audit/0002_purge_horizons.sql"),
    },
    Migration { version: 3, name: "erasure", sql: include_str!("../../../migrations/audit/0003_erasure.sql") },
];

const LEDGER: &[Migration] = &[
    Migration { version: 1, name: "ledger", sql: include_str!("../../../migrations/ledger/0001_ledger.sql") },
    Migration {
        version: 2,
        name: "refused follow-ups",
        sql: include_str!("../../../migrations/ledger/0002_refused_follow_ups.sql"),
    },
];

const REACTIONS: &[Migration] = &[Migration {
    version: 1,
    name: "reactions",
    sql: include_str!("../../../migrations/reactions/0001_reactions.sql"),
}];

/// A database.
#[derive(Clone)]
pub struct Postgres {
    pub(super) options: PgConnectOptions,
    pub(super) pool: PgPool,
    /// Host, port and database, for messages.
    pub(super) address: String,
    /// The schema whose names are meant; without one, what the server is set up for.
    pub(super) schema: Option<String>,
}

/// What the server says.
#[derive(Clone, Debug)]
pub struct PostgresServer {
    /// Such as `17.2`.
    pub version: String,
    /// Whether the tables of the audit are there.
    pub has_tables: bool,
    /// Whether this user may make tables.
    pub may_create: bool,
    /// Whether it only follows another server and takes no writes.
    pub is_standby: bool,
}

impl fmt::Debug for Postgres {
    // The options hold the password in clear.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Postgres {
    /// Host, port and database, for messages.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The schema whose names are meant; without one, what the server is set up for.
    pub(crate) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// `address` is the URL without credentials, for messages. Must be called inside a tokio runtime; connects nowhere yet.
    ///
    /// # Errors
    /// A sentence that names the variable at fault.
    pub fn new(url: &SecretString, address: &str, connections: u32) -> Result<Self, SetupError> {
        let options = PgConnectOptions::from_str(url.expose_secret())
            // The error may quote the URL, and with it a password.
            .map_err(|_| {
                SetupError::Unusable(format!("DATABASE_URL for {address} cannot be used: check its parameters"))
            })?
            .application_name("millrace")
            // For numbers that no table of ours has; a pooler in between would not take it.
            .extra_float_digits(None)
            .disable_statement_logging();
        let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(CONNECT);
        Ok(Self { pool: pool.connect_lazy_with(options.clone()), options, address: address.to_owned(), schema: None })
    }

    /// The same with its tables in a schema of their own, by a plain name.
    #[must_use]
    pub fn in_schema(self, schema: &str) -> Self {
        Self { schema: Some(schema.to_owned()), ..self }
    }

    /// Connects, and makes the tables of the audit where they are missing or old.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub async fn install_audit(&self) -> Result<(), Failure> {
        self.install(AUDIT, "millrace_audit_migrations").await
    }

    /// Connects, and makes the tables of version stores and ratings where they are missing or old.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub async fn install_version_store(&self) -> Result<(), Failure> {
        self.install(LEDGER, "millrace_ledger_migrations").await
    }

    /// Connects, and makes the tables of the reactions where they are missing or old.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub async fn install_reactions(&self) -> Result<(), Failure> {
        self.install(REACTIONS, "millrace_reactions").await
    }

    pub(crate) async fn install(&self, migrations: &[Migration], applied: &'static str) -> Result<(), Failure> {
        let mut connection = self.connect().await?;
        let migrator = migrations::migrator(migrations, applied);
        let migrated = self.within(migrate(&migrator, applied, self.schema.as_deref(), &mut connection)).await;
        connection.close().await.ok();
        migrated?.map_err(|error| migrations::failure(error, &self.address, |cause| judge(cause, &self.address)))
    }

    /// Looks at the server; changes nothing.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub async fn inspect(&self) -> Result<PostgresServer, Failure> {
        const LOOK: &str = "SELECT current_setting('server_version'), to_regclass('transaction_state') IS NOT NULL,
            has_schema_privilege(current_schema(), 'CREATE'), pg_is_in_recovery()";
        let mut connection = self.connect().await?;
        let look = sqlx::query_as(LOOK).persistent(false);
        let asked = async {
            let mut transaction = connection.begin().await?;
            look.fetch_one(&mut *transaction).await
        };
        let (version, has_tables, may_create, is_standby): (String, bool, Option<bool>, bool) = self.ask(asked).await?;
        Ok(PostgresServer { version, has_tables, may_create: may_create.unwrap_or(false), is_standby })
    }

    pub(crate) async fn connect(&self) -> Result<PgConnection, Failure> {
        match timeout(CONNECT, PgConnection::connect_with(&self.options)).await {
            Ok(connected) => connected.map_err(|error| judge(&error, &self.address)),
            Err(_) => Err(Failure::unavailable(format!("no answer from PostgreSQL at {}", self.address))),
        }
    }

    /// Listens on a channel, by a connection of its own. The address has to lead to the server itself, not to a pool of transactions.
    pub(crate) async fn listen(&self, channel: &str) -> Result<PgListener, Failure> {
        let listening = async {
            let mut listener = PgListener::connect_with(&self.pool).await?;
            listener.listen(channel).await.map(|()| listener)
        };
        self.ask(listening).await
    }

    /// What an error of the server means.
    pub(crate) fn judge(&self, error: &sqlx::Error) -> Failure {
        judge(error, &self.address)
    }

    /// A statement that hangs is a broken request.
    pub(crate) async fn within<T>(&self, statement: impl Future<Output = T>) -> Result<T, Failure> {
        let late = |_| Failure::broken(format!("PostgreSQL at {} did not answer within {STATEMENT:?}", self.address));
        timeout(STATEMENT, statement).await.map_err(late)
    }

    /// The answer to a statement, in time and judged.
    pub(crate) async fn ask<T>(&self, statement: impl Future<Output = sqlx::Result<T>>) -> Result<T, Failure> {
        self.within(statement).await?.map_err(|error| judge(&error, &self.address))
    }
}
