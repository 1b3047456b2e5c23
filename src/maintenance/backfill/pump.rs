//! The pump: a thread that reads the parts one after another and cuts batches.
//!
//! It waits for whoever takes the batches, and holds one batch besides. Of each place where a batch was cut it keeps where the
//! source stood, until that is acknowledged.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Mutex;
use pipeline::engine::batcher::{Batch, BatchLimits, Batcher};
use pipeline::mutant;
use pipeline::offsets::offset_tracker::Frontier;
use pipeline::{Leases, TopicPartition};
use tokio::sync::mpsc;

use super::parts::{Item, Items, PartError, Place, SourcePart};
use super::progress::BackfillProgress;
use super::rejects::Rejects;

/// How a part ended.
#[derive(Debug)]
pub(super) enum PartEnd {
    /// Here.
    Finished(Place),
    Failed(PartError),
}

/// Where the parts stand.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Where batches were cut and are not acknowledged yet, and the last place that is.
    cuts: Mutex<HashMap<TopicPartition, VecDeque<Place>>>,
    ends: Mutex<BTreeMap<usize, PartEnd>>,
}

impl Places {
    fn cut(&self, at: &TopicPartition, place: Place) {
        let mut cuts = self.cuts.lock();
        let known = cuts.entry(at.clone()).or_default();
        if known.back() != Some(&place) {
            known.push_back(place);
        }
    }

    /// The last place of a part that is acknowledged; forgets those before it.
    pub(super) fn acknowledge(&self, at: &TopicPartition, frontier: &Frontier) -> Option<Place> {
        let mut cuts = self.cuts.lock();
        let known = cuts.get_mut(at)?;
        if mutant!(CheckpointBeforeWrite) {
            return known.back().cloned();
        }
        let next = frontier.get(at)?.next;
        while known.get(1).is_some_and(|later| later.next <= next) {
            known.pop_front();
        }
        known.front().filter(|place| place.next <= next).cloned()
    }

    /// The number of a part that has ended, and how.
    pub(super) fn look_at_end<T>(&self, part: usize, look: impl FnOnce(&PartEnd) -> T) -> Option<T> {
        self.ends.lock().get(&part).map(look)
    }
}

/// What the thread works with.
pub(super) struct Pump {
    pub limits: BatchLimits,
    pub leases: Arc<Leases>,
    pub batches: mpsc::Sender<Batch>,
    pub places: Arc<Places>,
    pub rejects: Arc<Rejects>,
    pub progress: Arc<BackfillProgress>,
}

/// Why the thread cannot go on.
#[derive(Debug)]
pub(super) enum PumpEnd {
    /// Everything was read, or could not be.
    Done,
    /// Nobody takes batches any more.
    Stopped,
    /// The file of rejects cannot be written.
    Rejects(io::Error),
}

impl Pump {
    /// Reads these parts, each from its place, to their ends.
    pub(super) fn run(&self, parts: &[Box<dyn SourcePart>], from: &[Option<Place>]) -> PumpEnd {
        let mut batcher = Batcher::new(self.limits);
        for (number, (part, from)) in parts.iter().zip(from).enumerate() {
            // Nothing is left of it.
            let Some(from) = from else { continue };
            let ended = match self.read(&**part, from, &mut batcher) {
                Ok(ended) => ended,
                Err(end) => return end,
            };
            if let PartEnd::Failed(error) = &ended {
                tracing::error!(source = part.name(), why = %error, "Source not read to its end");
            }
            self.places.ends.lock().insert(number, ended);
        }
        match batcher.cut().map(|batch| self.batches.blocking_send(batch)) {
            Some(Err(_)) => PumpEnd::Stopped,
            Some(Ok(())) | None => PumpEnd::Done,
        }
    }

    fn read(&self, part: &dyn SourcePart, from: &Place, batcher: &mut Batcher) -> Result<PartEnd, PumpEnd> {
        let at = part.at();
        let epoch = self.leases.grant(at);
        let mut items = match part.open(from, self.progress.read.clone()) {
            Ok(items) => items,
            Err(error) => return Ok(PartEnd::Failed(error)),
        };
        loop {
            let item = match items.next() {
                Ok(Some(item)) => item,
                Ok(None) => break,
                Err(error) => {
                    self.places.cut(at, items.place());
                    return Ok(PartEnd::Failed(error));
                }
            };
            let next = items.place().next;
            let batch = match item {
                Item::Record(record) => {
                    self.progress.lines.fetch_add(1, Ordering::Relaxed);
                    batcher.push(record, epoch, Instant::now())
                }
                Item::Reject(line, reject) => {
                    self.progress.lines.fetch_add(1, Ordering::Relaxed);
                    self.rejects.add([(at, line, &reject)].into_iter()).map_err(PumpEnd::Rejects)?;
                    batcher.cover(at, epoch, next, Instant::now());
                    None
                }
                Item::Nothing(_) => {
                    self.progress.empty.fetch_add(1, Ordering::Relaxed);
                    batcher.cover(at, epoch, next, Instant::now());
                    None
                }
            };
            if let Some(batch) = batch {
                self.send(&*items, at, batch)?;
            }
        }
        // Offsets without records may lie at the end.
        batcher.cover(at, epoch, items.place().next, Instant::now());
        self.places.cut(at, items.place());
        Ok(PartEnd::Finished(items.place()))
    }

    fn send(&self, items: &dyn Items, at: &TopicPartition, batch: Batch) -> Result<(), PumpEnd> {
        self.places.cut(at, items.place());
        self.batches.blocking_send(batch).map_err(|_| PumpEnd::Stopped)
    }
}
