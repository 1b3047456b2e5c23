//! Whether the database is well: asked now and then, and heard from whoever writes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::errors::{ErrorMeaning, SqlError};
use super::session::OperationStore;

/// What is known of the database's health.
#[derive(Debug)]
pub struct DatabaseHealth {
    healthy: AtomicBool,
    watched: AtomicBool,
    /// Between two looks.
    check: Duration,
    /// The same, while it is not well.
    reconnect: Duration,
}

impl DatabaseHealth {
    /// `check` is the time between two looks, `reconnect` the same while the database is not well.
    pub fn new(check: Duration, reconnect: Duration) -> Arc<Self> {
        Arc::new(Self { healthy: AtomicBool::new(true), watched: AtomicBool::new(false), check, reconnect })
    }

    /// What whoever wrote was told; no error is a success.
    pub(super) fn heard(&self, error: Option<&SqlError>) {
        match error {
            None => self.is(true, ""),
            Some(error) if matches!(error.meaning, ErrorMeaning::Outage | ErrorMeaning::Misconfigured) => {
                self.is(false, &error.why);
            }
            Some(_) => {}
        }
    }

    fn is(&self, healthy: bool, why: &str) {
        if self.healthy.swap(healthy, Ordering::Relaxed) == healthy {
            return;
        }
        metrics::gauge!("millrace_database_healthy").set(if healthy { 1.0 } else { 0.0 });
        if healthy {
            tracing::info!("Database is now HEALTHY");
        } else {
            tracing::error!(reason = why, "Database is now UNHEALTHY");
        }
    }

    /// Begins to look, once; ends when nobody else holds it.
    pub fn watch(self: &Arc<Self>, store: OperationStore) {
        if !self.watched.swap(true, Ordering::Relaxed) {
            tokio::spawn(watched(Arc::downgrade(self), store));
        }
    }
}

async fn watched(health: Weak<DatabaseHealth>, store: OperationStore) {
    while let Some(pause) =
        health.upgrade().map(|known| if known.healthy.load(Ordering::Relaxed) { known.check } else { known.reconnect })
    {
        tokio::time::sleep(pause).await;
        let asked = store.ask().await;
        let Some(known) = health.upgrade() else { return };
        match asked {
            Ok(()) => known.is(true, ""),
            Err(failure) => known.is(false, &failure.why),
        }
    }
}
