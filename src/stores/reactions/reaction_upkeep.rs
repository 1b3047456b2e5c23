//! Upkeep of the reactions' tables: what is old goes, and what waits is counted. Apart from the relay, which it must not hold up,
//! and there also where somebody else publishes. Of several processes each may do it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pipeline::sink::Failure;
use tokio_util::task::AbortOnDropHandle;

use super::outbox::Outbox;

/// How often what waits is counted.
const COUNTED: Duration = Duration::from_secs(10);
/// How often what is old is looked for.
const PURGED: Duration = Duration::from_secs(60);

/// Keeps the tables small.
pub struct ReactionUpkeep {
    outbox: Outbox,
    retention: Duration,
    /// Whether this program publishes what stands in the outbox.
    relayed_here: bool,
    running: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl ReactionUpkeep {
    pub fn new(outbox: Outbox, retention: Duration, relayed_here: bool) -> Arc<Self> {
        Arc::new(Self { outbox, retention, relayed_here, running: Mutex::new(None) })
    }

    /// Begins, once.
    pub fn start(self: &Arc<Self>) {
        let begin = || AbortOnDropHandle::new(tokio::spawn(run(self.clone())));
        self.running.lock().get_or_insert_with(begin);
    }

    /// Ends at once: what it does is done again.
    pub fn stop(&self) {
        self.running.lock().take();
    }

    async fn count(&self) -> Result<(), Failure> {
        let waiting = self.outbox.waiting().await?;
        metrics::gauge!("millrace_reactions_stubs").set(waiting.stubs as f64);
        if self.relayed_here {
            metrics::gauge!("millrace_outbox_oldest_seconds").set(waiting.oldest_seconds);
            metrics::gauge!("millrace_outbox_parked").set(waiting.parked as f64);
        }
        Ok(())
    }
}

async fn run(upkeep: Arc<ReactionUpkeep>) {
    let mut purged: Option<Instant> = None;
    loop {
        let mut done = upkeep.count().await;
        if purged.is_none_or(|at| at.elapsed() >= PURGED) {
            purged = Some(Instant::now());
            done = done.and(upkeep.outbox.purge(upkeep.retention, upkeep.relayed_here).await);
        }
        if let Err(failure) = done {
            // The groups say it louder where it matters.
            tracing::debug!(reason = %failure.why, "No upkeep of the reactions' tables at the moment");
        }
        tokio::time::sleep(COUNTED).await;
    }
}
