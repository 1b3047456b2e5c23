//! The fault suite: the real program on the real services, disturbed on purpose, judged by invariants.
//!
//! `scripts/faults` starts the services and runs this. A scenario is one kind of trouble; a seed is a mix of them drawn at
//! random. With the feature `mutants`, each bug that can be switched on must be found.

#![allow(unreachable_pub, reason = "the modules of one test program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    reason = "in a test a panic is the answer"
)]

mod account;
mod arena;
mod cluster;
mod crew;
mod family;
mod filed;
mod judge;
mod letters;
mod liar;
mod links;
mod mix;
mod mutants;
mod nemesis;
mod scenarios;
mod table;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use scenarios::Scenario;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_millrace");

/// Disturbs the program and judges what became of its records.
#[derive(Parser)]
#[command(name = "faults")]
struct Args {
    /// The scenarios to run [default: all]; "nemesis" and "siblings-nemesis" are the random mixes
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Seeds of each random mix
    #[arg(long, default_value_t = 3, value_name = "N")]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    first: u64,
    /// Go on with further seeds of each until so many minutes are over
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// Switch the bugs on, one by one, and see each found (a build with the feature `mutants`)
    #[arg(long)]
    mutants: bool,
    /// On three brokers and three search nodes; the scenarios are those for clusters
    #[arg(long, conflicts_with = "mutants")]
    cluster: bool,
    /// Only these bugs
    #[arg(long, value_name = "BUG", requires = "mutants", value_delimiter = ',')]
    only: Vec<String>,
    /// Name the scenarios and the bugs
    #[arg(long)]
    list: bool,
}

/// Runs one seed of a random mix.
type Mix = fn(u64) -> judge::Judged<judge::Report>;

const MIXES: [(&str, Mix); 2] = [(nemesis::NAME, nemesis::run), (family::nemesis::NAME, family::nemesis::run)];

/// The scenarios and the mixes of single services, or of clusters.
fn trials(cluster: bool) -> (&'static [Scenario], &'static [(&'static str, Mix)]) {
    if cluster { (scenarios::ON_CLUSTERS, &MIXES[..1]) } else { (scenarios::ALL, &MIXES) }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let (scenarios, mixes) = trials(args.cluster);
    if args.list {
        scenarios.iter().for_each(|one| println!("{:<28} {}", one.name, one.what));
        mixes
            .iter()
            .for_each(|(name, _)| println!("{name:<28} a mix of faults of every kind, in an order drawn from a seed"));
        pipeline::mutants::Mutant::ALL.iter().for_each(|bug| println!("bug {}", bug.name()));
        return ExitCode::SUCCESS;
    }
    let known = |name: &str| scenarios.iter().any(|one| one.name == name) || mixes.iter().any(|(mix, _)| *mix == name);
    if let Some(unknown) = args.scenarios.iter().find(|name| !known(name)) {
        eprintln!("there is no scenario {unknown}; --list names them, with --cluster those on clusters");
        return ExitCode::from(64);
    }
    let well = if args.mutants { mutants::run(&args.only) } else { run(&args) };
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(args: &Args) -> bool {
    let wanted = |name: &str| args.scenarios.is_empty() || args.scenarios.iter().any(|wanted| wanted == name);
    let mut table = table::Table::default();
    let (scenarios, mixes) = trials(args.cluster);
    for scenario in scenarios.iter().filter(|one| wanted(one.name)) {
        table.add(scenario.name, judge::attempt(|| (scenario.run)(None)));
    }
    for (name, mix) in mixes.iter().filter(|(name, _)| wanted(name)) {
        let end = Instant::now() + Duration::from_secs(args.minutes.unwrap_or(0) * 60);
        let mut seed = args.first;
        while seed < args.first + args.seeds || Instant::now() < end {
            table.add(&format!("{name} {seed}"), judge::attempt(|| mix(seed)));
            seed += 1;
        }
    }
    table.print();
    table.all_well()
}
