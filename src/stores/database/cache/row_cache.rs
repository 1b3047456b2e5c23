//! The reader's half: the reference for readers in other languages.

use std::future::Future;
use std::time::Duration;

use redis::aio::ConnectionManager;
use redis::{RedisError, cmd};

use super::protocol::{self, CacheAnswer, CacheKeys, Invalidation, LISTS, millis};

/// How long a reader may take to read a row.
const LEASE: Duration = Duration::from_secs(60);
/// How a row is kept that is not there.
const NO_ROW: &str = "null";

/// Rows and lists of rows, read through Redis.
///
/// `load` must ask the primary, in a transaction that begins after the call. While Redis is away it is asked each time.
#[derive(Clone)]
pub struct RowCache {
    connection: ConnectionManager,
    keys: CacheKeys,
    ttl: Duration,
}

impl RowCache {
    /// `prefix` is the writers' `DATABASE_CACHE_PREFIX`.
    pub fn new(connection: ConnectionManager, prefix: &str, ttl: Duration) -> Self {
        Self { connection, keys: CacheKeys { prefix: prefix.to_owned() }, ttl }
    }

    /// A row as JSON; `None`: there is none. The parts of a composite key are joined by colons.
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn row<F, E>(&self, entity: &str, id: &str, load: impl FnOnce() -> F) -> Result<Option<String>, E>
    where
        F: Future<Output = Result<Option<String>, E>>,
    {
        let key = self.keys.row(entity, id);
        let mut connection = self.connection.clone();
        let lease = match protocol::read(&mut connection, &key, LEASE).await {
            Ok(CacheAnswer::Value(value)) => return Ok((value != NO_ROW).then_some(value)),
            Ok(CacheAnswer::Lease(generation)) => Some(generation),
            Ok(CacheAnswer::Closed) | Err(_) => None,
        };
        let row = load().await?;
        if let Some(generation) = lease {
            let value = row.clone().unwrap_or_else(|| NO_ROW.to_owned());
            // What cannot be kept is read again.
            protocol::put(&mut connection, &generation, &[(key, value)], self.ttl).await.ok();
        }
        Ok(row)
    }

    /// A list of rows of an entity, under a name of the reader's own, such as its query.
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn list<F, E>(&self, entity: &str, name: &str, load: impl FnOnce() -> F) -> Result<String, E>
    where
        F: Future<Output = Result<String, E>>,
    {
        let mut connection = self.connection.clone();
        let asked = protocol::read(&mut connection, &self.keys.row(entity, LISTS), self.ttl).await;
        let Ok(CacheAnswer::Lease(generation)) = asked else { return load().await };
        let key = self.keys.list(entity, &generation, name);
        if let Ok(Some(list)) = cmd("GET").arg(&key).query_async::<Option<String>>(&mut connection).await {
            return Ok(list);
        }
        let list = load().await?;
        // Nobody looks for it where the generation is another by now.
        let mut set = cmd("SET");
        set.arg(&key).arg(&list).arg("PX").arg(millis(self.ttl));
        set.query_async::<()>(&mut connection).await.ok();
        Ok(list)
    }

    /// Forgets rows, and the lists of their entity: for whoever writes to the database beside the consumer, after the commit.
    ///
    /// # Errors
    /// Why Redis did not take it.
    pub async fn invalidate(&self, entity: &str, ids: &[&str]) -> Result<(), RedisError> {
        let keys: Vec<String> = ids.iter().chain([&LISTS]).map(|id| self.keys.row(entity, id)).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        protocol::invalidate(&mut self.connection.clone(), &keys, &Invalidation::default()).await
    }
}
