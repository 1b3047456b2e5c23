//! What a person sees of a backfill: a bar while it goes on, and a summary at its end.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::{CommandFailure, print_json};
use crate::maintenance::backfill::{
    BackfillProgress, BackfillReport, Checkpoint, PartReport, PreviewError, PreviewWork, Sample, SourcePart,
    StopReason, preview,
};

/// How often the bar is drawn.
const DRAWN: Duration = Duration::from_millis(250);

/// A bar on stderr, where that is a terminal; of bytes, where their number is known.
pub(super) fn bar(parts: &[Box<dyn SourcePart>], checkpoint: &Checkpoint) -> Result<ProgressBar, CommandFailure> {
    let size = checkpoint.size_left(parts);
    let template = match size {
        0 => "{spinner} {bytes}  {msg}",
        _ => "[{bar:30}] {bytes}/{total_bytes}  {binary_bytes_per_sec}  {eta} left  {msg}",
    };
    let style = ProgressStyle::with_template(template);
    Ok(ProgressBar::new(size).with_style(style.map_err(|error| CommandFailure::internal(error.to_string()))?))
}

/// Shows how far it is, and what it waits for, for ever.
pub(super) async fn draw(bar: ProgressBar, progress: &BackfillProgress) {
    let begun = Instant::now();
    loop {
        tokio::time::sleep(DRAWN).await;
        bar.set_position(BackfillProgress::count(&progress.read));
        let records = progress.tally.lock().total();
        let rate = records as f64 / begun.elapsed().as_secs_f64();
        let waits: Vec<String> =
            progress.status.standing().into_iter().map(|reason| format!("{}: {}", reason.source, reason.why)).collect();
        let waits = if waits.is_empty() { String::new() } else { format!("  waits for {}", waits.join("; ")) };
        bar.set_message(format!("{records} records, {rate:.0}/s{waits}"));
    }
}

pub(super) fn summary(
    system: &str,
    store: &str,
    report: &BackfillReport,
    progress: &BackfillProgress,
    took: Duration,
    files: &Value,
) -> Value {
    let seconds = took.as_secs_f64();
    let tally = report.tally;
    let stopped = report.stopped.as_ref().map(|why| match why {
        StopReason::Told => "told to".to_owned(),
        StopReason::Halted(why) => why.clone(),
    });
    let part = |part: &PartReport| json!({ "source": part.name, "lines": part.lines, "finished": part.finished, "failed": part.failed });
    json!({
        "system": system,
        "store": store,
        "finished": !matches!(report.stopped, Some(StopReason::Halted(_))) && report.parts.iter().all(|part| part.finished),
        "stopped": stopped,
        "sources": report.parts.iter().map(part).collect::<Value>(),
        "lines": BackfillProgress::count(&progress.lines),
        "empty": BackfillProgress::count(&progress.empty),
        "unchosen": BackfillProgress::count(&progress.unchosen),
        "applied": tally.applied,
        "superseded": tally.superseded + BackfillProgress::count(&progress.deleted),
        "duplicate": tally.duplicate,
        "ignored": tally.ignored,
        "below_horizon": BackfillProgress::count(&progress.below_horizon),
        "rejected": report.rejected,
        "seconds": (seconds * 1000.0).round() / 1000.0,
        "records_per_second": (tally.total() as f64 / seconds).round(),
        "prune": files.get("prune"),
        "state": files.get("state"),
        "rejects": files.get("rejects"),
    })
}

/// Says what a backfill would do, and what a prune would delete then.
pub(super) async fn dry_run(system: &str, work: PreviewWork, absent: Option<Sample>) -> Result<(), CommandFailure> {
    let store = work.setup.bound.target.clone();
    let found = preview(work).await.map_err(|error| match error {
        PreviewError::Store(_) => CommandFailure::unavailable(error.to_string()),
        PreviewError::Source(..) | PreviewError::Stopped(_) => CommandFailure::again(error.to_string()),
    })?;
    let sample = |sample: &Sample| json!({ "count": sample.count, "examples": sample.examples });
    print_json(&json!({
        "system": system,
        "store": store,
        "dry_run": true,
        "created": sample(&found.created),
        "updated": sample(&found.updated),
        "deleted": sample(&found.deleted),
        "superseded": sample(&found.superseded),
        "below_horizon": sample(&found.below_horizon),
        "rejected": sample(&found.rejected),
        "ignored": found.ignored,
        "unchosen": found.unchosen,
        "pruned": absent.as_ref().map(sample),
    }))?;
    match found.rejected.count {
        0 => Ok(()),
        rejected => Err(CommandFailure::findings(format!("{rejected} lines would be rejected"))),
    }
}
