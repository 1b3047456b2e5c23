//! Upkeep of the reactions' tables: what is old goes, and what waits is counted. Apart from the relay, which it must not hold up,
//! and there also where somebody else publishes. Of several processes each may do it.

use std::time::{Duration, Instant};

use pipeline::sink::Failure;

use super::background::BackgroundTask;
use super::outbox::Outbox;

/// How often what waits is counted.
const COUNTED: Duration = Duration::from_secs(10);
/// How often what is old is looked for.
const PURGED: Duration = Duration::from_secs(60);

/// The upkeep of the tables beside an outbox; `relayed_here` says whether this program publishes what stands in it. It ends at once:
/// what it does is done again.
pub fn upkeep(outbox: Outbox, retention: Duration, relayed_here: bool) -> BackgroundTask {
    BackgroundTask::new(move |stop| async move {
        stop.run_until_cancelled(keep_small(outbox, retention, relayed_here)).await;
    })
}

async fn keep_small(outbox: Outbox, retention: Duration, relayed_here: bool) {
    let mut purged: Option<Instant> = None;
    loop {
        let mut done = count(&outbox, relayed_here).await;
        if purged.is_none_or(|at| at.elapsed() >= PURGED) {
            purged = Some(Instant::now());
            done = done.and(outbox.purge(retention, relayed_here).await);
        }
        if let Err(failure) = done {
            // The groups say it louder where it matters.
            tracing::debug!(reason = %failure.why, "No upkeep of the reactions' tables at the moment");
        }
        tokio::time::sleep(COUNTED).await;
    }
}

async fn count(outbox: &Outbox, relayed_here: bool) -> Result<(), Failure> {
    let waiting = outbox.waiting().await?;
    metrics::gauge!("millrace_reactions_stubs").set(waiting.stubs as f64);
    if relayed_here {
        metrics::gauge!("millrace_outbox_oldest_seconds").set(waiting.oldest_seconds);
        metrics::gauge!("millrace_outbox_parked").set(waiting.parked as f64);
    }
    Ok(())
}
