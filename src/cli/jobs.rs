//! `millrace jobs`: what runs, where and how far, and how others ended.

use chrono::Utc;
use clap::Args;
use pipeline::kafka::{StateError, StateTopic};
use serde_json::{Value, json};

use super::{CommandFailure, print_json, print_line as print};
use crate::config::Config;
use crate::maintenance::jobs::{Job, JobBook, JobSource};
use crate::run::blocking::blocking;

/// `millrace jobs`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace jobs
  millrace jobs --json
  millrace jobs --forget 1f6c02ab")]
pub struct JobsArgs {
    /// One JSON object a job
    #[arg(long)]
    pub json: bool,
    /// Take a job out of the list. `verify` and `explain` then know nothing of what it wrote; may be given several times
    #[arg(long, value_name = "JOB")]
    pub forget: Vec<String>,
}

/// Prints the jobs, after taking out those that are named.
///
/// # Errors
/// When one that is named is not there, or the brokers do not answer.
pub async fn jobs(args: JobsArgs, config: Config) -> Result<(), CommandFailure> {
    let state = StateTopic::new(&config.kafka.client_config(), &config.kafka.state_topic);
    let brokers = config.kafka.bootstrap_servers.clone();
    let named = args.forget.clone();
    let book = blocking(CommandFailure::internal, move || {
        let failure = |error: StateError| {
            CommandFailure::unavailable(format!("{error}; brokers: {brokers}, check KAFKA_BOOTSTRAP_SERVERS"))
        };
        let book = JobBook::read(&state).map_err(failure)?;
        if named.is_empty() {
            return Ok(book);
        }
        let unknown = |id: &String| CommandFailure::usage(format!("there is no job {id}; `millrace jobs` names them"));
        let gone = named.iter().map(|id| book.forget(id).ok_or_else(|| unknown(id)));
        state.write(&gone.collect::<Result<Vec<_>, _>>()?).map_err(failure)?;
        JobBook::read(&state).map_err(failure)
    })
    .await?;
    let all = book.all();
    if all.is_empty() && !args.json {
        return print("No backfill is known.");
    }
    all.into_iter().try_for_each(|(id, job)| if args.json { print_json(&as_json(id, job)) } else { show(id, job) })
}

/// What it does, or that nobody knows.
fn state(job: &Job) -> String {
    let why = job.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    match job.is_silent(Utc::now()) {
        true => format!("no sign of life since {}, was {}{why}", job.seen_at, job.state.name()),
        false if job.state.is_end() => format!("{} {}{why}", job.state.name(), job.seen_at),
        false => format!("{}{why}, seen {}", job.state.name(), job.seen_at),
    }
}

/// Of what it reads, where its size is known.
fn percent(job: &Job) -> Option<u64> {
    job.read.min(job.size).saturating_mul(100).checked_div(job.size)
}

fn show(id: &str, job: &Job) -> Result<(), CommandFailure> {
    print(&format!("{id}  {} {} into {}: {}", job.command, job.system, job.target, state(job)))?;
    let far = percent(job).map(|percent| format!(", {percent} % read")).unwrap_or_default();
    let rate = if job.state.is_end() { String::new() } else { format!(", {} records/s", job.rate) };
    let Job { lines, host, process, begun_at, .. } = job;
    print(&format!("    {lines} lines behind{far}{rate}; on {host}, process {process}, begun {begun_at}"))?;
    if !job.choice.is_empty() {
        print(&format!("    selection: {}", job.choice))?;
    }
    job.sources.iter().try_for_each(|source| print(&format!("    {}: {}", source.name, far_of(source))))?;
    if job.more_sources == 0 { Ok(()) } else { print(&format!("    and {} sources more", job.more_sources)) }
}

fn far_of(source: &JobSource) -> String {
    match (&source.failed, source.finished) {
        (Some(why), _) => format!("{} lines, {why}", source.lines),
        (None, true) => format!("{} lines, finished", source.lines),
        (None, false) => format!("{} lines", source.lines),
    }
}

fn as_json(id: &str, job: &Job) -> Value {
    let source = |source: &JobSource| json!({ "source": source.name, "lines": source.lines, "finished": source.finished, "failed": source.failed });
    json!({
        "job": id,
        "command": job.command,
        "system": job.system,
        "store": job.target,
        "choice": job.choice,
        "host": job.host,
        "process": job.process,
        "begun_at": job.begun_at,
        "seen_at": job.seen_at,
        "state": job.state.name(),
        "alive": !job.state.is_end() && !job.is_silent(Utc::now()),
        "why": job.why,
        "lines": job.lines,
        "percent": percent(job),
        "records_per_second": job.rate,
        "sources": job.sources.iter().map(source).collect::<Value>(),
        "more_sources": job.more_sources,
    })
}
