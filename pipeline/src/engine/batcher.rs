//! The batcher: cuts records into batches in poll order, across partitions.
//!
//! It owns the batch that is being filled and waits for nothing: time is passed in. It guarantees that a batch holds
//! records of one assignment a partition, and that its spans cover every offset polled since the last cut.

use std::time::{Duration, Instant};

use crate::record::{Epoch, Record, TopicPartition};

/// When a batch is cut: at whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    pub records: usize,
    pub bytes: usize,
    /// Since the first record of the batch was pushed.
    pub age: Duration,
}

/// What a batch covers of one partition: the offsets from `first` up to, not including, `next`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub at: TopicPartition,
    pub epoch: Epoch,
    pub first: i64,
    pub next: i64,
}

/// Records in poll order, and the spans of the log that they stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub records: Vec<Record>,
    pub spans: Vec<Span>,
    pub bytes: usize,
}

impl Batch {
    /// The assignment under which a record of this partition was polled.
    pub fn epoch(&self, at: &TopicPartition) -> Option<Epoch> {
        self.spans.iter().find(|span| span.at == *at).map(|span| span.epoch)
    }

    /// Takes the named partitions out: they belong to somebody else now.
    pub fn forget(&mut self, gone: impl Fn(&Span) -> bool) {
        let before = self.spans.len();
        self.spans.retain(|span| !gone(span));
        if self.spans.len() != before {
            let spans = &self.spans;
            self.records.retain(|record| spans.iter().any(|span| span.at == record.at));
            self.bytes = self.records.iter().map(Record::bytes).sum();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Takes out what it has of these partitions, as a batch of their own.
    pub fn split(&mut self, partitions: &[TopicPartition]) -> Self {
        let spans = self.spans.extract_if(.., |span| partitions.contains(&span.at)).collect();
        let records: Vec<Record> = self.records.extract_if(.., |record| partitions.contains(&record.at)).collect();
        let bytes = records.iter().map(Record::bytes).sum();
        self.bytes -= bytes;
        Self { records, spans, bytes }
    }
}

/// Fills one batch at a time.
#[derive(Debug)]
pub struct Batcher {
    limits: BatchLimits,
    batch: Batch,
    begun: Option<Instant>,
    /// The span that the last record fell into; records of a partition come in runs.
    last: usize,
}

impl Batcher {
    pub fn new(limits: BatchLimits) -> Self {
        Self { limits, batch: Batch::default(), begun: None, last: 0 }
    }

    /// Has batches cut at so many records from now on.
    pub fn set_records(&mut self, records: usize) {
        self.limits.records = records;
    }

    /// Adds a record; returns the batch when it is full by count or bytes.
    pub fn push(&mut self, record: Record, epoch: Epoch, now: Instant) -> Option<Batch> {
        self.extend(&record.at, epoch, record.offset, record.offset + 1, now);
        self.batch.bytes += record.bytes();
        self.batch.records.push(record);
        let full = self.batch.records.len() >= self.limits.records || self.batch.bytes >= self.limits.bytes;
        if full { self.cut() } else { None }
    }

    /// Notes that everything of the partition below `next` was polled, records or not: the log also holds offsets
    /// without records (transaction markers, aborted and compacted ones), and a commit has to get past them.
    pub fn cover(&mut self, at: &TopicPartition, epoch: Epoch, next: i64, now: Instant) {
        self.extend(at, epoch, next, next, now);
    }

    fn extend(&mut self, at: &TopicPartition, epoch: Epoch, first: i64, next: i64, now: Instant) {
        self.begun.get_or_insert(now);
        let known = match self.batch.spans.get(self.last) {
            Some(span) if span.at == *at => Some(self.last),
            _ => self.batch.spans.iter().position(|span| span.at == *at),
        };
        match known.and_then(|index| self.batch.spans.get_mut(index).map(|span| (index, span))) {
            Some((index, span)) => {
                self.last = index;
                span.next = span.next.max(next);
            }
            None => {
                self.last = self.batch.spans.len();
                self.batch.spans.push(Span { at: at.clone(), epoch, first, next });
            }
        }
    }

    /// When the batch has to be cut for its age; `None` while it is empty.
    pub fn due_at(&self) -> Option<Instant> {
        self.begun.map(|begun| begun + self.limits.age)
    }

    /// Cuts the batch as it is; `None` when it is empty.
    pub fn cut(&mut self) -> Option<Batch> {
        self.begun = None;
        self.last = 0;
        let batch = std::mem::take(&mut self.batch);
        (!batch.is_empty()).then_some(batch)
    }

    /// Drops what was polled of these partitions: they were revoked, and whoever has them next reads it again.
    pub fn forget(&mut self, partitions: &[TopicPartition]) {
        self.batch.forget(|span| partitions.contains(&span.at));
        self.last = 0;
        if self.batch.is_empty() {
            self.begun = None;
        }
    }
}
