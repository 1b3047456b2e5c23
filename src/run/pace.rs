//! How fast a consumer works: between the batch that it finishes first and the one that it finishes last, so that joining the
//! group and looking for the end of the log are left out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pipeline::Tally;
use tokio::sync::watch;

use super::clock::process_cpu;

/// What a consumer did between two of its batches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    pub records: u64,
    pub wall: Duration,
    /// Seconds of the whole process on all processors; `None` where the system does not tell.
    pub cpu: Option<f64>,
}

/// A moment, with what was finished by then.
#[derive(Clone, Copy)]
struct PaceMark {
    at: Instant,
    records: u64,
    cpu: Option<f64>,
}

/// Watches a consumer while it runs.
#[derive(Clone, Default)]
pub(super) struct PaceMeter(Arc<Mutex<Option<(PaceMark, PaceMark)>>>);

impl PaceMeter {
    /// Notes each change of what is finished, until the engine is gone.
    pub(super) async fn watch(self, mut tally: watch::Receiver<Tally>) {
        while tally.changed().await.is_ok() {
            let records = tally.borrow_and_update().total();
            let mut seen = self.0.lock();
            let begun = *seen;
            // The processors' time is asked for at the first batch, and at the end.
            let cpu = if begun.is_none() { process_cpu() } else { None };
            let now = PaceMark { at: Instant::now(), records, cpu };
            *seen = Some((begun.map_or(now, |(first, _)| first), now));
        }
    }

    /// `None` while there are no two batches to measure between.
    pub(super) fn pace(&self) -> Option<Pace> {
        let (first, last) = (*self.0.lock())?;
        let records = last.records.saturating_sub(first.records);
        let cpu = first.cpu.zip(process_cpu()).map(|(before, now)| now - before);
        (records > 0).then(|| Pace { records, wall: last.at.duration_since(first.at), cpu })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pace_lies_between_two_batches() {
        let (sender, tally) = watch::channel(Tally::default());
        let meter = PaceMeter::default();
        let watching = tokio::spawn(meter.clone().watch(tally));
        let finish = async |applied| {
            sender.send_replace(Tally { applied, ..Tally::default() });
            tokio::task::yield_now().await;
        };
        assert_eq!(meter.pace(), None);
        finish(10).await;
        assert_eq!(meter.pace(), None, "one batch has no length");
        finish(40).await;
        assert_eq!(meter.pace().map(|pace| pace.records), Some(30));
        drop(sender);
        watching.await.unwrap();
    }
}
