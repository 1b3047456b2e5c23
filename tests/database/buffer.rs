//! A topic of operations and a database of their own.

use std::cell::RefCell;

use rdkafka::admin::AdminOptions;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, Row};
use testkit::program::Running;
use testkit::services::{eventually, variable};
use testkit::world::{World, block_on};

use crate::PROGRAM;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    MariaDb,
    Postgres,
}

pub struct Buffer {
    pub world: World,
    pub engine: Engine,
    /// As whoever may do anything.
    pub admin: String,
    /// The same, on the database that is always there.
    server: String,
    database: String,
}

/// A session of MariaDB.
pub struct Session {
    runtime: tokio::runtime::Runtime,
    connection: RefCell<MySqlConnection>,
}

impl Session {
    pub fn run(&self, sql: &'static str) {
        let mut connection = self.connection.borrow_mut();
        self.runtime.block_on(sqlx::raw_sql(sql).execute(&mut *connection)).unwrap();
    }

    /// By which the server knows it.
    fn number(&self) -> String {
        let mut connection = self.connection.borrow_mut();
        let ask = sqlx::query_scalar("SELECT CAST(CONNECTION_ID() AS CHAR)");
        self.runtime.block_on(ask.fetch_one(&mut *connection)).unwrap()
    }

    /// Whether another session is at an update for a while: it waits for a lock.
    pub fn somebody_waits(&self) -> bool {
        let mut connection = self.connection.borrow_mut();
        let ask = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND = 'Execute' AND STATE = 'Updating' AND TIME_MS > 300";
        let ask = sqlx::query_scalar::<_, i64>(ask);
        self.runtime.block_on(ask.fetch_one(&mut *connection)).unwrap() > 0
    }
}

/// Rows of texts.
pub type Texts = Vec<Vec<Option<String>>>;

impl Buffer {
    pub fn new(engine: Engine, name: &str) -> Self {
        Self::in_world(engine, World::new(PROGRAM, name))
    }

    pub fn in_world(engine: Engine, world: World) -> Self {
        let (server, ours) = match engine {
            Engine::MariaDb => ("MARIADB_ROOT_URL", "DATABASE_CONSUMER_URL"),
            Engine::Postgres => ("DATABASE_URL", "DATABASE_URL"),
        };
        Self::on(engine, world, &variable(server), &variable(ours))
    }

    /// On the server at this address; the program comes by the second.
    pub fn on(engine: Engine, mut world: World, server: &str, ours: &str) -> Self {
        let database = world.name.replace('-', "_");
        let at = |url: &str| format!("{}/{database}", url.rsplit_once('/').unwrap().0);
        let (server, admin, ours) = (server.to_owned(), at(server), at(ours));
        for (name, value) in [
            ("DATABASE_CONSUMER_URL", ours),
            ("TOPIC_DB_OPERATIONS", format!("{}.operations", world.name)),
            ("KAFKA_GROUP_ID", format!("{}.writer", world.name)),
            ("DATABASE_CREATE_TABLES", "true".to_owned()),
            ("DB_RECONNECT_INTERVAL", "200".to_owned()),
            ("DB_HEALTH_CHECK_INTERVAL", "500".to_owned()),
            ("MAX_RETRY_ATTEMPTS", "2".to_owned()),
        ] {
            world.set(name, &value);
        }
        let buffer = Self { world, engine, admin, server, database };
        buffer.at(&buffer.server, &format!("CREATE DATABASE {}", buffer.database));
        buffer.world.create_topic_named(&buffer.topic());
        buffer
    }

    pub fn topic(&self) -> String {
        self.world.env["TOPIC_DB_OPERATIONS"].clone()
    }

    /// Sends operations, all to one partition.
    pub fn send(&self, operations: &[Value]) {
        let payloads: Vec<String> = operations.iter().map(Value::to_string).collect();
        self.send_raw(&payloads.iter().map(String::as_str).collect::<Vec<_>>());
    }

    pub fn send_raw(&self, payloads: &[&str]) {
        let records: Vec<(&str, &str)> = payloads.iter().map(|payload| ("key", *payload)).collect();
        self.world.send(&self.topic(), &records);
    }

    /// Runs to the end of the log, and gives the counts.
    pub fn run_once(&self) -> Value {
        let output = self.world.output(&["run", "database", "--once"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(self.lag(), 0, "the commits cover the log");
        testkit::program::printed(&output)
    }

    /// Records that are not committed.
    pub fn lag(&self) -> i64 {
        self.world.lag_on(&self.topic(), &self.world.env["KAFKA_GROUP_ID"])
    }

    pub fn await_drained(&self) {
        eventually("the end of the log", || (self.lag() == 0).then_some(()));
    }

    pub fn start(&self) -> Running {
        Running::start(self.world.command(&["run", "database"]))
    }

    /// The classes and reasons of the letters, in their order within each partition.
    pub fn letters(&self) -> Vec<(String, String)> {
        let header = |record: &pipeline::Record, name: &str| {
            let found = record.headers.iter().find(|header| header.name == name);
            found.and_then(|header| header.value.clone()).map(|value| String::from_utf8(value.to_vec()).unwrap())
        };
        let letters = self.world.letters_of(&self.topic());
        let both = |record: &pipeline::Record| {
            (header(record, "millrace.error.class").unwrap(), header(record, "millrace.error.reason").unwrap())
        };
        letters.iter().map(both).collect()
    }

    /// How often the operation of each letter was tried.
    pub fn attempts(&self) -> Vec<u32> {
        let attempts = |record: &pipeline::Record| {
            let header = record.headers.iter().find(|header| header.name == "millrace.error.attempts").unwrap();
            String::from_utf8(header.value.as_ref().unwrap().to_vec()).unwrap().parse().unwrap()
        };
        self.world.letters_of(&self.topic()).iter().map(attempts).collect()
    }

    fn at(&self, url: &str, sql: &str) {
        block_on(self.run(url, sql)).unwrap();
    }

    fn try_at(&self, url: &str, sql: &str) -> bool {
        block_on(self.run(url, sql)).is_ok()
    }

    async fn run(&self, url: &str, sql: &str) -> Result<(), sqlx::Error> {
        match self.engine {
            Engine::MariaDb => {
                let mut connection = MySqlConnection::connect(url).await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.map(drop)
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.map(drop)
            }
        }
    }

    /// Runs statements in the database, written for PostgreSQL: the quotes are those of each.
    pub fn execute(&self, sql: &str) {
        self.at(&self.admin, &self.quoted(sql));
    }

    /// Makes the database of the tests read-only, or writable again; of MariaDB the whole server.
    pub fn read_only(&self, on: bool) {
        match self.engine {
            Engine::MariaDb => self.at(&self.admin, &format!("SET GLOBAL read_only = {}", i32::from(on))),
            Engine::Postgres => {
                let (server, database) = (&self.server, &self.database);
                self.at(server, &format!("ALTER DATABASE {database} SET default_transaction_read_only = {on}"));
                let end =
                    format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'");
                self.at(server, &end);
            }
        }
    }

    /// Drops what tests that failed have left on this server, which nobody else uses.
    pub fn drop_others(&self) {
        let databases = match self.engine {
            Engine::MariaDb => "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'e2e%'",
            Engine::Postgres => "SELECT datname::text FROM pg_database WHERE datname LIKE 'e2e%'",
        };
        for other in self.ask(databases.to_owned()).into_iter().flatten().flatten() {
            if other != self.database {
                self.at(&self.server, &format!("DROP DATABASE {other}"));
            }
        }
    }

    /// Moves the database of PostgreSQL into the table space of this folder.
    pub fn lay_on(&self, folder: &str) {
        if self.ask("SELECT spcname::text FROM pg_tablespace WHERE spcname = 'small'".to_owned()).is_empty() {
            self.at(&self.server, &format!("CREATE TABLESPACE small LOCATION '{folder}'"));
        }
        self.at(&self.server, &format!("ALTER DATABASE {} SET TABLESPACE small", self.database));
    }

    /// A session of MariaDB that stays.
    pub fn session(&self) -> Session {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(MySqlConnection::connect(&self.admin)).unwrap();
        Session { runtime, connection: RefCell::new(connection) }
    }

    /// A session of MariaDB as the program's user; none where the server has none to give.
    pub fn session_of_user(&self) -> Option<Session> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(MySqlConnection::connect(&self.world.env["DATABASE_CONSUMER_URL"])).ok()?;
        Some(Session { runtime, connection: RefCell::new(connection) })
    }

    /// Ends the sessions of the program's user in MariaDB, but for these.
    pub fn end_sessions(&self, but: &[Session]) {
        let kept: Vec<String> = but.iter().map(Session::number).collect();
        let all = "SELECT CAST(ID AS CHAR) FROM information_schema.PROCESSLIST WHERE USER = 'millrace'";
        for session in self.ask(all.to_owned()).into_iter().flatten().flatten() {
            if !kept.contains(&session) {
                // It may have ended by itself.
                self.try_at(&self.admin, &format!("KILL {session}"));
            }
        }
    }

    /// Runs statements as [`Self::execute`]; gives whether the database took them.
    pub fn try_execute(&self, sql: &str) -> bool {
        self.try_at(&self.admin, &self.quoted(sql))
    }

    fn quoted(&self, sql: &str) -> String {
        match self.engine {
            Engine::MariaDb => sql.replace('"', "`"),
            Engine::Postgres => sql.to_owned(),
        }
    }

    /// The columns of a table as texts, in the order of its key.
    pub fn rows(&self, table: &str, columns: &[&str]) -> Texts {
        let kind = if self.engine == Engine::MariaDb { "CHAR" } else { "TEXT" };
        let texts: Vec<String> = columns.iter().map(|column| format!("CAST(\"{column}\" AS {kind})")).collect();
        let order = columns[0];
        self.ask(self.quoted(&format!("SELECT {} FROM \"{table}\" AS t ORDER BY t.\"{order}\"", texts.join(", "))))
    }

    pub fn ask(&self, sql: String) -> Texts {
        block_on(async {
            match self.engine {
                Engine::MariaDb => {
                    let mut connection = MySqlConnection::connect(&self.admin).await.unwrap();
                    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
                    rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
                }
                Engine::Postgres => {
                    let mut connection = PgConnection::connect(&self.admin).await.unwrap();
                    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
                    rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
                }
            }
        })
    }

    /// The table holds these rows; the first that differs is shown.
    pub fn assert_rows(&self, table: &str, columns: &[&str], wanted: &Texts) {
        let rows = self.rows(table, columns);
        let differing = rows.iter().zip(wanted).find(|(row, wanted)| row != wanted);
        assert_eq!(differing, None, "the first of {table} that differs");
        assert_eq!(rows.len(), wanted.len(), "rows of {table}");
    }

    /// Operations that are marked as applied.
    pub fn applied(&self) -> usize {
        let marks = self.rows("millrace_operations", &["kafka_offset", "rejected"]);
        marks.iter().filter(|mark| mark[1].is_none()).count()
    }

    /// Whether a table is there: the program makes its own a moment after it has started.
    pub fn has_table(&self, table: &str) -> bool {
        let schema = if self.engine == Engine::MariaDb { &self.database } else { "public" };
        let sql = format!(
            "SELECT '' FROM information_schema.tables WHERE table_schema = '{schema}' AND table_name = '{table}'"
        );
        !self.ask(sql).is_empty()
    }

    pub fn count(&self, table: &str) -> usize {
        let column = if table == "millrace_operations" { "entity" } else { "id" };
        self.rows(table, &[column]).len()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // What a failed test leaves is worth looking at.
        if std::thread::panicking() {
            return;
        }
        let (topic, letters) = (self.topic(), format!("{}.dlq", self.topic()));
        block_on(self.world.admin().delete_topics(&[&topic, &letters], &AdminOptions::new())).ok();
        let force = if self.engine == Engine::MariaDb { "" } else { " WITH (FORCE)" };
        self.at(&self.server, &format!("DROP DATABASE {}{force}", self.database));
    }
}

/// An operation, with an id.
pub fn operation(id: &str, verb: &str, entity: &str, data: Value) -> Value {
    json!({
        "type": verb, "entity": entity, "data": data,
        "metadata": {"operationId": id, "timestamp": 1_699_876_543_210_i64, "userId": 123, "source": "test", "action": "a"},
    })
}
