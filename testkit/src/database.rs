//! A database of its own for a world, for the audit.

use std::collections::HashMap;
use std::ops::Deref;

use millrace::synthetic::ExpectedDocument;
use sqlx::{Connection, PgConnection};

use crate::services::variable;
use crate::world::{World, block_on};

/// A world with a database of its own.
pub struct Audited {
    pub world: World,
    database: OwnDatabase,
}

impl Audited {
    pub fn new(mut world: World) -> Self {
        let database = OwnDatabase::of(&mut world);
        Self { world, database }
    }
}

impl Deref for Audited {
    type Target = OwnDatabase;

    fn deref(&self) -> &OwnDatabase {
        &self.database
    }
}

type Nullable = Option<String>;
/// Id, version, whether it is deleted, status and payload.
pub type StateRead = (String, i64, bool, Nullable, Nullable);

/// A database that goes away with the value.
pub struct OwnDatabase {
    database: String,
    pub url: String,
}

impl OwnDatabase {
    /// Makes one for a world, and tells the world of it.
    pub fn of(world: &mut World) -> Self {
        let database = world.name.replace('-', "_");
        let (server, _) = variable("DATABASE_URL").rsplit_once('/').map(|(s, n)| (s.to_owned(), n.to_owned())).unwrap();
        let own = Self { url: format!("{server}/{database}"), database };
        own.admin(&format!("CREATE DATABASE {}", own.database));
        world.set("DATABASE_URL", &own.url);
        own
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

    /// The state of every transaction.
    pub fn states(&self) -> Vec<StateRead> {
        let run = async {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            let states = "SELECT id, version, deleted, status, payload::text FROM transaction_state";
            sqlx::query_as(states).fetch_all(&mut connection).await.unwrap()
        };
        block_on(run)
    }

    /// Id, payload and columns of every transaction: amount, status, product, currency.
    pub fn rows(&self) -> HashMap<String, (Nullable, [Nullable; 4])> {
        let run = async {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            let rows = "SELECT id, payload::text, amount::text, status, product, currency FROM transaction_state";
            let rows: Vec<(String, Nullable, Nullable, Nullable, Nullable, Nullable)> =
                sqlx::query_as(rows).fetch_all(&mut connection).await.unwrap();
            rows
        };
        let row =
            |(id, payload, amount, status, product, currency)| (id, (payload, [amount, status, product, currency]));
        block_on(run).into_iter().map(row).collect()
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
    pub fn assert_complete(&self, expected: &HashMap<String, ExpectedDocument>, events: u64) {
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

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.admin(&format!("DROP DATABASE {} WITH (FORCE)", self.database));
        }
    }
}
