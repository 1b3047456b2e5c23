//! `millrace backfill`: what files hold, into a system's store.

mod choice;
mod kept;
mod named_sources;
mod pruning;
mod steering;
mod summary;
mod told_job;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use pipeline::mutant;
use pipeline::sink::Order;
use serde_json::json;

use super::{CommandFailure, leaving, print_json};
use crate::config::Config;
use crate::maintenance::backfill::{
    self, Backfill, BackfillError, BackfillProgress, BackfillReport, GRACE, JobReporter, MaxRejects, PreviewWork,
    Purpose, StopReason,
};
use crate::systems::{self, Definition, Setup};
use kept::open_state;
use pruning::{Identities, Pruned, Pruning};
use summary::{bar, draw, summary};
use told_job::ToldJob;

/// `millrace backfill`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace backfill transactions 'exports/2025-*.ndjson.zst' --dry-run
  millrace backfill transactions events.csv --max-lag 10000
  millrace backfill transactions kafka:transactions --from 2025-06-01T00:00:00Z")]
pub struct BackfillArgs {
    /// The system whose store is written to
    #[arg(value_name = "SYSTEM")]
    pub system: String,
    /// Files of events, one JSON object a line or CSV with a header, plain or compressed by gzip or zstd; patterns such as
    /// 'exports/*.zst'; the same in a bucket as s3://BUCKET/KEY, with AWS_* in the environment; - for standard input;
    /// kafka:TOPIC for a topic, read outside of any consumer group; audit: for the history of the audit
    #[arg(value_name = "SOURCE", required = true)]
    pub sources: Vec<String>,
    /// What a line is: auto, ndjson or csv
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub format: String,
    /// The sources hold documents alone, as they were at this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
    #[command(flatten)]
    pub choice: ChoiceArgs,
    #[command(flatten)]
    pub pace: PaceArgs,
    /// Delete what the sources, which are a whole snapshot of documents, do not hold and is older than --as-of; shows it and asks
    #[arg(long)]
    pub prune: bool,
    /// With --prune: do not ask
    #[arg(long, requires = "prune")]
    pub yes: bool,
    /// Write nothing: only say what would be created, updated, deleted, superseded and rejected, as the store stands now
    #[arg(long)]
    pub dry_run: bool,
    /// Where it is kept how far it is [default: a file in the working directory, named by system and sources]
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Begin anew, whatever the checkpoint says
    #[arg(long)]
    pub restart: bool,
    /// Where lines are named of which nothing can be made, and why [default: beside the checkpoint]
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// Stop when more lines than this are rejected, such as 100 or 0.5%
    #[arg(long, value_name = "N|x%")]
    pub max_rejects: Option<String>,
}

/// Which records are written.
#[derive(Clone, Debug, Args)]
pub struct ChoiceArgs {
    /// Only those of the documents whose ids this file has, one a line
    #[arg(long, value_name = "FILE")]
    pub ids: Option<PathBuf>,
    /// Only events of this time (RFC 3339) or later; of topics alone also an offset, from which each partition is read
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Only events before this time (RFC 3339); of topics alone also an offset, before which each partition is read
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Only events with this value in a field of theirs or of an object in them, such as user_id=u-7; several have to hold together
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    pub fields: Vec<String>,
    /// Only this partition of the topics among the sources; may be given several times
    #[arg(long = "partition", value_name = "N")]
    pub partitions: Vec<i32>,
}

/// How fast it goes.
#[derive(Clone, Debug, Args)]
pub struct PaceArgs {
    /// At most so many records a second
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,
    /// Wait while the system's consumer group is further behind than so many records
    #[arg(long, value_name = "N")]
    pub max_lag: Option<u64>,
    /// Wait while the oldest record that the group has not committed is older
    #[arg(long, value_name = "SECONDS")]
    pub max_lag_seconds: Option<u64>,
    /// Wait while the time from when a record is in the log until the group has committed it nears this, such as 5s; at least 2s
    #[arg(long, value_name = "DURATION")]
    pub max_freshness: Option<String>,
    /// Serve health, metrics and POST /backfill/pause, resume and rate/N on this port of HTTP_ADDR; 0 picks a free one
    #[arg(long, value_name = "PORT")]
    pub http_port: Option<u16>,
}

/// What comes after the engine has stopped: the checkpoint, the summary, the runtime's end.
const AFTERWARDS: Duration = Duration::from_secs(10);

/// Writes what the sources hold, and prints what it came to.
///
/// # Errors
/// Sources that cannot be read, a checkpoint of something else, rejects, or a stop before the end.
pub async fn backfill(args: BackfillArgs, config: Config) -> Result<(), CommandFailure> {
    let system = systems::find(&args.system)?;
    let config = (system.tuned)(&config);
    let setup = setup(system, &config)?;
    pruning::refuse(&args)?;
    let max_rejects = max_rejects(&args)?;
    let reading = choice::reading(&args, system)?;
    let selection = choice::selection(&args.choice)?;
    let range = choice::offsets(&args.choice);
    let shown = choice::describe(&selection, range, &reading);
    let lines = (reading.format, reading.bare.as_ref().map(|(_, time)| time.clone()));
    let bare = reading.bare.is_some();
    let parts = named_sources::parts(&args.sources, &args.choice.partitions, range, reading, system, &config).await?;
    let known = pruning::identities(&parts);
    let pruning = args.prune.then_some(Pruning { args: &args, system, config: &config });
    if args.dry_run {
        let micros = system.versions.micros;
        let absent = match &pruning {
            Some(pruning) => Some(pruning.look(&known).await?),
            None => None,
        };
        return summary::dry_run(system.name, PreviewWork { setup, parts, selection, micros, bare }, absent).await;
    }
    let purpose = Purpose { system: system.name.to_owned(), target: setup.bound.target.clone(), choice: shown };
    let kept = open_state(&args, purpose, &parts)?;
    let (store, state, rejects) = (setup.bound.target.clone(), kept.path.clone(), kept.rejects.path().to_owned());
    let progress = Arc::new(BackfillProgress::new(system.name));
    let throttle = steering::throttle(&args.pace, &progress)?;
    stop_on_signal(&progress)?;
    let _steered = steering::steer(&args.pace, &config, &setup, &throttle, &progress).await?;
    let bar = bar(&parts, &kept.checkpoint)?;
    let begun = Instant::now();
    let shared = (progress.clone(), throttle.clone());
    let told = ToldJob::begin(JobReporter::new(&parts, &kept.checkpoint, lines, &config, shared));
    let work = Backfill {
        setup,
        parts,
        checkpoint: kept.checkpoint,
        state: kept.state,
        rejects: kept.rejects,
        max_rejects,
        selection,
        micros: system.versions.micros,
        bare,
        throttle,
    };
    let report = tokio::select! {
        report = backfill::backfill(work, &config, &progress) => report,
        () = draw(bar.clone(), &progress) => return Ok(()),
    };
    bar.finish_and_clear();
    let whole = report.as_ref().is_ok_and(|report| judge(report).is_ok());
    let pruned = prune(pruning.filter(|_| whole), &known, &progress).await;
    told.end(&report).await;
    let (report, pruned) = (report.map_err(failure)?, pruned?);
    let files = json!({ "state": state, "rejects": (report.rejected > 0).then_some(rejects), "prune": pruned.as_ref().map(pruning::as_json) });
    print_json(&summary(system.name, &store, &report, &progress, begun.elapsed(), &files))?;
    judge(&report)?;
    pruned.map_or(Ok(()), |pruned| pruning::judge(&pruned))
}

fn max_rejects(args: &BackfillArgs) -> Result<Option<MaxRejects>, CommandFailure> {
    let wrong = || CommandFailure::usage("--max-rejects is a number of lines, or a share such as 0.5%");
    args.max_rejects.as_deref().map(|text| MaxRejects::parse(text).ok_or_else(wrong)).transpose()
}

/// Prunes where that is asked for, until it is told to stop.
async fn prune(
    pruning: Option<Pruning<'_>>,
    known: &Identities,
    progress: &BackfillProgress,
) -> Result<Option<Pruned>, CommandFailure> {
    let Some(pruning) = pruning else { return Ok(None) };
    tokio::select! {
        pruned = pruning.prune(known, progress) => pruned.map(Some),
        () = progress.stop().cancelled() => {
            Err(CommandFailure::again("stopped while it was pruned; run it again to go on"))
        }
    }
}

fn setup(system: &Definition, config: &Config) -> Result<Setup, CommandFailure> {
    if !system.documents {
        let why = format!("{} applies records in the order of its log, which files do not have", system.name);
        return Err(CommandFailure::usage(why));
    }
    let order = if mutant!(BackfillEqual) { Order::Log } else { Order::Any };
    Ok(system.setup(config, order)?)
}

fn failure(error: BackfillError) -> CommandFailure {
    let message = error.to_string();
    match error {
        BackfillError::State(_) => CommandFailure::again(message),
        BackfillError::Engine(_) | BackfillError::Thread(_) => CommandFailure::internal(message),
    }
}

/// Stops at the first signal, in order; at the second, or when that takes too long, at once.
fn stop_on_signal(progress: &Arc<BackfillProgress>) -> Result<(), CommandFailure> {
    let shown = progress.clone();
    let left = move || format!("what the checkpoint does not tell; records finished: {}", shown.tally.lock().total());
    leaving::in_order(progress.stop().clone(), 2 * GRACE + AFTERWARDS, Box::new(left))
}

fn judge(report: &BackfillReport) -> Result<(), CommandFailure> {
    match &report.stopped {
        Some(StopReason::Halted(why)) => return Err(CommandFailure::again(format!("{why}; run it again to go on"))),
        Some(StopReason::Told) if report.parts.iter().any(|part| !part.finished && part.failed.is_none()) => {
            return Err(CommandFailure::again("stopped before the end of the sources; run it again to go on"));
        }
        Some(StopReason::Told) | None => {}
    }
    let failed = report.parts.iter().filter_map(|part| Some(format!("{}: {}", part.name, part.failed.as_ref()?)));
    let failed: Vec<String> = failed.collect();
    if !failed.is_empty() {
        return Err(CommandFailure::again(failed.join("\n")));
    }
    match report.rejected {
        0 => Ok(()),
        rejected => Err(CommandFailure::findings(format!("{rejected} lines are rejected"))),
    }
}
