//! Prune: what a whole snapshot of documents does not hold, and the store holds from before it, is deleted by events of a time just
//! before the snapshot. So the store itself keeps whatever is as new as the snapshot, or newer.
//!
//! All sources are read once more, from their starts, for the ids that they hold. Nothing is deleted unless every line was read.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use pipeline::sink::{Failure, Reject};
use pipeline::system::Decoded;
use pipeline::{Binding, EngineOptions, Record, TopicPartition};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::dry_run::Sample;
use super::parts::{Item, PartError, SourcePart};
use crate::maintenance::replay::{ReplayError, replay};
use crate::run::blocking::blocking;
use crate::stores::reader::StoredVersion;
use crate::systems::Setup;
use crate::systems::definition::{Deletion, Versions};
use crate::walk::first_bytes;

/// Records that are decoded together.
const CHUNK: usize = 1_000;
/// Documents that are found before they are deleted, so that they fit into memory.
const PASS: usize = 200_000;
/// How the deletes are named where a record's place is shown.
const TOPIC: &str = "backfill-prune";

/// Why nothing, or nothing more, was deleted.
#[derive(Debug, Error)]
pub enum PruneError {
    #[error("{0}: {1}; nothing is pruned")]
    Source(String, PartError),
    #[error("line {1} of {0} is rejected, so it is not known which document it is: nothing is pruned")]
    Rejected(String, i64),
    #[error("the snapshot holds no document, and all would be deleted: nothing is pruned")]
    Empty,
    #[error("{}; what was deleted until then stays so, and the same command goes on", .0.why)]
    Store(Failure),
    #[error("{0}")]
    Replay(#[from] ReplayError),
    #[error("{} refuses a delete ({}); what was deleted until then stays so", .0, .1.why)]
    Refused(String, Reject),
    #[error("the sources are not read: {0}; nothing is pruned")]
    Stopped(String),
}

/// A snapshot: the ids that it holds, and when it was.
pub struct Snapshot {
    ids: HashSet<u64>,
    as_of: DateTime<Utc>,
    versions: Versions,
}

impl Snapshot {
    /// Reads all of it. Of two ids with one hash, the store keeps the document of either.
    ///
    /// # Errors
    /// Where a line was not read, or there is none.
    pub async fn read(
        parts: Vec<Box<dyn SourcePart>>,
        binding: Arc<dyn Binding>,
        as_of: DateTime<Utc>,
        versions: Versions,
    ) -> Result<Self, PruneError> {
        let ids = blocking(PruneError::Stopped, move || ids_of(&parts, &*binding)).await?;
        if ids.is_empty() { Err(PruneError::Empty) } else { Ok(Self { ids, as_of, versions }) }
    }

    /// The documents that are older than it and that it does not hold: all counted, some named, and the ids of the first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find_absent(&self, setup: &Setup) -> Result<(Sample, Vec<String>), PruneError> {
        let (mut sample, mut first) = (Sample::default(), Vec::new());
        let least = (self.versions.at)(self.as_of.timestamp_micros());
        let mut visit = |id: &str, StoredVersion { version, deleted, .. }: StoredVersion| {
            if !deleted && version < least && !self.ids.contains(&hash(id)) {
                sample.add(|| id.to_owned());
                if first.len() < PASS {
                    first.push(id.to_owned());
                }
            }
            Ok(())
        };
        setup.bound.reader.read(&mut visit).await.map_err(PruneError::Store)?;
        Ok((sample, first))
    }

    /// Deletes the first that were found, and whatever there is behind them, where the store holds nothing newer meanwhile; gives how
    /// many.
    ///
    /// # Errors
    /// Why not all of them were deleted.
    pub async fn delete_absent(
        &self,
        setup: &Setup,
        deletion: Deletion,
        options: &EngineOptions,
        mut ids: Vec<String>,
    ) -> Result<u64, PruneError> {
        let mut deleted = 0;
        loop {
            let records: Vec<Record> =
                (0_i64..).zip(&ids).map(|(offset, id)| self.record(deletion, offset, id)).collect();
            let replayed = replay(setup, options.clone(), records).await?;
            if let Some((_, _, reject)) = replayed.rejected.into_iter().next() {
                return Err(PruneError::Refused(setup.bound.target.clone(), reject));
            }
            deleted += replayed.tally.applied;
            // Where none was, the rest became newer than the snapshot meanwhile.
            if ids.len() < PASS || replayed.tally.applied == 0 {
                return Ok(deleted);
            }
            ids = self.find_absent(setup).await?.1;
        }
    }

    /// The time of the deletes: above every version before the snapshot, and below every one of its time.
    fn time(&self) -> DateTime<Utc> {
        self.as_of - TimeDelta::microseconds(1)
    }

    /// Two versions that those of the deletes lie between.
    pub fn versions(&self) -> [i64; 2] {
        [self.time(), self.as_of].map(|time| (self.versions.at)(time.timestamp_micros()))
    }

    fn record(&self, deletion: Deletion, offset: i64, id: &str) -> Record {
        let payload = deletion(id, &self.time().to_rfc3339_opts(SecondsFormat::Micros, true));
        Record {
            at: TopicPartition::new(TOPIC, 0),
            offset,
            timestamp_ms: None,
            key: None,
            payload: Some(payload.to_string().into()),
            headers: Vec::new(),
        }
    }
}

fn hash(id: &str) -> u64 {
    first_bytes(&Sha256::digest(id.as_bytes()))
}

fn ids_of(parts: &[Box<dyn SourcePart>], binding: &dyn Binding) -> Result<HashSet<u64>, PruneError> {
    let mut ids = HashSet::new();
    for part in parts {
        let failed = |error| PruneError::Source(part.name().to_owned(), error);
        let mut items = part.open(&part.start(), Arc::default()).map_err(failed)?;
        let mut chunk = Vec::with_capacity(CHUNK);
        while let Some(item) = items.next().map_err(failed)? {
            match item {
                Item::Record(record) => chunk.push(record),
                Item::Reject(line, _) => return Err(PruneError::Rejected(part.name().to_owned(), line)),
                Item::Nothing(_) => {}
            }
            if chunk.len() == CHUNK {
                note(binding, part.name(), &chunk, &mut ids)?;
                chunk.clear();
            }
        }
        note(binding, part.name(), &chunk, &mut ids)?;
    }
    Ok(ids)
}

fn note(binding: &dyn Binding, part: &str, records: &[Record], ids: &mut HashSet<u64>) -> Result<(), PruneError> {
    for (record, decoded) in records.iter().zip(binding.decode(records).as_slice()) {
        match decoded {
            Decoded::Event(identity, ()) => drop(ids.insert(hash(&identity.document))),
            Decoded::Reject(_) | Decoded::Ignore => {
                return Err(PruneError::Rejected(part.to_owned(), record.offset));
            }
        }
    }
    Ok(())
}
