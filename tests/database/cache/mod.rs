//! Rows in Redis: none that is older than the database, whoever reads and whatever dies.

mod lists;
mod outage;
mod race;
pub mod readers;
pub mod server;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::services::eventually;
use testkit::world::World;

use crate::PROGRAM;
use crate::buffer::{Buffer, Engine, operation};
use readers::{JsonRows, key_of};
use server::OwnRedis;

#[cfg(feature = "mutants")]
pub use race::read_during_a_commit;

/// A database with users, and a Redis of its own.
pub struct Cached {
    pub buffer: Buffer,
    pub redis: OwnRedis,
    /// So many operations have been sent.
    sent: u64,
    pub ids: Vec<u64>,
}

impl Cached {
    pub fn new(engine: Engine, name: &str, users: u64) -> Self {
        let mut buffer = Buffer::in_world(engine, World::new(PROGRAM, name));
        let redis = OwnRedis::new(buffer.world.dir.join("redis"));
        buffer.world.set("REDIS_URL", &redis.url());
        let ids: Vec<u64> = (1..=users).collect();
        let rows: Vec<Value> =
            ids.iter().map(|id| json!({"id": id, "name": "n0", "email": format!("{id}@x.co")})).collect();
        buffer.send(&[operation("users", "BULK_CREATE", "User", json!(rows))]);
        buffer.run_once();
        Self { buffer, redis, sent: 0, ids }
    }

    /// The rows as the database has them.
    pub fn rows(&self, ids: &[u64]) -> JsonRows {
        let rows = self.buffer.rows("Users", &["id", "name"]);
        let row = |row: &Vec<Option<String>>| {
            let id: u64 = row[0].as_ref().unwrap().parse().unwrap();
            ids.contains(&id).then(|| (id, json!({"id": id, "name": row[1]}).to_string()))
        };
        rows.iter().filter_map(row).collect()
    }

    /// Gives each of these users another name.
    pub fn rename(&mut self, ids: &[u64]) {
        let renamed: Vec<Value> = ids
            .iter()
            .map(|id| {
                self.sent += 1;
                let name = format!("n{}", self.sent);
                operation(&format!("r{}", self.sent), "UPDATE", "User", json!({"id": id, "name": name}))
            })
            .collect();
        self.buffer.send(&renamed);
    }

    pub fn await_drained(&self) {
        self.buffer.await_drained();
    }

    pub fn await_no_dirty_key(&self) {
        eventually("no dirty key", || self.dirty().is_empty().then_some(()));
    }

    pub fn dirty(&self) -> Vec<Vec<Option<String>>> {
        self.buffer.rows("millrace_dirty_keys", &["cache_key"])
    }

    /// Values in Redis that are not the database's, of so many that are there.
    pub fn stale(&self, ids: &[u64]) -> (usize, usize) {
        let rows = self.rows(ids);
        let values = self.redis.values(&ids.iter().map(|id| key_of(*id)).collect::<Vec<_>>());
        let held: BTreeMap<u64, Value> = ids
            .iter()
            .zip(values)
            .filter_map(|(id, value)| Some((*id, serde_json::from_str(&value?).unwrap())))
            .collect();
        let is_stale = |(id, value): &(&u64, &Value)| {
            let row: Value = rows.get(id).map_or(Value::Null, |row| serde_json::from_str(row).unwrap());
            value["name"] != row["name"]
        };
        (held.iter().filter(is_stale).count(), held.len())
    }
}
