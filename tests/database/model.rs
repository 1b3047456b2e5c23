//! What operations come to, by the test's own reckoning: a table of users with a unique email, a row at a time.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::buffer::{Texts, operation};

const IDS: u64 = 300;
const EMAILS: u64 = 400;

#[derive(Clone)]
struct Row {
    name: String,
    email: String,
    role: Option<String>,
}

/// Makes operations, and applies each to its own table.
pub struct Model {
    rng: StdRng,
    table: BTreeMap<u64, Row>,
    /// Operations that have to be letters.
    pub letters: u64,
}

impl Model {
    pub fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), table: BTreeMap::new(), letters: 0 }
    }

    /// The next operation. An update names rows that are there, so that nothing waits for what never comes.
    pub fn next(&mut self, number: u64) -> Value {
        let id = format!("op-{number}");
        let kind = if self.table.is_empty() { 0 } else { self.rng.random_range(0..100) };
        match kind {
            0..35 => self.create(&id, 1, false),
            35..40 => {
                let rows = self.rng.random_range(1..6);
                self.create(&id, rows, true)
            }
            40..75 => self.update(&id, number),
            75..82 => self.bulk_update(&id),
            _ => {
                let user = self.rng.random_range(0..IDS);
                self.table.remove(&user);
                operation(&id, "DELETE", "User", json!({"id": user}))
            }
        }
    }

    fn taken(&self, email: &str, except: Option<u64>) -> bool {
        self.table.iter().any(|(id, row)| Some(*id) != except && row.email == email)
    }

    fn email(&mut self) -> String {
        format!("u{}@x.co", self.rng.random_range(0..EMAILS))
    }

    fn create(&mut self, id: &str, rows: u64, bulk: bool) -> Value {
        let mut all = Vec::new();
        let mut after = self.table.clone();
        let mut sound = true;
        for _ in 0..rows {
            let (user, email) = (self.rng.random_range(0..IDS), self.email());
            let name = format!("n{}", self.rng.random_range(0..1_000));
            all.push(json!({"id": user, "name": name, "email": email}));
            let taken = after.contains_key(&user) || after.values().any(|row| row.email == email);
            sound &= !taken;
            after.insert(user, Row { name, email, role: None });
        }
        if sound {
            self.table = after;
        } else {
            self.letters += 1;
        }
        let data = if bulk { Value::Array(all) } else { all.remove(0) };
        operation(id, if bulk { "BULK_CREATE" } else { "CREATE" }, "User", data)
    }

    fn living(&mut self) -> u64 {
        let place = self.rng.random_range(0..self.table.len());
        *self.table.keys().nth(place).unwrap()
    }

    fn update(&mut self, id: &str, number: u64) -> Value {
        let user = self.living();
        if self.rng.random_bool(0.3) {
            let email = self.email();
            if self.taken(&email, Some(user)) {
                self.letters += 1;
            } else {
                self.table.get_mut(&user).unwrap().email = email.clone();
            }
            return operation(id, "UPDATE", "User", json!({"id": user, "email": email}));
        }
        let name = format!("m{number}");
        self.table.get_mut(&user).unwrap().name = name.clone();
        operation(id, "UPDATE", "User", json!({"where": {"id": user.to_string()}, "values": {"name": name}}))
    }

    fn bulk_update(&mut self, id: &str) -> Value {
        let mut users: Vec<u64> = (0..3).map(|_| self.living()).collect();
        users.sort_unstable();
        users.dedup();
        let role = format!("r{}", self.rng.random_range(0..5));
        for user in &users {
            self.table.get_mut(user).unwrap().role = Some(role.clone());
        }
        operation(id, "BULK_UPDATE", "User", json!({"ids": users, "values": {"role": role}}))
    }

    /// Id, name, email and role of each row.
    pub fn rows(&self) -> Texts {
        let row = |(id, row): (&u64, &Row)| {
            vec![Some(id.to_string()), Some(row.name.clone()), Some(row.email.clone()), row.role.clone()]
        };
        self.table.iter().map(row).collect()
    }
}
