//! What is measured, and the rates of a backlog.

use clap::ValueEnum;
use indicatif::ProgressBar;
use pipeline::sink::Order;
use serde::{Deserialize, Serialize};

use super::bare::{self, Cell, GRID};
use super::child::Busy;
use super::null_store::NullStore;
use super::workbench::Workbench;
use crate::cli::CommandFailure;
use crate::config::Config;
use crate::maintenance::verify::{DifferenceName, Finding, Listener, VerifyOptions, VerifyStep, verify};
use crate::run::blocking::blocking;
use crate::run::clock::Spent;
use crate::systems::definition::Definition;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum BenchSubject {
    /// Kafka's client, which reads and looks at nothing.
    Consumption,
    /// The program, with a store that takes everything at once; of Elasticsearch alone.
    NullStore,
    /// The store, sent the program's writes, which were made beforehand.
    BareWrites,
    /// The program, with its store.
    Program,
}

impl BenchSubject {
    pub(super) const ALL: [Self; 4] = [Self::Consumption, Self::NullStore, Self::BareWrites, Self::Program];

    /// What is measured with any store.
    pub(super) const OF_ANY_STORE: [Self; 3] = [Self::Consumption, Self::BareWrites, Self::Program];

    /// What is measured under live traffic.
    pub(super) const LIVE: [Self; 2] = [Self::BareWrites, Self::Program];

    /// For a person; `store` is the store's name.
    pub(super) fn title(self, store: &str) -> String {
        match self {
            Self::Consumption => "Kafka read by its client alone".to_owned(),
            Self::NullStore => "millrace into a store that holds nothing".to_owned(),
            Self::BareWrites => format!("ready-made writes into {store}"),
            Self::Program => format!("millrace into {store}"),
        }
    }
}

/// What `verify` found in what a run wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verified {
    pub missing: u64,
    pub stale: u64,
    pub twice: u64,
    /// All findings of other names.
    pub other: u64,
}

impl Verified {
    pub(super) fn is_clean(self) -> bool {
        self == Self::default()
    }
}

/// One subject in one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BenchRow {
    pub round: u32,
    pub subject: BenchSubject,
    pub records: u64,
    pub seconds: f64,
    pub cpu_seconds: Option<f64>,
    pub peak_memory_bytes: Option<u64>,
    /// Of what was written by the program; none of a system whose rows come of operations.
    pub verified: Option<Verified>,
}

impl BenchRow {
    pub(super) fn rate(&self) -> f64 {
        self.records as f64 / self.seconds.max(1e-9)
    }

    /// Processor seconds a million records.
    pub(super) fn cpu_a_million(&self) -> Option<f64> {
        Some(self.cpu_seconds? / self.records.max(1) as f64 * 1e6)
    }

    fn bare(round: u32, subject: BenchSubject, (records, spent): (u64, Spent)) -> Self {
        let (seconds, cpu_seconds) = (spent.wall.as_secs_f64(), spent.cpu);
        Self { round, subject, records, seconds, cpu_seconds, peak_memory_bytes: None, verified: None }
    }

    fn program(round: u32, subject: BenchSubject, busy: &Busy, verified: Option<Verified>) -> Self {
        Self {
            round,
            subject,
            records: busy.records,
            seconds: busy.seconds,
            cpu_seconds: busy.process_cpu_seconds,
            peak_memory_bytes: busy.process_peak_memory_bytes,
            verified,
        }
    }
}

/// The rows of all rounds, and how the bare writes were sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Writes in a request of the bare writes, and requests at the same time.
    pub bare_request: usize,
    pub bare_in_flight: usize,
    pub rows: Vec<BenchRow>,
}

/// Measures the subjects in turn.
pub(super) struct Subjects<'a> {
    bench: &'a Workbench,
    chosen: Vec<BenchSubject>,
    records: u64,
    bar: ProgressBar,
    measured: Measured,
}

impl<'a> Subjects<'a> {
    /// Records of the topic that a cell of the grid is tried with.
    const TRIAL: u64 = 20_000;

    /// Finds how the store takes ready-made writes best.
    pub(super) async fn new(
        bench: &'a Workbench,
        chosen: Vec<BenchSubject>,
        records: u64,
        bar: ProgressBar,
    ) -> Result<Self, CommandFailure> {
        let mut best: Option<(f64, Cell)> = None;
        let is_tried = chosen.contains(&BenchSubject::BareWrites);
        let fits = |cell: &Cell| bench.place.takes_any_order() == (cell.in_flight > 1);
        let grid = GRID.iter().filter(|cell| is_tried && fits(cell));
        for (number, &cell) in grid.enumerate() {
            bar.set_message(format!("looking for the best requests: {} × {}", cell.request, cell.in_flight));
            let row = bare_writes(bench, &format!("grid{number}"), cell, Self::TRIAL).await?;
            if best.is_none_or(|(rate, _)| row.rate() > rate) {
                best = Some((row.rate(), cell));
            }
        }
        let cell = best.map_or(GRID[0], |(_, cell)| cell);
        let measured = Measured { bare_request: cell.request, bare_in_flight: cell.in_flight, rows: Vec::new() };
        Ok(Self { bench, chosen, records, bar, measured })
    }

    pub(super) fn into_measured(self) -> Measured {
        self.measured
    }

    pub(super) async fn round(&mut self, round: u32) -> Result<(), CommandFailure> {
        for subject in self.chosen.clone() {
            self.bar.set_message(format!("round {}: {}", round + 1, subject.title(self.bench.place.store())));
            let row = self.measure(round, subject).await?;
            self.measured.rows.push(row);
            self.bar.inc(1);
        }
        Ok(())
    }

    async fn measure(&self, round: u32, subject: BenchSubject) -> Result<BenchRow, CommandFailure> {
        match subject {
            BenchSubject::Consumption => self.consumption(round).await,
            BenchSubject::NullStore => self.null_store(round).await,
            BenchSubject::BareWrites => {
                let cell = Cell { request: self.measured.bare_request, in_flight: self.measured.bare_in_flight };
                let row = bare_writes(self.bench, &format!("bare{round}"), cell, self.records).await?;
                Ok(BenchRow { round, ..row })
            }
            BenchSubject::Program => self.program(round).await,
        }
    }

    async fn consumption(&self, round: u32) -> Result<BenchRow, CommandFailure> {
        let (client, topic) = (self.bench.config.kafka.client_config(), self.bench.topic.clone());
        let consume = move || bare::consume(&client, &topic).map_err(|error| error.to_string());
        let read = blocking(|why| why, consume).await.map_err(CommandFailure::unavailable)?;
        Ok(BenchRow::bare(round, BenchSubject::Consumption, read))
    }

    async fn null_store(&self, round: u32) -> Result<BenchRow, CommandFailure> {
        let store = NullStore::start(0).await.map_err(|error| CommandFailure::internal(error.to_string()))?;
        let mut settings = self.bench.settings_without_place(&format!("null{round}"));
        settings.push(("elasticsearch.url", store.url()));
        let busy = self.bench.run(settings).await?;
        Ok(BenchRow::program(round, BenchSubject::NullStore, &busy, None))
    }

    async fn program(&self, round: u32) -> Result<BenchRow, CommandFailure> {
        let settings = self.bench.settings(&format!("run{round}")).await?;
        let config = self.bench.configure(&settings)?;
        let busy = self.bench.run(settings).await?;
        let system = self.bench.system;
        let verified = if system.documents { Some(verify_all(system, &config).await?) } else { None };
        Ok(BenchRow::program(round, BenchSubject::Program, &busy, verified))
    }
}

async fn bare_writes(bench: &Workbench, run: &str, cell: Cell, most: u64) -> Result<BenchRow, CommandFailure> {
    let config = bench.configure(&bench.settings(run).await?)?;
    let setup = bench.system.setup(&config, Order::Log)?;
    (setup.bound.prepare)().await?;
    let client = config.kafka.client_config();
    let written = bare::write(&client, &bench.topic, &*setup.bound.binding, cell, most).await?;
    Ok(BenchRow::bare(0, BenchSubject::BareWrites, written))
}

/// Hears nothing: the counts are in the report.
struct Deaf;

impl Listener for Deaf {
    fn note(&mut self, _: &Finding) {}

    fn at(&mut self, _: VerifyStep) {}
}

pub(super) async fn verify_all(system: &'static Definition, config: &Config) -> Result<Verified, CommandFailure> {
    let options = VerifyOptions {
        memory: 128 << 20,
        wait: std::time::Duration::from_secs(60),
        repair: false,
        delete_phantoms: false,
    };
    let report = verify(system, config, options, &mut Deaf)
        .await
        .map_err(|error| CommandFailure::again(format!("what was written could not be verified: {error}")))?;
    let mut verified = Verified::default();
    for (name, count) in report.findings {
        match name {
            DifferenceName::Missing => verified.missing += count,
            DifferenceName::Stale => verified.stale += count,
            DifferenceName::Twice => verified.twice += count,
            _ => verified.other += count,
        }
    }
    Ok(verified)
}
