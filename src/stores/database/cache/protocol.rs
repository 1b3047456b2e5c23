//! Names of keys, and the scripts that are run on them.

use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{RedisError, cmd};

const READ: &str = include_str!("read.lua");
const PUT: &str = include_str!("put.lua");
const INVALIDATE: &str = include_str!("invalidate.lua");
/// Rows of one call.
const AT_ONCE: usize = 500;

/// What the id of an entity's lists is in place of a row's.
pub(super) const LISTS: &str = "*";

/// How keys are named.
#[derive(Clone, Debug)]
pub(super) struct CacheKeys {
    pub(super) prefix: String,
}

impl CacheKeys {
    /// Of a row: `business:42` behind the prefix.
    pub(super) fn row(&self, entity: &str, id: &str) -> String {
        format!("{}{}:{id}", self.prefix, camel(entity))
    }

    /// Of a list, under a generation of the entity's lists.
    pub(super) fn list(&self, entity: &str, generation: &str, name: &str) -> String {
        format!("{}{}:list:{generation}:{name}", self.prefix, camel(entity))
    }
}

/// With a small first letter, as in `businessModel`.
fn camel(entity: &str) -> String {
    let mut letters = entity.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Beside the value; in a cluster on the same node.
fn generation_key(key: &str) -> String {
    format!("{{{key}}}:generation")
}

/// A generation that never was.
pub(super) fn new_generation() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// What a reader is told of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CacheAnswer {
    Value(String),
    /// What is read now may be put under this generation.
    Lease(String),
    /// Nothing may be kept now.
    Closed,
}

pub(super) async fn read(
    connection: &mut impl ConnectionLike,
    key: &str,
    lease: Duration,
) -> Result<CacheAnswer, RedisError> {
    let mut command = cmd("EVAL");
    command.arg(READ).arg(2).arg(key).arg(generation_key(key)).arg(new_generation()).arg(millis(lease));
    let (value, generation): (Option<String>, Option<String>) = command.query_async(connection).await?;
    Ok(match (value, generation) {
        (Some(value), _) => CacheAnswer::Value(value),
        (None, Some(generation)) => CacheAnswer::Lease(generation),
        (None, None) => CacheAnswer::Closed,
    })
}

/// Keeps rows that were read under a generation, where it still stands; gives how many.
pub(super) async fn put(
    connection: &mut impl ConnectionLike,
    generation: &str,
    rows: &[(String, String)],
    ttl: Duration,
) -> Result<usize, RedisError> {
    let mut kept = 0;
    for rows in rows.chunks(AT_ONCE) {
        let mut command = cmd("EVAL");
        command.arg(PUT).arg(rows.len() * 2);
        rows.iter().for_each(|(key, _)| {
            command.arg(key).arg(generation_key(key));
        });
        command.arg(generation).arg(millis(ttl));
        rows.iter().for_each(|(_, value)| {
            command.arg(value);
        });
        kept += command.query_async::<usize>(connection).await?;
    }
    Ok(kept)
}

/// How rows are taken away.
#[derive(Clone, Debug, Default)]
pub(super) struct Invalidation {
    /// For how long no lease is given.
    pub(super) grace: Duration,
    /// Under which the caller itself may put them.
    pub(super) generation: Option<String>,
    /// For how long it may.
    pub(super) lease: Duration,
}

pub(super) async fn invalidate(
    connection: &mut impl ConnectionLike,
    keys: &[&str],
    how: &Invalidation,
) -> Result<(), RedisError> {
    for keys in keys.chunks(AT_ONCE) {
        let mut command = cmd("EVAL");
        command.arg(INVALIDATE).arg(keys.len() * 2);
        keys.iter().for_each(|key| {
            command.arg(key).arg(generation_key(key));
        });
        command.arg(millis(how.grace)).arg(how.generation.as_deref().unwrap_or_default()).arg(millis(how.lease));
        command.query_async::<()>(connection).await?;
    }
    Ok(())
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_in_other_languages_run_the_same_scripts() {
        for (name, ours) in [("read", READ), ("put", PUT), ("invalidate", INVALIDATE)] {
            let path = format!("{}/examples/row-cache/{name}.lua", env!("CARGO_MANIFEST_DIR"));
            assert_eq!(std::fs::read_to_string(path).unwrap(), ours, "copy src/stores/database/cache/{name}.lua");
        }
    }

    #[test]
    fn keys_are_named_as_applications_name_them() {
        let keys = CacheKeys { prefix: "app:".to_owned() };
        assert_eq!(keys.row("BusinessModel", "42"), "app:businessModel:42");
        assert_eq!(keys.row("Business", LISTS), "app:business:*");
        assert_eq!(keys.list("Business", "g", "city=Cali"), "app:business:list:g:city=Cali");
        assert_eq!(generation_key("app:business:42"), "{app:business:42}:generation");
    }
}
