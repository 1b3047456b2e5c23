//! Whether the database is well: asked now and then, and heard from whoever writes.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};

use super::cache::CacheWriter;
use super::errors::{ErrorMeaning, SqlError};
use super::session::OperationStore;

/// How often the state is logged.
const STATUS: Duration = Duration::from_secs(60);
/// After so many milliseconds without an attempt nothing is pending: its partitions are another's.
const IDLE: i64 = 300_000;

/// What is known of the database's health.
pub struct DatabaseHealth {
    healthy: AtomicBool,
    /// When a write last found no room, in milliseconds since 1970; 0: none since one succeeded.
    full: AtomicI64,
    watched: AtomicBool,
    stopped: AtomicBool,
    /// Shown in the state beside the database.
    cache: OnceLock<Arc<CacheWriter>>,
    /// Operations that the sink holds and has not judged.
    pending: AtomicUsize,
    /// When the database was asked last, in milliseconds since 1970; 0: not yet.
    asked: AtomicI64,
    since: Instant,
    /// Between two looks.
    check: Duration,
    /// The same, while it is not well.
    reconnect: Duration,
}

impl DatabaseHealth {
    /// `check` is the time between two looks, `reconnect` the same while the database is not well.
    pub fn new(check: Duration, reconnect: Duration) -> Arc<Self> {
        Arc::new(Self {
            healthy: AtomicBool::new(true),
            full: AtomicI64::new(0),
            watched: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            cache: OnceLock::new(),
            pending: AtomicUsize::new(0),
            asked: AtomicI64::new(0),
            since: Instant::now(),
            check,
            reconnect,
        })
    }

    /// Names the cache, whose health is shown with the database's.
    pub fn shows(&self, cache: Option<Arc<CacheWriter>>) {
        if let Some(cache) = cache {
            self.cache.set(cache).ok();
        }
    }

    /// What whoever wrote was told; no error is a success.
    pub(super) fn hear(&self, error: Option<&SqlError>) {
        match error {
            None => {
                self.full.store(0, Ordering::Relaxed);
                self.is(true, "");
            }
            Some(error) if matches!(error.meaning, ErrorMeaning::Outage | ErrorMeaning::Misconfigured) => {
                let full = if error.is_full() { Utc::now().timestamp_millis() } else { 0 };
                self.full.store(full, Ordering::Relaxed);
                self.is(false, &error.why);
            }
            Some(_) => {}
        }
    }

    /// The database has answered a look. One without room answers too, so it counts as well when a write succeeds, or when
    /// nobody has written for a while.
    pub(super) fn hear_answer(&self) {
        if Utc::now().timestamp_millis() - self.full.load(Ordering::Relaxed) > IDLE {
            self.hear(None);
        }
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// So many operations are held until the value is dropped.
    pub(super) fn holds(&self, operations: usize) -> PendingOperations<'_> {
        self.pending.fetch_add(operations, Ordering::Relaxed);
        PendingOperations(&self.pending, operations)
    }

    /// The state, as the seed's worker logs it.
    fn log(&self) {
        let healthy = self.is_healthy();
        let asked = Some(self.asked.load(Ordering::Relaxed)).filter(|millis| *millis > 0);
        let asked = asked.and_then(DateTime::from_timestamp_millis);
        let asked = asked.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true));
        tracing::info!(
            consumer.isRunning = true,
            consumer.processingPaused = !healthy,
            consumer.pendingOperations = self.pending.load(Ordering::Relaxed),
            consumer.databaseHealthy = healthy,
            database.isHealthy = healthy,
            database.lastHealthCheck = asked,
            database.uptime = self.since.elapsed().as_secs(),
            redis = self.cache.get().is_some_and(|cache| cache.is_healthy()),
            "Worker Status"
        );
    }

    fn is(&self, healthy: bool, why: &str) {
        if self.healthy.swap(healthy, Ordering::Relaxed) == healthy {
            return;
        }
        metrics::gauge!("millrace_database_healthy").set(if healthy { 1.0 } else { 0.0 });
        if healthy {
            tracing::info!("Database is now HEALTHY");
            let pending = self.pending.load(Ordering::Relaxed);
            if pending > 0 {
                tracing::info!("Processing {pending} pending operations");
            }
        } else {
            tracing::error!(reason = why, "Database is now UNHEALTHY");
        }
    }

    /// Looks no more. Returns whether it did.
    pub fn stop(&self) -> bool {
        let stopped = self.stopped.swap(true, Ordering::Relaxed);
        self.watched.load(Ordering::Relaxed) && !stopped
    }

    /// Begins to look, once; ends when nobody else holds it.
    pub fn watch(self: &Arc<Self>, store: OperationStore) {
        if !self.watched.swap(true, Ordering::Relaxed) {
            tokio::spawn(watch(Arc::downgrade(self), store));
        }
    }
}

/// Operations that are held.
pub(super) struct PendingOperations<'h>(&'h AtomicUsize, usize);

impl Drop for PendingOperations<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

async fn watch(health: Weak<DatabaseHealth>, store: OperationStore) {
    let mut logged = Instant::now();
    loop {
        let Some(known) = health.upgrade().filter(|known| !known.stopped.load(Ordering::Relaxed)) else { return };
        let pause = if known.is_healthy() { known.check } else { known.reconnect };
        drop(known);
        tokio::time::sleep(pause.min(STATUS)).await;
        let asked = store.ask().await;
        let Some(known) = health.upgrade().filter(|known| !known.stopped.load(Ordering::Relaxed)) else { return };
        known.asked.store(Utc::now().timestamp_millis(), Ordering::Relaxed);
        match asked {
            Ok(()) => known.hear_answer(),
            Err(failure) => known.is(false, &failure.why),
        }
        if logged.elapsed() >= STATUS {
            logged = Instant::now();
            known.log();
        }
    }
}
