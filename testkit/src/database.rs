//! A database of its own for a world, for the audit.

use std::collections::HashMap;

use millrace::synthetic::Expected;
use sqlx::{Connection, PgConnection};

use crate::services::variable;
use crate::world::{World, block_on};

/// A world with a database of its own.
pub struct Audited {
    pub world: World,
    database: String,
    pub url: String,
}

impl Audited {
    pub fn new(world: World) -> Self {
        let database = world.name.replace('-', "_");
        let (server, _) = variable("DATABASE_URL").rsplit_once('/').map(|(s, n)| (s.to_owned(), n.to_owned())).unwrap();
        let url = format!("{server}/{database}");
        let mut audited = Self { world, database, url };
        audited.admin(&format!("CREATE DATABASE {}", audited.database));
        audited.world.set("DATABASE_URL", &audited.url);
        audited
    }

    fn admin(&self, statement: &str) {
        let run = async {
            let mut connection = PgConnection::connect(&variable("DATABASE_URL")).await.unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        };
        block_on(run);
    }

    /// Runs a statement in the database itself.
    pub fn run(&self, statement: &'static str) {
        let run = async {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        };
        block_on(run);
    }

    /// Id, version, whether it is deleted, and status of every transaction.
    pub fn states(&self) -> Vec<(String, i64, bool, Option<String>)> {
        let run = async {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            let states = "SELECT id, version, deleted, status FROM transaction_state";
            sqlx::query_as(states).fetch_all(&mut connection).await.unwrap()
        };
        block_on(run)
    }

    /// The first column of the first row.
    pub fn ask(&self, query: &'static str) -> i64 {
        let run = async {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
        };
        block_on(run)
    }

    /// Holds state and history against what the publisher's events come to.
    pub fn assert_complete(&self, expected: &HashMap<String, Expected>, events: u64) {
        let run = async {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            let state = "SELECT id, version, deleted, payload::text FROM transaction_state";
            sqlx::query_as::<_, (String, i64, bool, Option<String>)>(state).fetch_all(&mut connection).await.unwrap()
        };
        let rows = block_on(run);
        assert_eq!(rows.len(), expected.len());
        for (id, version, deleted, payload) in rows {
            let expected = &expected[&id];
            assert_eq!((version, deleted), (expected.version, expected.deleted), "{id}");
            assert_eq!(payload.is_none(), deleted, "{id}");
            if let Some(payload) = payload {
                let digest = <sha2::Sha256 as sha2::Digest>::digest(payload);
                assert_eq!(digest[..], expected.payload_digest, "{id} byte for byte");
            }
        }
        let living = expected.values().filter(|expected| !expected.deleted).count() as i64;
        assert_eq!(self.ask("SELECT count(*) FROM transactions"), living);
        assert_eq!(self.ask("SELECT count(*) FROM transaction_events"), events as i64);
    }
}

impl Drop for Audited {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.admin(&format!("DROP DATABASE {} WITH (FORCE)", self.database));
        }
    }
}
