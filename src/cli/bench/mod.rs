//! `millrace bench`: how fast this machine lets the program be, beside what its Kafka and its store do without it.
//!
//! Everything is measured in one run, in rounds that take turns, on a topic, groups and places in the store of its own, which are
//! deleted at the end. It guarantees that a rate of the program counts only where `verify` finds nothing in what it wrote.

mod bare;
mod capacity;
mod child;
mod comparison;
mod environment;
mod latency;
mod latency_plot;
mod latency_table;
mod loads;
mod null_store;
mod own_place;
mod paced;
mod plot;
mod scenario;
mod spread;
mod traffic;
mod watched;
mod workbench;

mod figures;
mod subjects;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::publish::Publisher;
use super::{CommandFailure, block_on, leaving, print_line as print};
use crate::run::telemetry;
use crate::synthetic::SyntheticRecord;
use crate::systems::definition::{Definition, Generator};
use crate::systems::{self, transactions};
use figures::{BenchReport, Workload};
use latency_table::LatencyMeasured;
use loads::{LoadPlan, live_events, measure_loads};
pub use null_store::NullStore;
pub use scenario::Scenario;
use subjects::{BenchSubject, Measured, Subjects};
use workbench::Workbench;

/// `millrace bench`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace bench --json before.json
  millrace bench --compare before.json
  millrace bench --system users
  millrace bench --scenario steady --rounds 1 --json latency.json")]
pub struct BenchArgs {
    /// Events in the topic before anything is read
    #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..))]
    pub events: u64,
    /// Partitions of the topic
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// Rounds; in each, every subject, or every load of a live scenario, is measured once
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// The system that is measured, with its store [possible: transactions, transactions-audit, transactions-mongo, users, ratings, database]
    #[arg(long, default_value = transactions::NAME, value_name = "SYSTEM")]
    pub system: String,
    /// What the topic holds
    #[arg(long, value_enum, default_value_t = Scenario::Backlog)]
    pub scenario: Scenario,
    /// Measure this alone; may be given several times [default: all; null-store is Elasticsearch's alone; steady has program and bare-writes, burst program]
    #[arg(long = "subject", value_enum, value_name = "SUBJECT")]
    subjects: Vec<BenchSubject>,
    /// How long each load of steady and burst is measured; a burst lasts a fifth of it
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Own events in place of synthetic ones: a file with one JSON object a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["events", "scenario"])]
    pub corpus: Option<PathBuf>,
    /// The same seed gives the same events
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Write the result to this file, for a later --compare
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draw the result into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Say whether this run is faster or slower than the one whose result this file holds
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
}

/// Measures, prints, writes the files that were asked for, and compares.
///
/// # Errors
/// Findings, when a result is not valid or the run is slower than the one compared with; or a service does not answer.
pub fn run(args: &BenchArgs, file: Option<&Path>, log_level: Option<&str>) -> Result<(), CommandFailure> {
    let before = args.compare.as_deref().map(comparison::read).transpose()?;
    let chosen = choose(args)?;
    let bench = Workbench::new(systems::find(&args.system)?, file, log_level)?;
    telemetry::init(&bench.config.log)?;
    leaving::at_once()?;
    let measured = measure(args, &bench, chosen);
    // What was made is taken away, whatever came of it.
    let cleaned = bench.clean();
    let report = measured?;
    let judged = tell(args, &report, before.as_ref());
    // Figures are not lost because something could not be deleted.
    cleaned.and(judged)
}

/// Prints the figures, writes the files that were asked for, and compares.
fn tell(args: &BenchArgs, report: &BenchReport, before: Option<&BenchReport>) -> Result<(), CommandFailure> {
    report.lines().iter().try_for_each(|line| print(line))?;
    if let Some(path) = &args.json {
        write(path, report.as_json()?.as_bytes())?;
    }
    if let Some(path) = &args.svg {
        write(path, plot::draw(report)?.as_bytes())?;
    }
    let invalid = report.invalid();
    let slower = before.map(|before| comparison::print(before, report)).transpose()?.unwrap_or(false);
    match (invalid, slower) {
        (0, false) => Ok(()),
        (0, true) => Err(CommandFailure::findings("slower than the run compared with")),
        (rows, _) => Err(CommandFailure::findings(format!("{rows} results are not valid: verify found differences"))),
    }
}

/// The subjects that are measured, in their order.
fn choose(args: &BenchArgs) -> Result<Vec<BenchSubject>, CommandFailure> {
    let all = match args.system.as_str() {
        _ if args.scenario.is_live() => &BenchSubject::LIVE[..],
        transactions::NAME => &BenchSubject::ALL,
        _ => &BenchSubject::OF_ANY_STORE,
    };
    let is_chosen = |subject: &BenchSubject| args.subjects.is_empty() || args.subjects.contains(subject);
    let chosen: Vec<BenchSubject> = all.iter().copied().filter(is_chosen).collect();
    if args.scenario.is_live() && args.system != transactions::NAME {
        return Err(CommandFailure::usage(
            "live traffic is made for transactions alone: leave out --system or --scenario",
        ));
    }
    if args.scenario.is_live() && args.compare.is_some() {
        return Err(CommandFailure::usage("--compare compares rates, and live traffic has latencies"));
    }
    if args.scenario.is_live() && !chosen.contains(&BenchSubject::Program) {
        let name = args.scenario.name();
        return Err(CommandFailure::usage(format!("--scenario {name} measures the program: add --subject program")));
    }
    if chosen.is_empty() {
        return Err(CommandFailure::usage("a store that holds nothing takes the place of Elasticsearch alone"));
    }
    Ok(chosen)
}

/// Fills the topic, and measures.
fn measure(args: &BenchArgs, bench: &Workbench, chosen: Vec<BenchSubject>) -> Result<BenchReport, CommandFailure> {
    let workload = publish(args, bench)?;
    let steps = match args.scenario {
        Scenario::Steady => loads::SHARES.len(),
        Scenario::Burst => 1,
        _ => chosen.len(),
    };
    let style = ProgressStyle::with_template("{msg:44} [{bar:30}] {pos}/{len}");
    let bar = ProgressBar::new(u64::from(args.rounds) * steps as u64);
    bar.set_style(style.map_err(|error| CommandFailure::internal(error.to_string()))?);
    let measured = if args.scenario.is_live() {
        measure_live(args, bench, &chosen, &workload, &bar).map(|latency| (Measured::default(), Some(latency)))
    } else {
        block_on(async {
            let mut subjects = Subjects::new(bench, chosen, workload.records, bar.clone()).await?;
            for round in 0..args.rounds {
                subjects.round(round).await?;
            }
            Ok((subjects.into_measured(), None))
        })
    };
    bar.finish_and_clear();
    let (measured, latency) = measured?;
    let environment = block_on(async { Ok(environment::look(&bench.config, bench.place).await) })?;
    Ok(BenchReport { workload, environment, measured, latency })
}

fn measure_live(
    args: &BenchArgs,
    bench: &Workbench,
    chosen: &[BenchSubject],
    workload: &Workload,
    bar: &ProgressBar,
) -> Result<LatencyMeasured, CommandFailure> {
    let plan = LoadPlan {
        backlog: workload.records,
        rounds: args.rounds,
        time: Duration::from_secs(args.seconds),
        burst: args.scenario == Scenario::Burst,
        bare: chosen.contains(&BenchSubject::BareWrites),
        events: live_events(&args.scenario.options(args.events, args.seed)),
    };
    measure_loads(bench, &plan, bar)
}

fn write(path: &Path, text: &[u8]) -> Result<(), CommandFailure> {
    let failed = |error| CommandFailure::usage(format!("cannot write {}: {error}", path.display()));
    std::fs::write(path, text).map_err(failed)
}

/// Fills the topic.
fn publish(args: &BenchArgs, bench: &Workbench) -> Result<Workload, CommandFailure> {
    let mut publisher = Publisher::connect(&bench.config, &bench.topic)?;
    publisher.ensure_topics(args.partitions, bench.config.kafka.topic_replication)?;
    let (mut records, mut bytes) = (0_u64, 0_u64);
    let mut put = |key: &str, payload: Option<&str>| {
        records += 1;
        bytes += payload.map_or(0, str::len) as u64;
        publisher.put(key, payload)
    };
    match &args.corpus {
        Some(path) => {
            let unread =
                |error: std::io::Error| CommandFailure::usage(format!("cannot read {}: {error}", path.display()));
            let file = std::fs::File::open(path).map_err(unread)?;
            for line in std::io::BufRead::lines(std::io::BufReader::new(file)) {
                let line = line.map_err(unread)?;
                put(&key_of(&line), Some(&line))?;
            }
        }
        None => {
            let options = args.scenario.options(args.events, args.seed);
            let most = usize::try_from(args.events).unwrap_or(usize::MAX);
            for SyntheticRecord { key, payload, .. } in generator_of(bench.system)?(&options)?.take(most) {
                put(&key, payload.as_deref())?;
            }
        }
    }
    publisher.finish(records)?;
    if records == 0 {
        return Err(CommandFailure::usage("there is no event to measure with"));
    }
    let scenario = args.corpus.as_ref().map_or(args.scenario.name(), |_| "corpus").to_owned();
    let (topic, partitions, rounds, seed) = (bench.topic.clone(), args.partitions, args.rounds, args.seed);
    let (system, store) = (bench.system.name.to_owned(), bench.place.store().to_owned());
    Ok(Workload { system, store, scenario, topic, records, bytes, partitions, rounds, seed })
}

/// What makes events for a system; of a projection, what makes its primary's.
fn generator_of(system: &Definition) -> Result<Generator, CommandFailure> {
    let makes = match &system.projection {
        Some(projection) => systems::find(projection.of)?.generator,
        None => system.generator,
    };
    makes.ok_or_else(|| CommandFailure::usage(format!("no events are made for {}", system.name)))
}

/// The key of an event of somebody's own: its user, wherever it stands.
fn key_of(line: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let user = event
        .get("user_id")
        .or_else(|| event.pointer("/data/user_id"))
        .or_else(|| event.pointer("/transaction/user_id"));
    user.and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_chosen_in_their_order_and_live_traffic_needs_the_program() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: BenchArgs,
        }
        let chosen = |words: &str| {
            let line: Line = clap::Parser::parse_from(["bench"].into_iter().chain(words.split_whitespace()));
            choose(&line.args)
        };
        assert_eq!(chosen("").unwrap(), BenchSubject::ALL);
        let two = [BenchSubject::BareWrites, BenchSubject::Program];
        assert_eq!(chosen("--subject program --subject bare-writes").unwrap(), two);
        assert_eq!(chosen("--scenario steady").unwrap(), two);
        assert_eq!(chosen("--scenario burst --subject program").unwrap(), [BenchSubject::Program]);
        let why = chosen("--scenario steady --subject null-store").unwrap_err();
        assert!(why.message.contains("add --subject program"), "{why}");
        assert!(chosen("--scenario burst --compare x.json").is_err());
        let all = [BenchSubject::Consumption, BenchSubject::BareWrites, BenchSubject::Program];
        assert_eq!(chosen("--system users").unwrap(), all);
        assert!(chosen("--system users --scenario steady").is_err());
        assert!(chosen("--system users --subject null-store").unwrap_err().message.contains("Elasticsearch alone"));
    }
}
