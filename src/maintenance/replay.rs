//! Replay: records that were dead-lettered go through the engine again, out of order and so only where the store holds
//! nothing newer. What is rejected again stays the letter that it is; nothing is written to the dead letters.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use pipeline::dead_letters::{DeadLetter, DeadLetters};
use pipeline::engine::batcher::{Batch, BatchLimits, Batcher};
use pipeline::mutant;
use pipeline::sink::{Failure, Reject};
use pipeline::system::Decoded;
use pipeline::{Engine, EngineError, EngineOptions, EngineParts, Epoch, Record, Status, Tally, TopicPartition, feed};
use thiserror::Error;

use crate::stores::target::SetupError;
use crate::systems::Setup;

/// Letters replayed by one engine. Its breaker would stop at as many rejects, which here are findings and no disaster.
const CHUNK: usize = 500;
/// No group watches over a replay, so its session never ends.
const SESSION: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why records could not be written again.
#[derive(Debug, Error)]
pub enum ReplayError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What a replay came to.
#[derive(Debug, Default)]
pub struct Replayed {
    pub tally: Tally,
    /// What is rejected still: where it stands in the log, and why.
    pub rejected: Vec<(TopicPartition, i64, Reject)>,
    /// Letters, superseded, whose document may have been deleted later and its tombstone purged.
    pub below_horizon: Vec<(TopicPartition, i64)>,
}

/// Notes rejects instead of sending letters.
#[derive(Debug, Default)]
struct Findings(Mutex<Vec<(TopicPartition, i64, Reject)>>);

#[async_trait]
impl DeadLetters for Findings {
    async fn send(&self, letters: &[DeadLetter<'_>]) -> Vec<Result<(), Failure>> {
        let found = letters.iter().map(|l| (l.record.at.clone(), l.record.offset, l.reject.clone()));
        self.0.lock().extend(found);
        letters.iter().map(|_| Ok(())).collect()
    }
}

/// Writes the records through the system's engine; waits for the store without end once it was reached.
///
/// # Errors
/// A sentence about the configuration or the store.
pub async fn replay(setup: &Setup, options: EngineOptions, records: Vec<Record>) -> Result<Replayed, ReplayError> {
    (setup.bound.prepare)().await?;
    let mut replayed = Replayed::default();
    for chunk in records.chunks(CHUNK) {
        write(setup, &options, chunk, &mut replayed).await?;
    }
    Ok(replayed)
}

/// As [`replay`], for dead letters, which nothing in the log stands behind: one of an event below the store's horizon may
/// update a document and not create it, for it may have been deleted since.
///
/// # Errors
/// As [`replay`].
pub async fn replay_letters(
    setup: &Setup,
    options: EngineOptions,
    records: Vec<Record>,
) -> Result<Replayed, ReplayError> {
    (setup.bound.prepare)().await?;
    let mut replayed = Replayed::default();
    for chunk in records.chunks(CHUNK) {
        let allowed = allow(setup, chunk).await.map_err(|failure| SetupError::Store(failure.why.into_owned()))?;
        let place = |record: &Record| (record.at.clone(), record.offset);
        let kept: HashSet<_> = allowed.iter().map(place).collect();
        let below = chunk.iter().map(place).filter(|place| !kept.contains(place));
        let known = replayed.below_horizon.len();
        replayed.below_horizon.extend(below);
        replayed.tally.superseded += (replayed.below_horizon.len() - known) as u64;
        write(setup, &options, &allowed, &mut replayed).await?;
    }
    Ok(replayed)
}

/// The records without those that could bring a purged document back.
async fn allow(setup: &Setup, records: &[Record]) -> Result<Vec<Record>, Failure> {
    let screened = screen(setup, records, Revival::ByNewer).await?;
    let kept = records.iter().zip(screened).filter(|(_, (screened, _))| *screened == Screened::Write);
    Ok(kept.map(|(record, _)| record.clone()).collect())
}

/// What brings a deleted document back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revival {
    /// An event that is newer than the delete.
    ByNewer,
    /// Nothing, while the tombstone stands.
    Never,
}

/// Whether a record may be written out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Screened {
    /// Where the store holds nothing newer.
    Write,
    /// Not: its document was deleted later.
    Deleted,
    /// Not: its document may have been deleted later, and its tombstone purged.
    BelowHorizon,
}

/// Says of each record whether it may be written out of order: not where it could bring a deleted document back; and its
/// version, where it is an event.
///
/// # Errors
/// Why the store cannot be asked.
pub(super) async fn screen(
    setup: &Setup,
    records: &[Record],
    revival: Revival,
) -> Result<Vec<(Screened, Option<i64>)>, Failure> {
    let identity = |decoded: &Decoded<'_>| match decoded {
        Decoded::Event(identity, ()) => Some((identity.document.clone().into_owned(), identity.version)),
        // The engine says what it thinks of them.
        Decoded::Reject(_) | Decoded::Ignore => None,
    };
    let identities: Vec<Option<(String, i64)>> =
        setup.bound.binding.decode(records).as_slice().iter().map(identity).collect();
    let ids: Vec<String> = identities.iter().flatten().map(|(id, _)| id.clone()).collect();
    // In this order: a tombstone that was purged before the look-up left its horizon even earlier.
    let mut found = setup.bound.reader.versions(&ids).await?.into_iter();
    let horizon = setup.bound.reader.horizon().await?.unwrap_or(i64::MIN);
    let history = setup.bound.reader.keeps_history() && revival == Revival::ByNewer;
    let one = |version: i64, held: Option<(i64, bool)>| match held {
        // Its tombstone stands, and no purge has come near: the state refuses it, and the history has it.
        Some((_, true)) if history && version >= horizon => Screened::Write,
        // As good as gone: a purge may be on its way to it.
        Some((held, true)) if held >= version || revival == Revival::Never => Screened::Deleted,
        Some(_) => Screened::Write,
        None if version >= horizon || mutant!(PurgeHorizonIgnored) => Screened::Write,
        None => Screened::BelowHorizon,
    };
    let screened = |identity: &Option<(String, i64)>| match identity {
        Some((_, version)) => (one(*version, found.next().flatten()), Some(*version)),
        None => (Screened::Write, None),
    };
    Ok(identities.iter().map(screened).collect())
}

/// Writes some records by an engine of their own.
async fn write(
    setup: &Setup,
    options: &EngineOptions,
    records: &[Record],
    replayed: &mut Replayed,
) -> Result<(), ReplayError> {
    let findings = Arc::new(Findings::default());
    let (intake, engine_end) = feed::channel(SESSION);
    let batches = batches(records, |at| intake.leases.grant(at));
    let parts = EngineParts {
        binding: setup.bound.binding.clone(),
        dead_letters: findings.clone(),
        marks: None,
        status: Arc::new(Status::default()),
    };
    let engine = tokio::spawn(Engine::new(parts, engine_end, options.clone()).run());
    for batch in batches {
        // The engine is gone only when it failed, which its own answer tells.
        intake.batches.send(batch).await.ok();
    }
    drop(intake);
    let tally = engine.await.map_err(EngineError::Panicked)??;
    replayed.tally.merge(tally);
    replayed.rejected.append(&mut findings.0.lock());
    Ok(())
}

/// Cuts records into batches.
fn batches(records: &[Record], mut grant: impl FnMut(&TopicPartition) -> Epoch) -> Vec<Batch> {
    let limits = BatchLimits { records: CHUNK, bytes: 4 << 20, age: SESSION };
    let mut batcher = Batcher::new(limits);
    let mut epochs: BTreeMap<TopicPartition, Epoch> = BTreeMap::new();
    let now = Instant::now();
    let mut batches = Vec::new();
    for record in records {
        let epoch = *epochs.entry(record.at.clone()).or_insert_with(|| grant(&record.at));
        batches.extend(batcher.push(record.clone(), epoch, now));
    }
    batches.extend(batcher.cut());
    batches
}
