//! What a backfill would do, as the store stands now: each record is compared with it, and nothing is written.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use lru::LruCache;
use pipeline::Record;
use pipeline::sink::Failure;
use pipeline::system::Decoded;
use thiserror::Error;

use super::parts::{Item, PartError, SourcePart};
use super::selection::Selection;
use crate::run::blocking::blocking;
use crate::systems::Setup;
use crate::walk::first_bytes;
use sha2::{Digest, Sha256};

/// Records that are looked up together.
const CHUNK: usize = 1_000;
/// Examples of each kind.
const EXAMPLES: usize = 3;
/// Documents whose version is remembered that a run would have written.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1_000_000).unwrap();

/// Why it cannot be told.
#[derive(Debug, Error)]
pub enum PreviewError {
    #[error("{}", .0.why)]
    Store(Failure),
    #[error("{0}: {1}")]
    Source(String, PartError),
    #[error("the sources are not read: {0}")]
    Stopped(String),
}

/// How many there are of a kind, and which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub count: u64,
    /// Ids of documents, or places of rejects with the reason.
    pub examples: Vec<String>,
}

impl Sample {
    pub(super) fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example());
        }
    }
}

/// What a run would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    pub created: Sample,
    pub updated: Sample,
    pub deleted: Sample,
    pub superseded: Sample,
    /// Events that are older than what was purged.
    pub below_horizon: Sample,
    pub rejected: Sample,
    pub ignored: u64,
    pub unchosen: u64,
}

/// What is looked at, and how.
pub struct PreviewWork {
    pub setup: Setup,
    pub parts: Vec<Box<dyn SourcePart>>,
    pub selection: Selection,
    pub micros: fn(i64) -> i64,
    /// As of a backfill.
    pub bare: bool,
}

/// Reads all sources and compares them with the store. Does not wait for the store.
///
/// # Errors
/// When the sources or the store cannot be read.
pub async fn preview(work: PreviewWork) -> Result<Preview, PreviewError> {
    let PreviewWork { setup, parts, selection, micros, bare } = work;
    let (send, mut records) = tokio::sync::mpsc::channel::<Vec<Item>>(1);
    let names: Vec<String> = parts.iter().map(|part| part.at().topic.to_string()).collect();
    let reading = tokio::spawn(blocking(PreviewError::Stopped, move || read(&parts, &names, &send)));
    let mut comparing =
        Comparing { setup, selection, micros, bare, written: LruCache::new(REMEMBERED), found: Preview::default() };
    while let Some(items) = records.recv().await {
        comparing.compare(items).await.map_err(PreviewError::Store)?;
    }
    reading.await.map_err(|error| PreviewError::Stopped(error.to_string()))??;
    Ok(comparing.found)
}

fn read(
    parts: &[Box<dyn SourcePart>],
    names: &[String],
    send: &tokio::sync::mpsc::Sender<Vec<Item>>,
) -> Result<(), PreviewError> {
    for (part, name) in parts.iter().zip(names) {
        let failed = |error| PreviewError::Source(name.clone(), error);
        let mut items = part.open(&part.start(), Arc::new(AtomicU64::new(0))).map_err(failed)?;
        let mut chunk = Vec::with_capacity(CHUNK);
        while let Some(item) = items.next().map_err(failed)? {
            chunk.push(item);
            if chunk.len() == CHUNK && send.blocking_send(std::mem::take(&mut chunk)).is_err() {
                return Ok(());
            }
        }
        // Nobody listens only when the store has failed, which is told.
        send.blocking_send(chunk).ok();
    }
    Ok(())
}

struct Comparing {
    setup: Setup,
    selection: Selection,
    micros: fn(i64) -> i64,
    bare: bool,
    /// Version and whether it is a tombstone, by hash of the id.
    written: LruCache<u64, (i64, bool)>,
    found: Preview,
}

impl Comparing {
    async fn compare(&mut self, items: Vec<Item>) -> Result<(), Failure> {
        let mut records: Vec<Record> = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::Record(record) => records.push(record),
                Item::Reject(line, reject) => {
                    self.found.rejected.add(|| format!("line {line}: {}: {}", reject.class, reject.why));
                }
                Item::Nothing(_) => {}
            }
        }
        let events = self.events(&records);
        let ids: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
        // In this order, as a run does it.
        let held = self.setup.bound.reader.versions(&ids).await?;
        let horizon = self.setup.bound.reader.horizon().await?.unwrap_or(i64::MIN);
        for (event, held) in events.into_iter().zip(held) {
            self.judge(event, held, horizon);
        }
        Ok(())
    }

    /// The events that are chosen.
    fn events(&mut self, records: &[Record]) -> Vec<PreviewedEvent> {
        let binding = self.setup.bound.binding.clone();
        let batch = binding.decode(records);
        let mut events = Vec::new();
        for (record, decoded) in records.iter().zip(batch.as_slice()) {
            if !self.selection.chooses(record, decoded, self.micros) {
                self.found.unchosen += 1;
                continue;
            }
            match decoded {
                Decoded::Event(identity, ()) => events.push(PreviewedEvent {
                    id: identity.document.clone().into_owned(),
                    version: identity.version,
                    delete: (self.setup.walk)(record).is_some_and(|walked| walked.deleted),
                }),
                Decoded::Reject(reject) => {
                    let line = record.offset;
                    self.found.rejected.add(|| format!("line {line}: {}: {}", reject.class, reject.why));
                }
                Decoded::Ignore => self.found.ignored += 1,
            }
        }
        events
    }

    fn judge(&mut self, event: PreviewedEvent, held: Option<(i64, bool)>, horizon: i64) {
        let PreviewedEvent { id, version, delete } = event;
        let key = first_bytes(&Sha256::digest(id.as_bytes()));
        let now = self.written.get(&key).copied().or(held);
        let kind = match now {
            Some((held, _)) if held >= version => &mut self.found.superseded,
            Some((_, true)) if self.bare => &mut self.found.superseded,
            None if version < horizon => &mut self.found.below_horizon,
            _ if delete => &mut self.found.deleted,
            None | Some((_, true)) => &mut self.found.created,
            Some((_, false)) => &mut self.found.updated,
        };
        kind.add(|| id);
        let passes = match now {
            Some((held, gone)) => held < version && !(gone && self.bare),
            None => version >= horizon,
        };
        if passes {
            self.written.put(key, (version, delete));
        }
    }
}

/// What there is to know of an event.
struct PreviewedEvent {
    id: String,
    version: i64,
    delete: bool,
}
