//! What is measured, and the topic, groups and indices that it is measured on.

use std::path::Path;

use indicatif::ProgressBar;
use pipeline::dead_letters::topic_of;
use pipeline::sink::Order;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use serde::{Deserialize, Serialize};

use super::bare::{self, Cell, GRID};
use super::child::{Busy, Program};
use super::null_store::NullStore;
use crate::cli::{CommandFailure, block_on};
use crate::config::table::VARIABLES;
use crate::config::{Config, Override};
use crate::maintenance::verify::{DifferenceName, Finding, Listener, VerifyOptions, VerifyStep, verify};
use crate::run::blocking::blocking;
use crate::run::clock::Spent;
use crate::stores::elasticsearch::{ElasticsearchClient, remove_index};
use crate::systems::transactions;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BenchSubject {
    /// Kafka's client, which reads and looks at nothing.
    Consumption,
    /// The program, with a store that takes everything at once.
    NullStore,
    /// Elasticsearch, sent the program's writes, which were made beforehand.
    BareWrites,
    /// The program, with Elasticsearch.
    Program,
}

impl BenchSubject {
    pub(super) const ALL: [Self; 4] = [Self::Consumption, Self::NullStore, Self::BareWrites, Self::Program];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Consumption => "Kafka read by its client alone",
            Self::NullStore => "millrace into a store that holds nothing",
            Self::BareWrites => "ready-made writes into Elasticsearch",
            Self::Program => "millrace into Elasticsearch",
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
    /// Of what was written to Elasticsearch by the program.
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Writes in a request of the bare writes, and requests at the same time.
    pub bare_request: usize,
    pub bare_in_flight: usize,
    pub rows: Vec<BenchRow>,
}

/// Where it is measured: names that nobody else has.
pub(super) struct Workbench {
    pub config: Config,
    pub topic: String,
    program: Program,
    log_level: String,
    /// Indices that were made.
    made: parking_lot::Mutex<Vec<String>>,
}

impl Workbench {
    pub(super) fn new(file: Option<&Path>, log_level: Option<&str>) -> Result<Self, CommandFailure> {
        let topic = format!("millrace-bench-{:08x}", rand::random::<u32>());
        let log_level = log_level.unwrap_or("warn").to_owned();
        let config = Config::load(file, overrides(&settings(&topic, &topic, &log_level)))?;
        let program = Program { file: file.map(Path::to_owned) };
        Ok(Self { config, topic, program, log_level, made: parking_lot::Mutex::default() })
    }

    /// The settings of one run: a group and an index of its own.
    fn settings(&self, run: &str) -> Vec<(&'static str, String)> {
        let name = format!("{}-{run}", self.topic);
        self.made.lock().push(name.clone());
        settings(&self.topic, &name, &self.log_level)
    }

    fn configure(&self, settings: &[(&'static str, String)]) -> Result<Config, CommandFailure> {
        Ok(Config::load(self.program.file.as_deref(), overrides(settings))?)
    }

    /// Takes away the topics and the indices; the marks in Redis go by themselves within a day.
    ///
    /// # Errors
    /// What could not be deleted.
    pub(super) fn clean(&self) -> Result<(), CommandFailure> {
        let topics = [self.topic.clone(), topic_of(&self.topic), state_of(&self.topic)];
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let indices = self.made.lock().clone();
        block_on(async {
            let client = ElasticsearchClient::new(&self.config.elasticsearch)?;
            let mut left = Vec::new();
            for index in &indices {
                if let Err(failure) = remove_index(&client, index).await {
                    left.push(format!("index {index}: {}", failure.why));
                }
            }
            let admin: Result<AdminClient<DefaultClientContext>, _> = self.config.kafka.client_config().create();
            match admin {
                Ok(admin) => left.extend(delete_topics(&admin, &names).await),
                Err(error) => left.push(error.to_string()),
            }
            match left.is_empty() {
                true => Ok(()),
                false => Err(CommandFailure::unavailable(format!("could not be deleted: {}", left.join("; ")))),
            }
        })
    }
}

/// Deletes topics; a sentence for each that is left.
async fn delete_topics(admin: &AdminClient<DefaultClientContext>, topics: &[&str]) -> Vec<String> {
    use rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition as Gone;
    match admin.delete_topics(topics, &AdminOptions::new()).await {
        Err(error) => vec![error.to_string()],
        Ok(answers) => {
            let failed = answers.into_iter().filter_map(Result::err).filter(|(_, code)| *code != Gone);
            failed.map(|(topic, code)| format!("topic {topic}: {code}")).collect()
        }
    }
}

fn state_of(topic: &str) -> String {
    format!("{topic}.state")
}

/// What keeps a run from everything else that there is: its group and its index have a name of their own, and projections stay
/// off.
fn settings(topic: &str, name: &str, log_level: &str) -> Vec<(&'static str, String)> {
    vec![
        ("transactions.topic", topic.to_owned()),
        ("transactions.group", name.to_owned()),
        ("elasticsearch.index", name.to_owned()),
        ("kafka.state_topic", state_of(topic)),
        ("transactions.store", "elasticsearch".to_owned()),
        ("transactions.audit", "false".to_owned()),
        ("transactions.mongo", "false".to_owned()),
        ("transactions.algolia", "false".to_owned()),
        ("http.addr", "127.0.0.1".to_owned()),
        ("http.port", "0".to_owned()),
        ("log.level", log_level.to_owned()),
    ]
}

fn overrides(settings: &[(&'static str, String)]) -> Vec<Override> {
    settings.iter().map(|(key, value)| Override { key, flag: "bench", value: value.clone() }).collect()
}

/// The same as variables of a process.
fn variables(settings: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    let name = |key: &str| VARIABLES.iter().find(|variable| variable.key == key).map(|variable| variable.name());
    settings.into_iter().filter_map(|(key, value)| Some((name(key)?, value))).collect()
}

/// Measures the subjects in turn.
pub(super) struct Subjects<'a> {
    bench: &'a Workbench,
    records: u64,
    bar: ProgressBar,
    measured: Measured,
}

impl<'a> Subjects<'a> {
    /// Steps of the progress bar in a round.
    pub(super) const EACH: u64 = BenchSubject::ALL.len() as u64;
    /// Records of the topic that a cell of the grid is tried with.
    const TRIAL: u64 = 20_000;

    /// Finds how the store takes ready-made writes best.
    pub(super) async fn new(bench: &'a Workbench, records: u64, bar: ProgressBar) -> Result<Self, CommandFailure> {
        let mut best: Option<(f64, Cell)> = None;
        for (number, cell) in GRID.into_iter().enumerate() {
            bar.set_message(format!("looking for the best requests: {} × {}", cell.request, cell.in_flight));
            let row = bare_writes(bench, &format!("grid{number}"), cell, Self::TRIAL).await?;
            if best.is_none_or(|(rate, _)| row.rate() > rate) {
                best = Some((row.rate(), cell));
            }
        }
        let cell = best.map_or(GRID[0], |(_, cell)| cell);
        let measured = Measured { bare_request: cell.request, bare_in_flight: cell.in_flight, rows: Vec::new() };
        Ok(Self { bench, records, bar, measured })
    }

    pub(super) fn into_measured(self) -> Measured {
        self.measured
    }

    pub(super) async fn round(&mut self, round: u32) -> Result<(), CommandFailure> {
        for subject in BenchSubject::ALL {
            self.bar.set_message(format!("round {}: {}", round + 1, subject.title()));
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
        let name = format!("{}-null{round}", self.bench.topic);
        let mut settings = settings(&self.bench.topic, &name, &self.bench.log_level);
        settings.push(("elasticsearch.url", store.url()));
        let busy = self.bench.program.run(&variables(settings)).await?;
        Ok(BenchRow::program(round, BenchSubject::NullStore, &busy, None))
    }

    async fn program(&self, round: u32) -> Result<BenchRow, CommandFailure> {
        let settings = self.bench.settings(&format!("run{round}"));
        let config = self.bench.configure(&settings)?;
        let busy = self.bench.program.run(&variables(settings)).await?;
        let verified = verify_all(&config).await?;
        Ok(BenchRow::program(round, BenchSubject::Program, &busy, Some(verified)))
    }
}

async fn bare_writes(bench: &Workbench, run: &str, cell: Cell, most: u64) -> Result<BenchRow, CommandFailure> {
    let config = bench.configure(&bench.settings(run))?;
    let setup = transactions::DEFINITION.setup(&config, Order::Log)?;
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

async fn verify_all(config: &Config) -> Result<Verified, CommandFailure> {
    let options = VerifyOptions {
        memory: 128 << 20,
        wait: std::time::Duration::from_secs(60),
        repair: false,
        delete_phantoms: false,
    };
    let report = verify(&transactions::DEFINITION, config, options, &mut Deaf)
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
