//! `millrace verify`: the log against a store, document by document.

use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{CommandFailure, print_json, print_line as print};
use crate::config::{Config, values};
use crate::maintenance::verify::{self, Finding, Listener, VerifyError, VerifyOptions, VerifyReport, VerifyStep};
use crate::systems;

/// `millrace verify`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace verify transactions
  millrace verify transactions-audit --repair")]
pub struct VerifyArgs {
    /// The system whose store is verified
    #[arg(value_name = "SYSTEM", default_value = "transactions")]
    pub system: String,
    /// One JSON object a finding, and one with the sums
    #[arg(long)]
    pub json: bool,
    /// Write anew what is missing, stale, resurrected, different, altered or derived; never over a newer version
    #[arg(long)]
    pub repair: bool,
    /// With --repair: remove documents that no event mentions, if the topic still has all its records
    #[arg(long, requires = "repair")]
    pub delete_phantoms: bool,
    /// Memory to stay within, about
    #[arg(long, value_name = "SIZE", default_value = "512MB")]
    pub memory: String,
    /// Seconds to wait for the consumer group to commit the end of the log
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub wait: u64,
}

/// Shows progress on stderr and prints findings as they come.
struct ProgressListener {
    json: bool,
    bar: ProgressBar,
}

impl Listener for ProgressListener {
    fn note(&mut self, finding: &Finding) {
        let line = if self.json { as_json(finding).to_string() } else { line(finding) };
        // Whoever closed stdout has seen enough; the exit code still tells.
        self.bar.suspend(|| print(&line).ok());
    }

    fn at(&mut self, step: VerifyStep) {
        match step {
            VerifyStep::Log(records, offsets) => {
                self.bar.set_length(offsets);
                self.bar.set_prefix("reading the log");
                self.bar.set_position(records);
            }
            VerifyStep::Store(documents) => {
                self.bar.set_prefix("reading the store");
                self.bar.set_position(documents);
            }
            VerifyStep::Compare => self.bar.set_prefix("comparing"),
        }
    }
}

/// Compares, prints, and judges by the exit code.
///
/// # Errors
/// Findings; or that it could not be told.
pub async fn verify(args: VerifyArgs, config: Config) -> Result<(), CommandFailure> {
    let system = systems::find(&args.system)?;
    let memory = values::bytes(&args.memory).filter(|bytes| *bytes >= 1 << 20);
    let memory = memory.ok_or_else(|| CommandFailure::usage("--memory is a size of at least 1MiB, such as 512MB"))?;
    let options = VerifyOptions {
        memory,
        wait: Duration::from_secs(args.wait),
        repair: args.repair,
        delete_phantoms: args.delete_phantoms,
    };
    let style = ProgressStyle::with_template("{prefix:18} [{bar:40}] {human_pos:>10}/{human_len}");
    let bar = ProgressBar::new(0).with_style(style.map_err(|error| CommandFailure::internal(error.to_string()))?);
    let mut listener = ProgressListener { json: args.json, bar: bar.clone() };
    let report = verify::verify(system, &config, options, &mut listener).await;
    bar.finish_and_clear();
    let report = report.map_err(failure)?;
    if args.json {
        print_json(&summary(&args.system, &report))?
    } else {
        sums(&report)?
    }
    judge(&report, args.repair)
}

fn failure(error: VerifyError) -> CommandFailure {
    let message = error.to_string();
    match error {
        VerifyError::Kafka(_) | VerifyError::Store(_) => CommandFailure::unavailable(message),
        VerifyError::Setup(_) => CommandFailure::config(message),
        VerifyError::NoTopic(_) | VerifyError::Behind { .. } | VerifyError::Repair(_) => CommandFailure::again(message),
        VerifyError::Disk(_) => CommandFailure::internal(message),
    }
}

fn judge(report: &VerifyReport, repair: bool) -> Result<(), CommandFailure> {
    let open = report.wrong() - report.repaired.saturating_add(report.removed).min(report.wrong());
    match (open, report.count_unexplained()) {
        (0, 0) => Ok(()),
        (0, unexplained) => Err(CommandFailure::again(format!(
            "{unexplained} documents may be of a backfill, older than the log where it does not begin at the first event, or deleted and purged; nothing else differs"
        ))),
        (open, _) if repair => Err(CommandFailure::findings(format!("{open} findings could not be repaired"))),
        (open, _) => Err(CommandFailure::findings(format!("{open} findings"))),
    }
}

fn line(finding: &Finding) -> String {
    let version = |version: Option<i64>| version.map_or_else(|| "none".to_owned(), |version| version.to_string());
    let at = finding
        .at
        .as_ref()
        .map(|(topic, partition, offset)| format!("  {topic}/{partition}/{offset}"))
        .unwrap_or_default();
    if let Some(reason) = &finding.reason {
        return format!("{:<12} {}{at}  {reason}", finding.name.name(), finding.id);
    }
    let versions = format!("expected version {}, held {}", version(finding.expected), version(finding.held));
    format!("{:<12} {}{at}  {versions}", finding.name.name(), finding.id)
}

fn as_json(finding: &Finding) -> Value {
    let at = finding.at.as_ref();
    json!({
        "finding": finding.name.name(),
        "id": finding.id,
        "topic": at.map(|at| &at.0),
        "partition": at.map(|at| at.1),
        "offset": at.map(|at| at.2),
        "expected_version": finding.expected,
        "held_version": finding.held,
        "reason": finding.reason,
    })
}

fn summary(system: &str, report: &VerifyReport) -> Value {
    let findings: serde_json::Map<_, _> =
        report.findings.iter().map(|(name, count)| (name.name().to_owned(), (*count).into())).collect();
    json!({
        "system": system,
        "store": report.store,
        "records": report.records,
        "documents": report.documents,
        "held": report.held,
        "tombstones": report.tombstones,
        "dead_letters": report.letters,
        "findings": findings,
        "repaired": report.repaired,
        "removed": report.removed,
    })
}

fn sums(report: &VerifyReport) -> Result<(), CommandFailure> {
    let living = report.held - report.tombstones;
    print(&format!(
        "{} records of the log, {} dead letters; {} holds {living} living documents and {} tombstones",
        report.records, report.letters, report.store, report.tombstones
    ))?;
    let found: Vec<String> = report.findings.iter().map(|(name, count)| format!("{count} {}", name.name())).collect();
    let found = if found.is_empty() { "nothing differs".to_owned() } else { found.join(", ") };
    print(&format!("{} documents compared: {found}", report.documents))?;
    if report.repaired + report.removed > 0 {
        print(&format!("{} repaired, {} removed", report.repaired, report.removed))?;
    }
    Ok(())
}
