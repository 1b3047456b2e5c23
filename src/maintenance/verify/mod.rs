//! Verification: the log against a store, document by document.
//!
//! It takes the log's end first, waits until the consumer group has committed it, reads the log up to there, the store, and
//! what was written to the log meanwhile. Memory stays bounded whatever the number of documents; what a repair has to mend and
//! where dead letters stood is held in memory. It only reads, unless a repair is asked for.

pub mod compare;
mod marked;
mod misread;
mod name;
mod reading;
mod rewrite;
pub(super) mod row_fold;
mod row_spill;
pub mod spill;
mod spill_files;
pub(super) mod topic_log;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::time::Duration;

use pipeline::sink::{Failure as StoreFailure, Order};
use pipeline::{EngineOptions, Record};
use rdkafka::error::KafkaError;
use thiserror::Error;

use crate::config::Config;
use crate::maintenance::jobs::JobBook;
use crate::maintenance::replay::{ReplayError, replay};
use crate::run::consumer::engine_options;
use crate::stores::follow_up::Refusal;
use crate::stores::reader::{ObservedVersion, StoreReader, StoredVersion};
use crate::stores::target::SetupError;
use crate::systems::{Definition, Setup};
use compare::{Difference, DifferenceKind, LogPosition, LoggedVersion, compare};
pub use name::DifferenceName;
use reading::Reading;
use rewrite::{WantedVersions, rewrite};
use spill::Buckets;
use topic_log::VerifyLog;

/// Findings that are repaired at once, so that their records fit into memory.
const REPAIRED_AT_ONCE: usize = 5_000;

/// What to do.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// Bytes of memory to stay within, about.
    pub memory: u64,
    /// How long to wait for the consumer group to commit the end of the log.
    pub wait: Duration,
    pub repair: bool,
    /// Whether a repair removes what no event of a whole log is about.
    pub delete_phantoms: bool,
}

/// Why it could not be told.
#[derive(Debug, Error)]
pub enum VerifyError {
    #[error("Kafka does not answer ({0}); check KAFKA_BOOTSTRAP_SERVERS")]
    Kafka(String),
    #[error("the topic {0} does not exist, so there is nothing to compare with")]
    NoTopic(String),
    #[error("the group {group} has {lag} records to go: start the consumer, or wait longer with --wait")]
    Behind { group: String, lag: i64 },
    #[error("{}", .0.why)]
    Store(StoreFailure),
    #[error("the temporary folder cannot be used: {0}")]
    Disk(#[from] io::Error),
    #[error("{0}")]
    Setup(#[from] SetupError),
    #[error("the repair failed: {0}")]
    Repair(#[from] ReplayError),
}

impl From<KafkaError> for VerifyError {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error.to_string())
    }
}

impl From<StoreFailure> for VerifyError {
    fn from(failure: StoreFailure) -> Self {
        Self::Store(failure)
    }
}

/// One document that is not as the log says.
#[derive(Clone, Debug)]
pub struct Finding {
    pub name: DifferenceName,
    pub id: String,
    /// Topic, partition and offset of the event that the store should hold.
    pub at: Option<(String, i32, i64)>,
    pub expected: Option<i64>,
    pub held: Option<i64>,
    /// Of a refusal: the document that is wrong, and why. Of a record that is misread: how. Of a version that no event has:
    /// the backfill that may have written it.
    pub reason: Option<String>,
}

/// What it came to.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    pub store: &'static str,
    /// Records of the log that were looked at.
    pub records: u64,
    /// Documents that the log or the store knows.
    pub documents: u64,
    /// Documents that the store holds, tombstones among them.
    pub held: u64,
    pub tombstones: u64,
    pub letters: u64,
    pub findings: BTreeMap<DifferenceName, u64>,
    pub repaired: u64,
    pub removed: u64,
}

impl VerifyReport {
    /// Findings, without what could not be told.
    pub fn wrong(&self) -> u64 {
        self.findings.iter().filter(|(name, _)| **name != DifferenceName::Unexplained).map(|(_, count)| count).sum()
    }

    pub fn count_unexplained(&self) -> u64 {
        self.findings.get(&DifferenceName::Unexplained).copied().unwrap_or(0)
    }
}

/// How far it is, for a progress bar.
#[derive(Clone, Copy, Debug)]
pub enum VerifyStep {
    /// Records read, of so many offsets.
    Log(u64, u64),
    /// Documents read.
    Store(u64),
    /// Comparing.
    Compare,
}

/// Hears of what is found and how far it is.
pub trait Listener: Send {
    fn note(&mut self, finding: &Finding);
    fn at(&mut self, step: VerifyStep);
}

/// Compares the store of a system with its log.
///
/// # Errors
/// Why it could not be told.
pub async fn verify(
    system: &Definition,
    config: &Config,
    options: VerifyOptions,
    listener: &mut dyn Listener,
) -> Result<VerifyReport, VerifyError> {
    if !system.documents {
        if let Some(rows) = row_fold::rows_of(system, config)? {
            return row_fold::verify_rows(rows, system, config, &options, listener).await;
        }
        return marked::verify_marks(system, config, &options, listener).await;
    }
    let setup = system.setup(config, Order::Any)?;
    let (client, engine) = (config.kafka.client_config(), engine_options(config, &setup.group.id));
    let (reader, topics) = (setup.bound.reader.clone(), setup.group.topics.clone());
    let mut log = VerifyLog::open(client.clone(), topics.clone(), setup.group.id.clone()).await?;
    log.await_committed(options.wait).await?;
    let letters = log.letters(system.name).await?;
    let mut report = VerifyReport { store: reader.name(), letters: letters.len() as u64, ..VerifyReport::default() };

    let mut buckets = Buckets::new(log.offsets() * 2, options.memory)?;
    let mut reading = Reading { binding: &*setup.bound.binding, walk: setup.walk, letters: &letters, optional: false };
    report.records = log.read(&reading, &mut buckets, &mut report, listener).await?;
    read(&*reader, &mut buckets, &mut report, listener).await?;
    // What was written while the store was read may be in it, and need not.
    log.go_on().await?;
    reading.optional = true;
    log.read(&reading, &mut buckets, &mut report, listener).await?;

    listener.at(VerifyStep::Compare);
    let whole = log.is_whole();
    let horizon = if whole { None } else { reader.horizon().await? };
    let jobs = log.jobs(config).await?;
    let mut repairs = Repairs::default();
    buckets.each(|id, document| {
        report.documents += 1;
        if document.twice {
            note(&mut report, listener, finding(DifferenceName::Twice, id, &topics, None));
        }
        let Some(difference) = compare(&document.logged, document.stored, system.versions) else { return };
        let backfill = backfill_of(&jobs, system.name, &setup.bound.target, &difference);
        let expected = difference.expected.map(|told| told.version);
        let name = DifferenceName::of(difference.kind, expected, whole && backfill.is_none(), horizon);
        note(&mut report, listener, Finding { reason: backfill, ..finding(name, id, &topics, Some(&difference)) });
        if options.repair {
            repairs.add(id, name, &difference, &*reader, &options);
        }
    })?;
    if options.repair {
        report.repaired = repair_events(&setup, &log, &engine, repairs.replayed).await?;
        let setup = system.setup(config, Order::Log)?;
        report.repaired += rewrite(&setup, &mut log, &engine, repairs.rewritten).await?;
        report.removed = reader.remove(&repairs.phantoms).await?;
    }
    follow(&*reader, options.repair, &mut report, listener).await?;
    Ok(report)
}

/// The backfill that may have written what no event has, in a sentence.
fn backfill_of(jobs: &JobBook, system: &str, target: &str, difference: &Difference) -> Option<String> {
    let (DifferenceKind::Ahead | DifferenceKind::Unknown, Some(held)) = (difference.kind, difference.stored) else {
        return None;
    };
    let writers = jobs.writers(system, target, held.version);
    let (id, job) = writers.first()?;
    Some(format!("version {} may be of the backfill {id} of {}", held.version, job.describe_sources()))
}

/// What mends the differences that were found.
#[derive(Default)]
struct Repairs {
    /// Records that are written again.
    replayed: Vec<LogPosition>,
    /// Documents that are rewritten at the version that they have.
    rewritten: WantedVersions,
    phantoms: Vec<ObservedVersion>,
}

impl Repairs {
    /// Notes what mends a difference, if anything does.
    fn add(
        &mut self,
        id: &str,
        name: DifferenceName,
        difference: &Difference,
        reader: &dyn StoreReader,
        options: &VerifyOptions,
    ) {
        use DifferenceName::{Altered, Different, Missing, Phantom, Resurrected, Stale};
        match (name, difference.expected, difference.stored) {
            (Missing | Stale | Resurrected, Some(expected), _) => self.replayed.push(expected.at),
            (Different | Altered, Some(expected), _) if reader.shows_anew() => self.replayed.push(expected.at),
            (Different | Altered, Some(expected), _) => {
                self.rewritten.insert(id.to_owned(), (expected.version, expected.at));
            }
            (Phantom, _, Some(stored)) if options.delete_phantoms => {
                let (version, deleted) = (stored.version, stored.deleted);
                self.phantoms.push(ObservedVersion { id: id.to_owned(), version, deleted });
            }
            _ => {}
        }
    }
}

/// Names what follows from the documents and is not as it should be, and mends it where asked to.
async fn follow(
    reader: &dyn StoreReader,
    repair: bool,
    report: &mut VerifyReport,
    listener: &mut dyn Listener,
) -> Result<(), VerifyError> {
    for id in reader.check_derived(repair).await? {
        note(report, listener, finding(DifferenceName::Derived, &id, &[], None));
        report.repaired += u64::from(repair);
    }
    if let Some(follow_ups) = reader.follow_ups() {
        // A repair tries what is listed, too.
        if repair {
            follow_ups.retry().await?;
        }
        for Refusal { subject, document, why } in follow_ups.list().await?.into_iter().map(|listed| listed.refusal) {
            let reason = Some(format!("{document}: {why}"));
            note(report, listener, Finding { reason, ..finding(DifferenceName::Refused, &subject, &[], None) });
        }
    }
    Ok(())
}

/// Reads the store, and puts what it holds into the buckets.
async fn read(
    reader: &dyn StoreReader,
    buckets: &mut Buckets,
    report: &mut VerifyReport,
    listener: &mut dyn Listener,
) -> Result<(), VerifyError> {
    let mut broken = None;
    let mut visit = |id: &str, one: StoredVersion| {
        report.held += 1;
        report.tombstones += u64::from(one.deleted);
        if report.held.is_multiple_of(5_000) {
            listener.at(VerifyStep::Store(report.held));
        }
        if let Err(error) = buckets.add_stored(id, &one) {
            broken = Some(error);
        }
        Ok(())
    };
    reader.read(&mut visit).await?;
    Ok(broken.map_or(Ok(()), Err)?)
}

fn note(report: &mut VerifyReport, listener: &mut dyn Listener, finding: Finding) {
    *report.findings.entry(finding.name).or_default() += 1;
    listener.note(&finding);
}

fn finding(name: DifferenceName, id: &str, topics: &[String], difference: Option<&Difference>) -> Finding {
    let expected: Option<LoggedVersion> = difference.and_then(|difference| difference.expected);
    let coordinates = |told: LoggedVersion| {
        let topic = topics.get(usize::from(told.at.topic)).cloned().unwrap_or_default();
        (topic, told.at.partition, told.at.offset)
    };
    Finding {
        name,
        id: id.to_owned(),
        at: expected.map(coordinates),
        expected: expected.map(|told| told.version),
        held: difference.and_then(|difference| difference.stored).map(|held| held.version),
        reason: None,
    }
}

/// Writes the events of these places anew; the store takes them where it holds nothing newer.
async fn repair_events(
    setup: &Setup,
    log: &VerifyLog,
    engine: &EngineOptions,
    mut wanted: Vec<LogPosition>,
) -> Result<u64, VerifyError> {
    wanted.sort();
    let mut repaired = 0;
    for places in wanted.chunks(REPAIRED_AT_ONCE) {
        let places: HashSet<(u8, i32, i64)> = places.iter().map(|at| (at.topic, at.partition, at.offset)).collect();
        let records: Vec<Record> = log.fetch(places).await?;
        let replayed = replay(setup, engine.clone(), records).await?;
        let shown = if setup.bound.reader.shows_anew() { replayed.tally.superseded } else { 0 };
        repaired += replayed.tally.applied + shown;
    }
    Ok(repaired)
}
