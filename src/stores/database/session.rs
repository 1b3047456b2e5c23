//! Sessions of the database: pinned when they are made, so that nothing hangs on how a server is set up.
//!
//! Strict, in UTC, in utf8mb4, READ COMMITTED. It waits for the server a bounded time; the engine tries again.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use enrichers::operation::SqlValue;
use pipeline::sink::Failure;
use secrecy::ExposeSecret;
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlPool, MySqlPoolOptions, MySqlSslMode};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row, Transaction};
use tokio::time::timeout;

use super::dialect::{BoundValues, Dialect, Statement};
use super::errors::SqlError;
use super::install;
use crate::config::{DatabaseServer, MysqlServer, MysqlTls};
use crate::stores::sql::migrations;
use crate::stores::target::SetupError;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a statement may take; a lock is waited for far shorter.
const STATEMENT: Duration = Duration::from_secs(60);
/// Prepared statements that a session of MySQL keeps: those of some tables, in each of the lengths.
const PREPARED: usize = 512;
/// What a packet is taken to hold until the server has said it.
const PACKET: usize = 1 << 20;

/// Refused like any write where the server is read-only, the table missing or the user without rights.
const NOTHING: &str = "UPDATE millrace_operations SET kafka_offset = kafka_offset WHERE 1 = 0";
/// With NO_AUTO_VALUE_ON_ZERO, or a row with the id 0 would get another.
const PIN_MYSQL: &str = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,\
    NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', innodb_lock_wait_timeout = 10";
const ISOLATE_MYSQL: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
const PIN_POSTGRES: &str = "SET TIME ZONE 'UTC'; SET lock_timeout = '10s'; SET client_encoding = 'UTF8'; \
    SET standard_conforming_strings = on; SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// A database that operations are written to.
#[derive(Clone)]
pub struct OperationStore {
    pool: SessionPool,
    /// Host, port and name, for messages.
    address: String,
    /// The largest packet that the server takes, in bytes.
    packet: Arc<AtomicUsize>,
}

#[derive(Clone)]
enum SessionPool {
    Mysql(MySqlPool),
    Postgres(PgPool),
}

/// A transaction; what is not committed is rolled back.
pub(super) enum SqlTransaction {
    Mysql(Transaction<'static, sqlx::MySql>, String),
    Postgres(Transaction<'static, sqlx::Postgres>, String),
}

/// What a statement did.
#[derive(Clone, Debug, Default)]
pub(super) struct Executed {
    /// Rows that its condition met, changed or not.
    pub(super) matched: u64,
    /// The id that the database made, where it made one.
    pub(super) made: Option<String>,
}

impl OperationStore {
    /// Must be called inside a tokio runtime; connects nowhere yet.
    ///
    /// # Errors
    /// A sentence that names the variable at fault.
    pub fn new(server: &DatabaseServer, connections: u32) -> Result<Self, SetupError> {
        let (address, packet) = (server.address(), Arc::new(AtomicUsize::new(PACKET)));
        let pool = match server {
            DatabaseServer::Mysql(server) => SessionPool::Mysql(mysql_pool(server, connections, packet.clone())),
            DatabaseServer::Postgres { url, .. } => {
                packet.store(usize::MAX / 2, Ordering::Relaxed);
                let options = PgConnectOptions::from_str(url.expose_secret())
                    // The error may quote the URL, and with it a password.
                    .map_err(|_| {
                        let why = format!("DATABASE_CONSUMER_URL for {address} cannot be used: check its parameters");
                        SetupError::Unusable(why)
                    })?
                    .application_name("millrace")
                    .disable_statement_logging();
                let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(CONNECT);
                let pool = pool.after_connect(|connection, _| {
                    Box::pin(async move { connection.execute(sqlx::raw_sql(PIN_POSTGRES)).await.map(drop) })
                });
                SessionPool::Postgres(pool.connect_lazy_with(options))
            }
        };
        Ok(Self { pool, address, packet })
    }

    /// Closes its connections; who uses it after that has none.
    pub async fn close(&self) {
        match &self.pool {
            SessionPool::Mysql(pool) => pool.close().await,
            SessionPool::Postgres(pool) => pool.close().await,
        }
    }

    /// Host, port and name, for messages.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self.pool {
            SessionPool::Mysql(_) => Dialect::Mysql,
            SessionPool::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The largest packet that the server takes, in bytes; as it was told at the last connect.
    pub(super) fn packet(&self) -> usize {
        self.packet.load(Ordering::Relaxed)
    }

    pub(super) async fn begin(&self) -> Result<SqlTransaction, SqlError> {
        let address = self.address.clone();
        let begun = async {
            match &self.pool {
                SessionPool::Mysql(pool) => pool.begin().await.map(|begun| SqlTransaction::Mysql(begun, address)),
                SessionPool::Postgres(pool) => pool.begin().await.map(|begun| SqlTransaction::Postgres(begun, address)),
            }
        };
        within(&self.address, begun).await
    }

    /// Whether the database takes a write, which changes nothing.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ask(&self) -> Result<(), Failure> {
        let asked = async {
            let mut transaction = self.begin().await?;
            transaction.plain(NOTHING).await
        };
        asked.await.map_err(SqlError::failure)
    }

    /// Runs a statement without values that gives nothing.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), Failure> {
        self.run(&[sql]).await.map_err(SqlError::failure)
    }

    /// Runs statements that give nothing, one by one, outside a transaction.
    pub(super) async fn run(&self, statements: &[&str]) -> Result<(), SqlError> {
        for sql in statements {
            let ran = async {
                match &self.pool {
                    SessionPool::Mysql(pool) => pool.execute(sqlx::raw_sql(AssertSqlSafe(*sql))).await.map(drop),
                    SessionPool::Postgres(pool) => pool.execute(sqlx::raw_sql(AssertSqlSafe(*sql))).await.map(drop),
                }
            };
            within(&self.address, ran).await?;
        }
        Ok(())
    }

    /// Makes our own tables where they are missing or old.
    pub(super) async fn migrate(&self) -> Result<(), Failure> {
        let judge = |error: &sqlx::Error| SqlError::of(error, &self.address).failure();
        let migrated = match &self.pool {
            SessionPool::Mysql(pool) => {
                let mut connection = pool.acquire().await.map_err(|error| judge(&error))?;
                migrations::run(install::MYSQL, install::APPLIED, &mut *connection).await
            }
            SessionPool::Postgres(pool) => {
                let mut connection = pool.acquire().await.map_err(|error| judge(&error))?;
                migrations::run(install::POSTGRES, install::APPLIED, &mut *connection).await
            }
        };
        migrated.map_err(|error| migrations::failure(error, &self.address, judge))
    }

    /// What a statement gives, as texts.
    pub(super) async fn texts(&self, statement: &Statement) -> Result<Vec<Vec<Option<String>>>, SqlError> {
        self.begin().await?.texts(statement).await
    }
}

fn mysql_pool(server: &MysqlServer, connections: u32, packet: Arc<AtomicUsize>) -> MySqlPool {
    let (mode, authority) = match &server.tls {
        MysqlTls::Off => (MySqlSslMode::Disabled, None),
        MysqlTls::Preferred => (MySqlSslMode::Preferred, None),
        MysqlTls::Required => (MySqlSslMode::Required, None),
        MysqlTls::Verified(authority) => (MySqlSslMode::VerifyIdentity, authority.as_deref()),
    };
    let mut options = MySqlConnectOptions::new()
        .host(&server.host)
        .port(server.port)
        .username(&server.user)
        .database(&server.name)
        .ssl_mode(mode)
        .charset("utf8mb4")
        // The session is pinned as a whole below.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .statement_cache_capacity(PREPARED)
        .disable_statement_logging();
    if let Some(password) = &server.password {
        options = options.password(password.expose_secret());
    }
    if let Some(authority) = authority {
        options = options.ssl_ca(authority);
    }
    let pool = MySqlPoolOptions::new().max_connections(connections).acquire_timeout(CONNECT);
    let pool = pool.after_connect(move |connection, _| {
        let packet = packet.clone();
        Box::pin(async move {
            connection.execute(sqlx::raw_sql(PIN_MYSQL)).await?;
            connection.execute(sqlx::raw_sql(ISOLATE_MYSQL)).await?;
            let row = connection.fetch_one("SELECT CAST(@@max_allowed_packet AS SIGNED)").await?;
            let bytes: i64 = row.try_get(0)?;
            packet.store(usize::try_from(bytes).unwrap_or(PACKET), Ordering::Relaxed);
            Ok(())
        })
    });
    pool.connect_lazy_with(options)
}

async fn within<T>(address: &str, statement: impl Future<Output = sqlx::Result<T>>) -> Result<T, SqlError> {
    match timeout(STATEMENT, statement).await {
        Ok(answer) => answer.map_err(|error| SqlError::of(&error, address)),
        Err(_) => Err(SqlError::late(address, STATEMENT)),
    }
}

impl SqlTransaction {
    /// A statement without values.
    pub(super) async fn plain(&mut self, sql: &'static str) -> Result<(), SqlError> {
        match self {
            Self::Mysql(transaction, address) => {
                within(address, async { (&mut **transaction).execute(sqlx::raw_sql(sql)).await.map(drop) }).await
            }
            Self::Postgres(transaction, address) => {
                within(address, async { (&mut **transaction).execute(sqlx::raw_sql(sql)).await.map(drop) }).await
            }
        }
    }

    /// A statement that gives no rows, or with `made` the one id that the database made.
    pub(super) async fn execute(&mut self, statement: &Statement, made: bool) -> Result<Executed, SqlError> {
        match self {
            Self::Mysql(transaction, address) => {
                let done = within(address, mysql(statement).execute(&mut **transaction)).await?;
                let id = done.last_insert_id();
                Ok(Executed { matched: done.rows_affected(), made: (made && id > 0).then(|| id.to_string()) })
            }
            Self::Postgres(transaction, address) if made => {
                let row = within(address, postgres(statement).fetch_optional(&mut **transaction)).await?;
                let made = row.and_then(|row| row.try_get(0).ok());
                Ok(Executed { matched: 1, made })
            }
            Self::Postgres(transaction, address) => {
                let done = within(address, postgres(statement).execute(&mut **transaction)).await?;
                Ok(Executed { matched: done.rows_affected(), made: None })
            }
        }
    }

    /// What a statement gives; each of its columns has to be a text.
    pub(super) async fn texts(&mut self, statement: &Statement) -> Result<Vec<Vec<Option<String>>>, SqlError> {
        match self {
            Self::Mysql(transaction, address) => {
                let rows = within(address, mysql(statement).fetch_all(&mut **transaction)).await?;
                let row = |row: &sqlx::mysql::MySqlRow| (0..row.len()).map(|at| row.try_get(at)).collect();
                rows.iter().map(row).collect::<sqlx::Result<_>>().map_err(|error| SqlError::of(&error, address))
            }
            Self::Postgres(transaction, address) => {
                let rows = within(address, postgres(statement).fetch_all(&mut **transaction)).await?;
                let row = |row: &sqlx::postgres::PgRow| (0..row.len()).map(|at| row.try_get(at)).collect();
                rows.iter().map(row).collect::<sqlx::Result<_>>().map_err(|error| SqlError::of(&error, address))
            }
        }
    }

    pub(super) async fn commit(self) -> Result<(), SqlError> {
        match self {
            Self::Mysql(transaction, address) => within(&address, transaction.commit()).await,
            Self::Postgres(transaction, address) => within(&address, transaction.commit()).await,
        }
    }
}

fn mysql(statement: &Statement) -> Query<'static, sqlx::MySql, MySqlArguments> {
    let mut query = sqlx::query(AssertSqlSafe(statement.sql.clone()));
    if let BoundValues::Each(values) = &statement.values {
        for value in values {
            query = match value {
                SqlValue::Null => query.bind(None::<String>),
                SqlValue::Boolean(value) => query.bind(i64::from(*value)),
                SqlValue::Integer(number) => match i64::try_from(*number) {
                    Ok(number) => query.bind(number),
                    Err(_) => query.bind(u64::try_from(*number).unwrap_or(u64::MAX)),
                },
                SqlValue::Text(text) => query.bind(text.clone()),
            };
        }
    }
    query
}

fn postgres(statement: &Statement) -> Query<'static, sqlx::Postgres, PgArguments> {
    let mut query = sqlx::query(AssertSqlSafe(statement.sql.clone()));
    if let BoundValues::Columns(columns) = &statement.values {
        for column in columns {
            query = query.bind(column.clone());
        }
    }
    query
}
