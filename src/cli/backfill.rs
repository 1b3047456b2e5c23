//! `millrace backfill`: what files hold, into a system's store.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use pipeline::mutant;
use pipeline::sink::Order;
use serde_json::{Value, json};

use super::{CommandFailure, leaving, print_json};
use crate::config::Config;
use crate::maintenance::backfill::{
    self, Backfill, BackfillError, BackfillProgress, BackfillReport, Checkpoint, CheckpointError, GRACE, LinesPart,
    MaxRejects, PartReport, Purpose, Rejects, STDIN, SourceError, SourcePart, StateFile, StopReason, default_path,
    files_of,
};
use crate::systems::{self, Definition, Setup};

/// `millrace backfill`
#[derive(Clone, Debug, Args)]
pub struct BackfillArgs {
    /// The system whose store is written to
    #[arg(value_name = "SYSTEM")]
    pub system: String,
    /// Files of events, one JSON object a line, plain or compressed by gzip or zstd; patterns such as 'exports/*.zst'; - for
    /// standard input
    #[arg(value_name = "SOURCE", required = true)]
    pub sources: Vec<String>,
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

/// How often the bar is drawn.
const DRAWN: Duration = Duration::from_millis(250);
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
    let max_rejects = args.max_rejects.as_deref().map(|text| {
        let wrong = || CommandFailure::usage("--max-rejects is a number of lines, or a share such as 0.5%");
        MaxRejects::parse(text).ok_or_else(wrong)
    });
    let max_rejects = max_rejects.transpose()?;
    let parts = parts(&args.sources)?;
    let purpose = Purpose { system: system.name.to_owned(), target: setup.bound.target.clone(), choice: String::new() };
    let kept = kept(&args, purpose, &parts)?;
    let (store, state, rejects) = (setup.bound.target.clone(), kept.path.clone(), kept.rejects.path().to_owned());
    let progress = Arc::new(BackfillProgress::new(system.name));
    stop_on_signal(&progress)?;
    let bar = bar(&parts, &kept.checkpoint)?;
    let begun = Instant::now();
    let work =
        Backfill { setup, parts, checkpoint: kept.checkpoint, state: kept.state, rejects: kept.rejects, max_rejects };
    let drawing = draw(bar.clone(), &progress);
    let report = tokio::select! {
        report = backfill::backfill(work, &config, &progress) => report,
        () = drawing => return Ok(()),
    };
    bar.finish_and_clear();
    let report = report.map_err(failure)?;
    let files = json!({ "state": state, "rejects": (report.rejected > 0).then_some(rejects) });
    print_json(&summary(system.name, &store, &report, &progress, begun.elapsed(), &files))?;
    judged(&report)
}

fn setup(system: &Definition, config: &Config) -> Result<Setup, CommandFailure> {
    if !system.documents {
        let why = format!("{} applies operations in the order of its log, which files do not have", system.name);
        return Err(CommandFailure::usage(why));
    }
    let order = if mutant!(BackfillEqual) { Order::Log } else { Order::Any };
    Ok(system.setup(config, order)?)
}

/// The parts of these sources, each once, in the order of their names.
fn parts(sources: &[String]) -> Result<Vec<Box<dyn SourcePart>>, CommandFailure> {
    let wrong = |error: SourceError| CommandFailure::usage(error.to_string());
    let mut files = Vec::new();
    let mut stdin = 0;
    for word in sources {
        match &**word {
            STDIN => stdin += 1,
            word => files.extend(files_of(word).map_err(wrong)?),
        }
    }
    if stdin > 1 {
        return Err(wrong(SourceError::StdinTwice));
    }
    let now = Utc::now().timestamp_millis();
    // By what they are, so that one that is named twice is read once, and has the same number in every run.
    let mut known: HashMap<PathBuf, PathBuf> = HashMap::new();
    for file in files {
        known.entry(file.canonicalize().unwrap_or_else(|_| file.clone())).or_insert(file);
    }
    let mut files: Vec<_> = known.into_iter().collect();
    files.sort();
    let mut parts: Vec<Box<dyn SourcePart>> = Vec::new();
    for ((_, file), number) in files.into_iter().zip(0..) {
        parts.push(Box::new(LinesPart::file(&file, number, now).map_err(wrong)?));
    }
    if stdin == 1 {
        parts.push(Box::new(LinesPart::stdin(i32::try_from(parts.len()).unwrap_or(i32::MAX), now)));
    }
    Ok(parts)
}

/// What is kept in files: how far it is, and what was rejected.
struct Kept {
    checkpoint: Checkpoint,
    state: Option<StateFile>,
    path: Option<PathBuf>,
    rejects: Rejects,
}

fn kept(args: &BackfillArgs, purpose: Purpose, parts: &[Box<dyn SourcePart>]) -> Result<Kept, CommandFailure> {
    let path = args.state.clone().unwrap_or_else(|| default_path(&purpose, parts));
    let of_rejects = args.rejects.clone().unwrap_or_else(|| path.with_extension("rejects.ndjson"));
    let unwritable = |error: std::io::Error| {
        CommandFailure::usage(format!("the file of rejects {} cannot be written: {error}", of_rejects.display()))
    };
    let fresh = Checkpoint::begin(purpose, parts);
    if args.sources.iter().any(|word| word == STDIN) {
        if args.state.is_some() {
            return Err(CommandFailure::usage("standard input cannot be read twice, so --state is of no use with it"));
        }
        let rejects = Rejects::begin(of_rejects.clone()).map_err(unwritable)?;
        return Ok(Kept { checkpoint: fresh, state: None, path: None, rejects });
    }
    let state = StateFile::take(&path).map_err(of_state)?;
    let earlier = if args.restart { None } else { state.load().map_err(of_state)? };
    let (checkpoint, rejects) = match earlier {
        None => (fresh, Rejects::begin(of_rejects.clone())),
        Some(earlier) => {
            let checkpoint = fresh.resume(earlier, &path).map_err(of_state)?;
            let places = parts.iter().filter_map(|part| {
                let known = checkpoint.parts.get(part.name())?;
                Some((part.at().clone(), known.place.next))
            });
            let rejects = Rejects::resume(of_rejects.clone(), &places.collect());
            (checkpoint, rejects)
        }
    };
    let rejects = rejects.map_err(unwritable)?;
    Ok(Kept { checkpoint, state: Some(state), path: Some(path), rejects })
}

fn of_state(error: CheckpointError) -> CommandFailure {
    let message = error.to_string();
    match error {
        CheckpointError::InUse(_) => CommandFailure::again(message),
        CheckpointError::Unreadable(..)
        | CheckpointError::Other(..)
        | CheckpointError::Changed { .. }
        | CheckpointError::Unwritable(..) => CommandFailure::usage(message),
    }
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

/// A bar on stderr, where that is a terminal; of bytes, where their number is known.
fn bar(parts: &[Box<dyn SourcePart>], checkpoint: &Checkpoint) -> Result<ProgressBar, CommandFailure> {
    let left = |part: &&Box<dyn SourcePart>| checkpoint.parts.get(part.name()).is_none_or(|known| !known.finished);
    let size: u64 = parts.iter().filter(left).map(|part| part.size()).sum();
    let template = match size {
        0 => "{spinner} {bytes}  {msg}",
        _ => "[{bar:30}] {bytes}/{total_bytes}  {binary_bytes_per_sec}  {eta} left  {msg}",
    };
    let style = ProgressStyle::with_template(template);
    Ok(ProgressBar::new(size).with_style(style.map_err(|error| CommandFailure::internal(error.to_string()))?))
}

/// Shows how far it is, and what it waits for, for ever.
async fn draw(bar: ProgressBar, progress: &BackfillProgress) {
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

fn summary(
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
        "finished": report.parts.iter().all(|part| part.finished),
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
        "state": files.get("state"),
        "rejects": files.get("rejects"),
    })
}

fn judged(report: &BackfillReport) -> Result<(), CommandFailure> {
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
