//! What a batch, or a run of what is parked, tells when it is finished.

use std::time::Duration;

use crate::offsets::offset_tracker::Seq;
use crate::outcome::{Outcome, Tally};

/// A batch that is finished, but for what it left parked.
pub(crate) struct FinishedBatch {
    pub seq: Seq,
    pub bytes: usize,
    pub records: usize,
    /// Of those.
    pub parked: usize,
    pub tally: Tally,
    pub took: Duration,
    /// Whether it is a run of what is parked: then `records` are those that do not wait any more.
    pub climb: bool,
}

/// Says what became of a batch.
pub(crate) fn report(system: &'static str, finished: &FinishedBatch) {
    let FinishedBatch { records, tally, took, climb, .. } = *finished;
    for outcome in Outcome::ALL {
        let count = tally.count(outcome);
        if count > 0 {
            metrics::counter!("millrace_records_total", "system" => system, "outcome" => outcome.name())
                .increment(count);
        }
    }
    if tally.abandoned > 0 {
        metrics::counter!("millrace_records_abandoned_total", "system" => system).increment(tally.abandoned);
    }
    if climb {
        return tracing::debug!(system, records, duration_ms = took.as_millis() as u64, "Parked records tried");
    }
    metrics::histogram!("millrace_batch_records", "system" => system).record(records as f64);
    metrics::histogram!("millrace_batch_duration_seconds", "system" => system).record(took.as_secs_f64());
    tracing::info!(
        system,
        records,
        applied = tally.applied,
        superseded = tally.superseded,
        duplicate = tally.duplicate,
        dead_lettered = tally.dead_lettered,
        ignored = tally.ignored,
        abandoned = tally.abandoned,
        duration_ms = took.as_millis() as u64,
        "Batch processed"
    );
}
