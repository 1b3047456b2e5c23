//! Backfill: what files hold goes through a system's own engine, beside live traffic, written only where the store holds nothing newer.
//!
//! It owns the thread that reads, the engine, and the checkpoint. It waits for the store without end. It guarantees that the
//! checkpoint never passes a line that has no outcome, and that what was deleted does not come back.

mod buckets;
mod checkpoint;
mod compression;
mod csv_table;
mod dry_run;
mod file_lines;
mod files;
mod history;
mod job_reporter;
mod lines;
mod partitions;
mod parts;
mod progress;
mod prune;
mod pump;
mod rejects;
mod screening;
mod selection;
mod source_error;
mod source_search;
mod watcher;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use pipeline::engine::batcher::{Batch, BatchLimits};
use pipeline::feed::{self, Intake};
use pipeline::{Engine, EngineError, EngineParts, Status, Tally};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

pub use buckets::{S3, objects_of};
pub use checkpoint::{Checkpoint, CheckpointError, Purpose, StateFile, default_path};
pub use dry_run::{Preview, PreviewError, PreviewWork, Sample, preview};
pub use files::{LinesPart, STDIN, SourceReading, TextFormat, files_of};
pub use history::HistoryPart;
pub use job_reporter::JobReporter;
pub use partitions::{OffsetRange, PartitionPart};
pub use parts::{PartError, SourceIdentity, SourcePart};
pub use progress::{BackfillProgress, StopReason};
pub use prune::{PruneError, Snapshot};
pub use rejects::{MaxRejects, Rejects};
pub use selection::{FieldCondition, Selection, read_ids};
pub use source_error::SourceError;
pub use source_search::records_of;

use crate::config::Config;
use crate::maintenance::replay::Revival;
use crate::maintenance::throttle::Throttle;
use crate::run::consumer::engine_options;
use crate::stores::target::Prepare;
use crate::systems::Setup;
use parts::Place;
use pump::{Places, Pump, PumpEnd};
use screening::Screening;
use watcher::Watcher;

/// No group watches over a backfill, so its session never ends.
const SESSION: Duration = Duration::from_secs(365 * 24 * 3600);
/// How often the checkpoint is written.
const SAVED: Duration = Duration::from_secs(2);
/// How long what is in flight may take to finish after a stop.
pub const GRACE: Duration = Duration::from_secs(10);
/// How often a store that is not there is asked again before anything is read.
const PREPARE_AGAIN: Duration = Duration::from_secs(2);

/// Why a backfill failed.
#[derive(Debug, Error)]
pub enum BackfillError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    State(#[from] CheckpointError),
    #[error("the thread that reads cannot be started: {0}")]
    Thread(std::io::Error),
}

/// What is to be done.
pub struct Backfill {
    pub setup: Setup,
    pub parts: Vec<Box<dyn SourcePart>>,
    pub checkpoint: Checkpoint,
    /// None where a source can be read once alone.
    pub state: Option<StateFile>,
    pub rejects: Rejects,
    pub max_rejects: Option<MaxRejects>,
    pub selection: Selection,
    /// The time of a version of this system, in microseconds since 1970.
    pub micros: fn(i64) -> i64,
    /// Whether the sources hold documents alone: those bring nothing back that was deleted.
    pub bare: bool,
    pub throttle: Arc<Throttle>,
}

/// A part, and how far it is or how it ended.
#[derive(Clone, Debug)]
pub struct PartReport {
    pub name: String,
    /// Lines of it that are behind, of all runs.
    pub lines: u64,
    pub finished: bool,
    /// Why it was not read to its end.
    pub failed: Option<String>,
}

/// What it came to.
#[derive(Debug)]
pub struct BackfillReport {
    /// Of this run.
    pub tally: Tally,
    pub parts: Vec<PartReport>,
    /// Of all runs.
    pub rejected: u64,
    /// Why it ended before its sources.
    pub stopped: Option<StopReason>,
}

/// Writes what the sources hold, from where the checkpoint stands.
///
/// # Errors
/// When a batch panics, or the checkpoint cannot be written at the end.
pub async fn backfill(
    work: Backfill,
    config: &Config,
    progress: &Arc<BackfillProgress>,
) -> Result<BackfillReport, BackfillError> {
    let Backfill { setup, parts, checkpoint, state, rejects, max_rejects, selection, micros, bare, throttle } = work;
    tokio::select! {
        () = prepare_store(&setup.bound.prepare, &progress.status) => {}
        () = progress.stop().cancelled() => {}
    }
    let (rejects, places, parts) = (Arc::new(rejects), Arc::new(Places::default()), Arc::new(parts));
    let (intake, engine_end) = feed::channel(SESSION);
    let engine_parts = EngineParts {
        binding: setup.bound.binding.clone(),
        dead_letters: rejects.clone(),
        marks: None,
        status: progress.status.clone(),
    };
    let engine = Engine::new(engine_parts, engine_end, engine_options(config, &setup.group.id));
    let (proceed, tally) = (engine.proceed(), engine.tally());
    let Intake { batches, revocations, frontier, leases } = intake;
    // Nothing is ever revoked.
    drop(revocations);
    let mut engine = AbortOnDropHandle::new(tokio::spawn(engine.run()));
    let (cut, read) = mpsc::channel(1);
    let pump = Pump {
        limits: limits(config, throttle.rate()),
        leases: leases.clone(),
        batches: cut,
        places: places.clone(),
        rejects: rejects.clone(),
        progress: progress.clone(),
    };
    start(pump, parts.clone(), remaining(&parts, &checkpoint))?;
    let revival = if bare { Revival::Never } else { Revival::ByNewer };
    let screening = Screening { setup, selection, micros, revival };
    let feeding = feed_engine(screening, throttle, read, batches, progress.clone());
    let feeding = AbortOnDropHandle::new(tokio::spawn(feeding));
    let earlier = parts.iter().map(|part| behind(&**part, &checkpoint)).sum();
    *progress.versions.lock() = checkpoint.versions;
    let mut watcher = Watcher {
        parts,
        checkpoint,
        state,
        rejects,
        max_rejects,
        places,
        frontier,
        tally,
        proceed,
        progress,
        earlier,
        given_up: false,
    };
    let ended = watcher.watch(&mut engine, &leases).await;
    drop(feeding);
    ended?;
    watcher.save(true).await?;
    Ok(watcher.report())
}

/// The byte budget, as of a consumer: a batch that is cut, one that is screened and one on offer share a quarter.
fn limits(config: &Config, rate: Option<NonZeroU32>) -> BatchLimits {
    let bytes = config.batch.bytes.min(config.memory_budget / 12).max(1);
    // At most what a second allows, so that a rate is not one batch a minute.
    let records = rate.map_or(config.batch.size, |rate| config.batch.size.min(rate.get() as usize));
    BatchLimits { records, bytes, age: SESSION }
}

/// How many lines of a part are behind.
fn behind(part: &dyn SourcePart, checkpoint: &Checkpoint) -> u64 {
    checkpoint.parts.get(part.name()).map_or(0, |known| (known.place.next - part.start().next).unsigned_abs())
}

/// From where each part is read; none where it is behind already.
fn remaining(parts: &[Box<dyn SourcePart>], checkpoint: &Checkpoint) -> Vec<Option<Place>> {
    let from = |part: &dyn SourcePart| {
        let known = checkpoint.parts.get(part.name())?;
        (!known.finished || part.grew(&known.place)).then(|| known.place.clone())
    };
    parts.iter().map(|part| from(&**part)).collect()
}

fn start(pump: Pump, parts: Arc<Vec<Box<dyn SourcePart>>>, from: Vec<Option<Place>>) -> Result<(), BackfillError> {
    let read = move || {
        let progress = pump.progress.clone();
        match pump.run(&parts, &from) {
            PumpEnd::Done | PumpEnd::Stopped => {}
            PumpEnd::Rejects(error) => {
                let why = format!("the file of rejects {} cannot be written: {error}", pump.rejects.path().display());
                progress.halt(StopReason::Halted(why));
            }
        }
    };
    std::thread::Builder::new().name("sources".into()).spawn(read).map_err(BackfillError::Thread)?;
    Ok(())
}

/// Waits until the store is in place.
async fn prepare_store(prepare: &Prepare, status: &Status) {
    while let Err(why) = prepare().await {
        status.raise("store", why.to_string());
        tokio::time::sleep(PREPARE_AGAIN).await;
    }
    status.clear("store");
}

/// Screens what was read and offers it to the engine, until everything was or it is to stop.
async fn feed_engine(
    screening: Screening,
    throttle: Arc<Throttle>,
    mut read: mpsc::Receiver<Batch>,
    batches: mpsc::Sender<Batch>,
    progress: Arc<BackfillProgress>,
) {
    let feed = async {
        while let Some(batch) = read.recv().await {
            let Some((batch, left_out)) = screening.screen(batch, &progress).await else { return };
            throttle.admit(batch.records.len()).await;
            // The engine is gone only when it failed, which its own answer tells.
            if batches.send(batch).await.is_err() {
                return;
            }
            left_out.count(&progress);
        }
    };
    tokio::select! {
        () = feed => {}
        () = progress.stop().cancelled() => {}
    }
}
