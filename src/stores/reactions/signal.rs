//! Word that the outbox has new rows: within a process always, between processes by NOTIFY where a direct address is given.
//!
//! Word may be lost: whoever is told looks at the outbox now and then in any case.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pipeline::sink::Failure;
use tokio::sync::Notify;

use super::background::BackgroundTask;
use crate::stores::postgres::Postgres;

/// The channel; the payload is the schema of the outbox.
const CHANNEL: &str = "millrace_outbox";
/// How long after a lost connection it is connected again.
const AGAIN: Duration = Duration::from_millis(500);

/// Tells a relay of new rows.
#[derive(Clone)]
pub struct OutboxSignal {
    /// Ends the pause of a relay of this process.
    pub(super) wake: Arc<Notify>,
    /// Whether the word of other processes arrives at the moment.
    hears: Arc<AtomicBool>,
    /// Whether other processes are told.
    announces: bool,
}

impl OutboxSignal {
    /// `announces`: other processes are told as well.
    pub fn new(announces: bool) -> Self {
        Self { wake: Arc::new(Notify::new()), hears: Arc::default(), announces }
    }

    /// Whether the word of other processes arrives at the moment.
    pub(super) fn hears_others(&self) -> bool {
        self.hears.load(Ordering::Relaxed)
    }

    /// Tells that rows were put into the outbox of `postgres`, after their commit.
    pub(super) async fn tell(&self, postgres: &Postgres) {
        self.wake.notify_one();
        if !self.announces {
            return;
        }
        let schema = postgres.schema().unwrap_or_default();
        // In a transaction of its own: at its commit, NOTIFY takes a lock that is one for the whole server.
        let told = postgres.execute(sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(schema)).await;
        if let Err(failure) = told {
            tracing::debug!(reason = %failure.why, "Other relays are not told of new rows; they look by themselves");
        }
    }
}

/// Listens for the word of other processes about the outbox in `postgres`, whose address leads to the server itself.
pub fn listener(postgres: Postgres, signal: OutboxSignal) -> BackgroundTask {
    BackgroundTask::new(|stop| async move {
        stop.run_until_cancelled(listen(&postgres, &signal)).await;
    })
}

async fn listen(postgres: &Postgres, signal: &OutboxSignal) {
    let mut failing = false;
    loop {
        let failure = hear(postgres, signal).await;
        if signal.hears.swap(false, Ordering::Relaxed) {
            failing = false;
        }
        if !std::mem::replace(&mut failing, true) {
            tracing::warn!(
                reason = %failure.why,
                setting = "REACTIONS_LISTEN_URL",
                "Nobody tells the relay of new rows at the moment; it looks by itself"
            );
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Passes word on until the connection is lost.
async fn hear(postgres: &Postgres, signal: &OutboxSignal) -> Failure {
    let mut listener = match postgres.listen(CHANNEL).await {
        Ok(listener) => listener,
        Err(failure) => return failure,
    };
    signal.hears.store(true, Ordering::Relaxed);
    // What came before is not told any more.
    signal.wake.notify_one();
    loop {
        match listener.try_recv().await {
            Ok(Some(told)) if Some(told.payload()) == postgres.schema() => {
                metrics::counter!("millrace_outbox_notifications_total").increment(1);
                signal.wake.notify_one();
            }
            Ok(Some(_)) => {}
            Ok(None) => return Failure::unavailable("the connection was lost"),
            Err(error) => return postgres.judge(&error),
        }
    }
}
