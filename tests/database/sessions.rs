//! Sessions beside the program's: one that holds a row, one that looks who waits, some that read users.

use serde_json::json;
use sqlx::mysql::MySqlPool;
use sqlx::postgres::PgPool;
use sqlx::{Connection, MySqlConnection, PgConnection, Row};
use testkit::services::eventually;
use tokio::runtime::Runtime;

use crate::buffer::{Buffer, Engine};

/// A transaction that has written a row, and is not committed.
pub struct HeldRow {
    runtime: Runtime,
    connection: OpenConnection,
}

enum OpenConnection {
    MariaDb(MySqlConnection),
    Postgres(PgConnection),
}

impl HeldRow {
    /// Rolls back.
    pub fn release(mut self) {
        let ended = async {
            match &mut self.connection {
                OpenConnection::MariaDb(connection) => sqlx::raw_sql("ROLLBACK").execute(connection).await.map(drop),
                OpenConnection::Postgres(connection) => sqlx::raw_sql("ROLLBACK").execute(connection).await.map(drop),
            }
        };
        self.runtime.block_on(ended).unwrap();
    }
}

/// A mark of another operation on the same row, at a later place.
const NEWER: &str = "INSERT INTO millrace_operations (operation_id, payload_digest, operation, entity, occurred_micros, kafka_topic, \
    kafka_partition, kafka_offset, row_hash, written_columns) SELECT BYTES, payload_digest, 'UPDATE', entity, occurred_micros, \
    kafka_topic, kafka_partition, kafka_offset + 1, row_hash, 'name' FROM millrace_operations";

impl HeldRow {
    /// Commits, with the mark of a newer operation.
    pub fn commit_newer(mut self, engine: Engine) {
        let mark = NEWER.replace("BYTES", if engine == Engine::MariaDb { "UNHEX('6e6577')" } else { "'\\x6e6577'" });
        let ended = async {
            for sql in [mark.as_str(), "COMMIT"] {
                let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
                match &mut self.connection {
                    OpenConnection::MariaDb(connection) => sql.execute(connection).await.map(drop).unwrap(),
                    OpenConnection::Postgres(connection) => sql.execute(connection).await.map(drop).unwrap(),
                }
            }
        };
        self.runtime.block_on(ended);
    }
}

/// Reads users one by one.
#[derive(Clone)]
pub enum UserRows {
    MariaDb(MySqlPool),
    Postgres(PgPool),
}

impl UserRows {
    /// A row as JSON.
    pub async fn of(&self, id: u64) -> Option<String> {
        let id = i64::try_from(id).unwrap();
        let name: Option<String> = match self {
            Self::MariaDb(pool) => {
                let row = sqlx::query("SELECT name FROM Users WHERE id = ?").bind(id).fetch_optional(pool).await;
                row.unwrap().map(|row| row.get(0))
            }
            Self::Postgres(pool) => {
                let row = sqlx::query("SELECT name FROM \"Users\" WHERE id = $1").bind(id).fetch_optional(pool).await;
                row.unwrap().map(|row| row.get(0))
            }
        };
        name.map(|name| json!({"id": id, "name": name}).to_string())
    }
}

impl Buffer {
    /// Holds the first user, who cannot be written meanwhile.
    pub fn hold_user(&self) -> HeldRow {
        const HOLD: &str = "UPDATE \"Users\" SET \"phone\" = '1' WHERE \"id\" = 1";
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let open = async {
            match self.engine {
                Engine::MariaDb => {
                    let mut connection = MySqlConnection::connect(&self.admin).await.unwrap();
                    let hold = HOLD.replace('"', "`");
                    for sql in ["BEGIN", &hold] {
                        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.map(drop).unwrap();
                    }
                    OpenConnection::MariaDb(connection)
                }
                Engine::Postgres => {
                    let mut connection = PgConnection::connect(&self.admin).await.unwrap();
                    for sql in ["BEGIN", HOLD] {
                        sqlx::raw_sql(sql).execute(&mut connection).await.map(drop).unwrap();
                    }
                    OpenConnection::Postgres(connection)
                }
            }
        };
        let connection = runtime.block_on(open);
        HeldRow { runtime, connection }
    }

    /// Waits until a session waits for a row.
    pub fn await_a_waiting_session(&self) {
        let sql = match self.engine {
            Engine::MariaDb => {
                "SELECT '' FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND COMMAND = 'Execute' AND STATE = 'Updating' AND TIME_MS > 300"
            }
            Engine::Postgres => {
                "SELECT '' FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            }
        };
        eventually("a session that waits for a row", || (!self.ask(sql.to_owned()).is_empty()).then_some(()));
    }

    /// Waits until a repair waits for a row.
    pub fn await_a_repair(&self) {
        let sql = match self.engine {
            Engine::MariaDb => {
                "SELECT '' FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND COMMAND = 'Execute' AND INFO LIKE '%FOR UPDATE' AND TIME_MS > 300"
            }
            Engine::Postgres => {
                "SELECT '' FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            }
        };
        eventually("a repair that waits for a row", || (!self.ask(sql.to_owned()).is_empty()).then_some(()));
    }

    /// Must be called inside a runtime.
    pub fn user_rows(&self) -> UserRows {
        match self.engine {
            Engine::MariaDb => UserRows::MariaDb(MySqlPool::connect_lazy(&self.admin).unwrap()),
            Engine::Postgres => UserRows::Postgres(PgPool::connect_lazy(&self.admin).unwrap()),
        }
    }
}
