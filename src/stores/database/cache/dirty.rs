//! Keys of rows that were written while Redis was away, in a table of the same database.
//!
//! A key that is written again is another entry, so that taking away the old one leaves the new one.

use enrichers::operation::SqlValue;
use sha2::{Digest, Sha256};

use super::super::dialect::{BoundColumn, BoundValues, Cast, Dialect, Statement};
use super::super::errors::SqlError;
use super::super::session::OperationStore;
use super::protocol::new_generation;

const TABLE: &str = "millrace_dirty_keys";
/// Keys that are worked off at once.
const SOME: usize = 1_000;
/// Tries of an insert that others are in the way of.
const RESTARTS: u32 = 5;

/// A key that waits to be invalidated.
#[derive(Clone, Debug)]
pub(super) struct DirtyKey {
    pub(super) key: String,
    digest: String,
    entry: String,
}

fn columns() -> Vec<BoundColumn> {
    let of = |name: &str, cast| BoundColumn { name: name.to_owned(), cast };
    vec![of("key_digest", Cast::Hex), of("entry", Cast::Hex), of("cache_key", Cast::Type("text".to_owned()))]
}

/// Notes keys; they are in order, so that no two batches wait for each other.
pub(super) async fn add(store: &OperationStore, keys: &[&str]) -> Result<(), SqlError> {
    let entry = new_generation();
    let mut rows: Vec<[SqlValue; 3]> = keys
        .iter()
        .map(|key| [hex::encode(Sha256::digest(key)), entry.clone(), (*key).to_owned()].map(SqlValue::Text))
        .collect();
    rows.sort_by_cached_key(|[digest, ..]| digest.text().unwrap_or_default().into_owned());
    let mut restarts = 0;
    loop {
        match insert(store, &rows).await {
            Err(error) if error.begins_anew(&mut restarts, RESTARTS) => {}
            done => return done,
        }
    }
}

async fn insert(store: &OperationStore, rows: &[[SqlValue; 3]]) -> Result<(), SqlError> {
    let mut transaction = store.begin().await?;
    let (columns, dialect) = (columns(), store.dialect());
    let mut rest = rows;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(dialect.next_chunk(rest.len(), columns.len(), 512, store.packet()));
        let now: Vec<&[SqlValue]> = now.iter().map(<[SqlValue; 3]>::as_slice).collect();
        let mut statement = dialect.insert(TABLE, &columns, &now, None);
        statement.sql.push_str(match dialect {
            Dialect::Mysql => " ON DUPLICATE KEY UPDATE entry = VALUES(entry)",
            Dialect::Postgres => " ON CONFLICT (key_digest) DO UPDATE SET entry = EXCLUDED.entry",
        });
        transaction.execute(&statement, false).await?;
        rest = later;
    }
    transaction.commit().await
}

/// Some keys that wait; none: no key does.
pub(super) async fn some(store: &OperationStore) -> Result<Vec<DirtyKey>, SqlError> {
    let (hexed, values) = match store.dialect() {
        Dialect::Mysql => ("HEX(key_digest), HEX(entry)", BoundValues::Each(Vec::new())),
        Dialect::Postgres => ("encode(key_digest, 'hex'), encode(entry, 'hex')", BoundValues::Columns(Vec::new())),
    };
    let sql = format!("SELECT {hexed}, cache_key FROM {TABLE} LIMIT {SOME}");
    let rows = store.texts(&Statement { sql, values }).await?;
    let dirty = |row: Vec<Option<String>>| {
        let [digest, entry, key]: [Option<String>; 3] = row.try_into().ok()?;
        Some(DirtyKey { key: key?, digest: digest?, entry: entry? })
    };
    Ok(rows.into_iter().filter_map(dirty).collect())
}

/// Takes away entries that were worked off.
pub(super) async fn remove(store: &OperationStore, done: &[DirtyKey]) -> Result<(), SqlError> {
    let key: Vec<BoundColumn> = columns().into_iter().take(2).collect();
    let rows: Vec<[SqlValue; 2]> =
        done.iter().map(|dirty| [dirty.digest.clone(), dirty.entry.clone()].map(SqlValue::Text)).collect();
    let mut transaction = store.begin().await?;
    let mut rest = rows.as_slice();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(store.dialect().next_chunk(rest.len(), key.len(), 128, store.packet()));
        let now: Vec<&[SqlValue]> = now.iter().map(<[SqlValue; 2]>::as_slice).collect();
        transaction.execute(&store.dialect().delete(TABLE, &key, &now), false).await?;
        rest = later;
    }
    transaction.commit().await
}
