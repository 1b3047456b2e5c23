//! The writer's half: what was written is taken away from Redis, or put there anew; after the commit, and before the batch is done.
//!
//! It guarantees that a batch is done only when each of its rows is invalidated, or noted in the database to be. What a process
//! leaves that dies between the two is read again from the log, is found applied, and is invalidated then.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use enrichers::operation::SqlValue;
use pipeline::{redis_client, redis_connection};
use redis::aio::ConnectionManager;
use redis::{Client, RedisError};
use secrecy::ExposeSecret;
use tokio::sync::{Mutex, RwLock};

use super::super::catalogue::TableShape;
use super::super::errors::SqlError;
use super::super::operation::ResolvedOperation;
use super::super::session::OperationStore;
use super::protocol::{self, CacheKeys, Invalidation, LISTS, new_generation};
use super::written::WrittenRow;
use super::{dirty, row_json, written};
use crate::config::{CacheMode, CacheSettings, DatabaseSettings};
use crate::stores::target::SetupError;

/// How long the writer may take to put a row that it took away.
const LEASE: Duration = Duration::from_secs(60);

/// So many noted keys are worked off before rows that are written now go to Redis again.
const FIRST: usize = 20_000;

/// Keeps Redis true to the database.
pub struct CacheWriter {
    client: Client,
    /// `None`: not made yet, or closed.
    connection: Mutex<Option<ConnectionManager>>,
    address: String,
    keys: CacheKeys,
    settings: CacheSettings,
    store: OperationStore,
    /// The entities of each table.
    entities: HashMap<String, Vec<String>>,
    /// Redis was found away; keys go to the table until that is worked off.
    away: AtomicBool,
    /// Held by whoever notes keys, and alone for a moment by whoever finds Redis back.
    turn: RwLock<()>,
    watched: AtomicBool,
    closed: AtomicBool,
}

impl CacheWriter {
    /// Connects nowhere yet; `None`: there is no cache.
    ///
    /// # Errors
    /// A sentence that names the variables at fault.
    pub fn new(settings: &DatabaseSettings, store: OperationStore) -> Result<Option<Arc<Self>>, SetupError> {
        let Some(cache) = settings.cache.clone() else { return Ok(None) };
        let redis = &cache.redis;
        // The error may quote the URL, and with it a password.
        let client = redis_client(redis.url.expose_secret(), redis.ca_cert.as_deref());
        let client = client.map_err(|_| SetupError::unusable_redis(&redis.address))?;
        let mut entities: HashMap<String, Vec<String>> = HashMap::new();
        for (entity, of) in &settings.entities {
            entities.entry(of.table.clone()).or_default().push(entity.clone());
        }
        Ok(Some(Arc::new(Self {
            client,
            connection: Mutex::default(),
            address: redis.address.clone(),
            keys: CacheKeys { prefix: cache.prefix.clone() },
            settings: cache,
            store,
            entities,
            away: AtomicBool::new(false),
            turn: RwLock::default(),
            watched: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })))
    }

    /// Whether Redis answered when it was asked last.
    pub fn is_healthy(&self) -> bool {
        !self.away.load(Ordering::Relaxed)
    }

    /// These were applied, and the transaction has ended.
    pub(in super::super) async fn tell_written(&self, operations: &[&ResolvedOperation<'_>]) -> Result<(), SqlError> {
        self.tell(&written::rows(&self.store, operations).await?).await
    }

    /// The row with this key, in each of its spellings, was written by somebody else than an operation.
    pub(in super::super) async fn tell_mended(
        &self,
        table: &Arc<TableShape>,
        keys: &[Vec<SqlValue>],
    ) -> Result<(), SqlError> {
        let rows: Vec<WrittenRow<'_>> = keys.iter().map(|key| WrittenRow { table, key: key.clone() }).collect();
        self.tell(&rows).await
    }

    async fn tell(&self, rows: &[WrittenRow<'_>]) -> Result<(), SqlError> {
        let keys: BTreeSet<String> = rows.iter().flat_map(|row| self.keys_of(row)).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let generation = (self.settings.mode == CacheMode::Set).then(new_generation);
        {
            let _turn = self.turn.read().await;
            if !self.is_healthy() || !self.forgot(&keys, generation.clone()).await {
                dirty::add(&self.store, &keys).await?;
                metrics::counter!("millrace_cache_dirty_keys_total").increment(keys.len() as u64);
                return Ok(());
            }
        }
        if let Some(generation) = generation {
            // A row that is not put is read by whoever wants it.
            if let Err(why) = self.fill(rows, &generation).await {
                tracing::debug!(why, "Rows were not put into the cache");
            }
        }
        Ok(())
    }

    async fn forgot(&self, keys: &[&str], generation: Option<String>) -> bool {
        match self.invalidate(keys, generation).await {
            Ok(()) => true,
            Err(error) => {
                self.is_away(&error);
                false
            }
        }
    }

    fn keys_of(&self, row: &WrittenRow<'_>) -> Vec<String> {
        let mut ids = vec![id_of(&row.key)];
        let folds = |place: &usize| row.table.columns.get(*place).is_some_and(|column| column.folded);
        if row.table.key.iter().any(folds) {
            ids.push(id_of(&row.key).to_lowercase());
        }
        ids.push(LISTS.to_owned());
        let entities = self.entities.get(&row.table.name).map(Vec::as_slice).unwrap_or_default();
        entities.iter().flat_map(|entity| ids.iter().map(|id| self.keys.row(entity, id))).collect()
    }

    /// The keys under which a row of a table may be kept, without those of lists.
    pub(in super::super) fn keys_of_row(&self, table: &Arc<TableShape>, key: &[SqlValue]) -> Vec<String> {
        let lists = self.keys_of(&WrittenRow { table, key: Vec::new() });
        let keys = self.keys_of(&WrittenRow { table, key: key.to_vec() });
        keys.into_iter().filter(|key| !lists.contains(key)).collect()
    }

    /// What is kept under these keys.
    pub(in super::super) async fn values(&self, keys: &[&str]) -> Result<Vec<Option<String>>, RedisError> {
        redis::cmd("MGET").arg(keys).query_async(&mut self.connection().await?).await
    }

    async fn connection(&self) -> Result<ConnectionManager, RedisError> {
        let mut known = self.connection.lock().await;
        if let Some(connection) = &*known {
            return Ok(connection.clone());
        }
        let connection = redis_connection(&self.client).await?;
        *known = Some(connection.clone());
        Ok(connection)
    }

    /// Looks no more, and lets the connection go.
    pub async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        *self.connection.lock().await = None;
    }

    async fn invalidate(&self, keys: &[&str], generation: Option<String>) -> Result<(), RedisError> {
        let how = Invalidation { grace: self.settings.grace, generation, lease: LEASE };
        protocol::invalidate(&mut self.connection().await?, keys, &how).await?;
        metrics::counter!("millrace_cache_invalidations_total").increment(keys.len() as u64);
        Ok(())
    }

    /// Puts rows as the database has them now.
    async fn fill(&self, rows: &[WrittenRow<'_>], generation: &str) -> Result<(), String> {
        let mut tables: BTreeMap<&str, (&Arc<TableShape>, Vec<&[SqlValue]>)> = BTreeMap::new();
        for row in rows {
            tables.entry(&row.table.name).or_insert_with(|| (row.table, Vec::new())).1.push(&row.key);
        }
        let mut found = Vec::new();
        for (name, (table, keys)) in tables {
            let entities = self.entities.get(name).map(Vec::as_slice).unwrap_or_default();
            for (key, json) in row_json::rows(&self.store, table, &keys).await.map_err(|error| error.why.to_string())? {
                found.extend(entities.iter().map(|entity| (self.keys.row(entity, &key.join(":")), json.clone())));
            }
        }
        let mut connection = self.connection().await.map_err(|error| error.to_string())?;
        let put = protocol::put(&mut connection, generation, &found, self.settings.ttl).await;
        put.map(drop).map_err(|error| error.to_string())
    }

    fn is_away(&self, error: &RedisError) {
        if !self.away.swap(true, Ordering::Relaxed) {
            metrics::gauge!("millrace_cache_healthy").set(0.0);
            let address = &self.address;
            tracing::warn!(%error, address, "Redis is away; keys of rows that are written are kept in millrace_dirty_keys");
        }
    }

    /// Works off what was noted while Redis was away, by whomever.
    ///
    /// # Errors
    /// Why not all of it.
    async fn work_off(&self) -> Result<(), String> {
        let mut count = 0;
        loop {
            let dirty = dirty::some(&self.store).await.map_err(|error| error.why.to_string())?;
            let back = (dirty.is_empty() || count >= FIRST) && self.is_back().await?;
            if dirty.is_empty() && !back {
                break;
            }
            let keys: Vec<&str> = dirty.iter().map(|dirty| dirty.key.as_str()).collect();
            if let Err(error) = self.invalidate(&keys, None).await {
                self.is_away(&error);
                return Err(error.to_string());
            }
            dirty::remove(&self.store, &dirty).await.map_err(|error| error.why.to_string())?;
            count += dirty.len();
        }
        if count > 0 {
            tracing::info!(keys = count, "Keys of rows that were written while Redis was away are invalidated");
        }
        Ok(())
    }

    /// Whether Redis answers that was away. Who notes a key now has noted it when this returns.
    async fn is_back(&self) -> Result<bool, String> {
        if self.is_healthy() {
            return Ok(false);
        }
        let mut connection = self.connection().await.map_err(|error| error.to_string())?;
        redis::cmd("PING").query_async::<()>(&mut connection).await.map_err(|error| error.to_string())?;
        self.away.store(false, Ordering::Relaxed);
        metrics::gauge!("millrace_cache_healthy").set(1.0);
        drop(self.turn.write().await);
        tracing::info!("Redis is back");
        Ok(true)
    }

    /// Begins to look, once; ends when nobody else holds it.
    pub fn watch(self: &Arc<Self>, check: Duration, reconnect: Duration) {
        if !self.watched.swap(true, Ordering::Relaxed) {
            tokio::spawn(watch(Arc::downgrade(self), check, reconnect));
        }
    }
}

async fn watch(writer: Weak<CacheWriter>, check: Duration, reconnect: Duration) {
    loop {
        let open = |known: &Arc<CacheWriter>| !known.closed.load(Ordering::Relaxed);
        let Some(known) = writer.upgrade().filter(open) else { return };
        if let Err(why) = known.work_off().await {
            tracing::debug!(why, "Keys wait to be invalidated");
        }
        let pause = if known.is_healthy() { check } else { reconnect };
        drop(known);
        tokio::time::sleep(pause).await;
    }
}

/// The parts of a key, joined by colons.
fn id_of(key: &[SqlValue]) -> String {
    let parts = key.iter().map(|value| value.text().unwrap_or_default());
    parts.collect::<Vec<_>>().join(":")
}
