//! The history of an audit as a part of a backfill: page by page in the order of its keys, without a snapshot. What is added behind
//! the reader's back may be left out; the live consumer of the target has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pipeline::{Record, TopicPartition};
use tokio::runtime::Handle;

use super::parts::{Item, Items, PartError, Place, SourceIdentity, SourcePart};
use crate::stores::erased::is_erased;
use crate::stores::reader::{EventKey, StoreReader};

/// Events in one page.
const PAGE: i64 = 2_000;

/// An audit.
pub struct HistoryPart {
    reader: Arc<dyn StoreReader>,
    runtime: Handle,
    name: String,
    identity: SourceIdentity,
    at: TopicPartition,
    /// The time of the records, in milliseconds since 1970.
    time_ms: i64,
}

impl HistoryPart {
    /// Of the store that is called so. Must be called inside a tokio runtime.
    pub fn new(reader: Arc<dyn StoreReader>, store: String, time_ms: i64) -> Self {
        let name = format!("audit:{store}");
        let identity = SourceIdentity::History { store };
        Self { reader, runtime: Handle::current(), name, identity, at: TopicPartition::new("audit:", 0), time_ms }
    }
}

impl SourcePart for HistoryPart {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> &SourceIdentity {
        &self.identity
    }

    fn at(&self) -> &TopicPartition {
        &self.at
    }

    fn size(&self) -> u64 {
        0
    }

    fn start(&self) -> Place {
        Place { next: 1, byte: 0, key: None }
    }

    fn open(&self, from: &Place, read: Arc<AtomicU64>) -> Result<Box<dyn Items + '_>, PartError> {
        Ok(Box::new(HistoryItems { part: self, page: Vec::new().into_iter(), place: from.clone(), read }))
    }
}

struct HistoryItems<'p> {
    part: &'p HistoryPart,
    page: std::vec::IntoIter<(EventKey, Record)>,
    place: Place,
    read: Arc<AtomicU64>,
}

impl Items for HistoryItems<'_> {
    fn next(&mut self) -> Result<Option<Item>, PartError> {
        if self.page.len() == 0 {
            let after = self.place.key.clone().unwrap_or_default();
            // On the thread that reads, which is none of the runtime's.
            let page = self.part.runtime.block_on(self.part.reader.events_after(&after, PAGE));
            let page = page.map_err(|failure| PartError::Store(failure.why.into_owned()))?;
            self.page = page.unwrap_or_default().into_iter();
        }
        let Some((key, record)) = self.page.next() else { return Ok(None) };
        let number = self.place.next;
        self.place = Place { next: number + 1, byte: 0, key: Some(key) };
        self.read.fetch_add(record.bytes() as u64, Ordering::Relaxed);
        // Its person was erased, and nothing of it is left.
        if is_erased(&record) {
            return Ok(Some(Item::Nothing(number)));
        }
        let (at, timestamp_ms) = (self.part.at.clone(), Some(self.part.time_ms));
        Ok(Some(Item::Record(Record { at, offset: number, timestamp_ms, ..record })))
    }

    fn place(&self) -> Place {
        self.place.clone()
    }
}
