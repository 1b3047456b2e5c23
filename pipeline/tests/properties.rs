//! Properties of the pure parts: the batcher against what was pushed, the offsets against a naive model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test program")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pipeline::engine::batcher::{Batch, BatchLimits, Batcher, Span};
use pipeline::offsets::offset_tracker::{OffsetTracker, Seq};
use pipeline::{Epoch, Record, TopicPartition};
use proptest::prelude::*;

fn at(partition: usize) -> TopicPartition {
    TopicPartition::new("topic", partition as i32)
}

fn record(partition: usize, offset: i64, size: usize) -> Record {
    let payload = Some(Bytes::from(vec![b'x'; size]));
    Record { at: at(partition), offset, timestamp_ms: None, key: None, payload, headers: Vec::new() }
}

#[derive(Clone, Debug)]
enum Poll {
    Record {
        partition: usize,
        size: usize,
    },
    /// Offsets without records.
    Gap {
        partition: usize,
        offsets: i64,
    },
    Tick(u64),
    /// Revoked and assigned again, read from `back` offsets before.
    Return {
        partition: usize,
        back: i64,
    },
}

fn poll() -> impl Strategy<Value = Poll> {
    prop_oneof![
        6 => (0..3usize, 0..400usize).prop_map(|(partition, size)| Poll::Record { partition, size }),
        1 => (0..3usize, 1..5i64).prop_map(|(partition, offsets)| Poll::Gap { partition, offsets }),
        2 => (1..80u64).prop_map(Poll::Tick),
        1 => (0..3usize, 0..5i64).prop_map(|(partition, back)| Poll::Return { partition, back }),
    ]
}

/// A batcher with what it was given since the last cut.
struct Batching {
    limits: BatchLimits,
    batcher: Batcher,
    pushed: Vec<Record>,
    /// First and next offset of each partition since the last cut.
    covered: BTreeMap<usize, (i64, i64)>,
    next: [i64; 3],
    epochs: [u64; 3],
    begun: Option<Instant>,
}

impl Batching {
    fn check(&mut self, batch: Batch, full: bool) {
        assert_eq!(batch.records, self.pushed, "records in are records out, in order");
        assert_eq!(batch.bytes, self.pushed.iter().map(Record::bytes).sum::<usize>());
        let (records, bytes) = (batch.records.len(), batch.bytes);
        assert!(records <= self.limits.records);
        let without_last = bytes - batch.records.last().map_or(0, Record::bytes);
        assert!(without_last < self.limits.bytes || records == 0, "the batch was full before its last record");
        if full {
            assert!(records == self.limits.records || bytes >= self.limits.bytes);
        }
        assert_eq!(batch.spans.len(), self.covered.len());
        for span in &batch.spans {
            let partition = span.at.partition as usize;
            assert_eq!(span.epoch, Epoch(self.epochs[partition]));
            assert_eq!((span.first, span.next), self.covered[&partition]);
        }
        self.pushed.clear();
        self.covered.clear();
        self.begun = None;
    }

    fn cover(&mut self, partition: usize, first: i64, now: Instant) {
        self.begun.get_or_insert(now);
        let next = self.next[partition];
        self.covered.entry(partition).and_modify(|(_, end)| *end = next).or_insert((first, next));
    }

    fn step(&mut self, poll: &Poll, now: Instant) {
        match *poll {
            Poll::Record { partition, size } => {
                let offset = self.next[partition];
                self.next[partition] += 1;
                let record = record(partition, offset, size);
                self.cover(partition, offset, now);
                self.pushed.push(record.clone());
                if let Some(batch) = self.batcher.push(record, Epoch(self.epochs[partition]), now) {
                    self.check(batch, true);
                }
            }
            Poll::Gap { partition, offsets } => {
                self.next[partition] += offsets;
                self.cover(partition, self.next[partition], now);
                self.batcher.cover(&at(partition), Epoch(self.epochs[partition]), self.next[partition], now);
            }
            Poll::Tick(_) => {}
            Poll::Return { partition, back } => {
                self.batcher.forget(&[at(partition)]);
                self.pushed.retain(|record| record.at.partition as usize != partition);
                self.covered.remove(&partition);
                if self.covered.is_empty() {
                    self.begun = None;
                }
                self.epochs[partition] += 1;
                self.next[partition] = (self.next[partition] - back).max(0);
            }
        }
        assert_eq!(self.batcher.due_at(), self.begun.map(|begun| begun + self.limits.age));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_batcher_gives_what_it_got(
        polls in prop::collection::vec(poll(), 1..200),
        records in 1..30usize,
        bytes in 1..8_000usize,
    ) {
        let limits = BatchLimits { records, bytes, age: Duration::from_millis(50) };
        let mut batching = Batching {
            limits,
            batcher: Batcher::new(limits),
            pushed: Vec::new(),
            covered: BTreeMap::new(),
            next: [0; 3],
            epochs: [1; 3],
            begun: None,
        };
        let mut now = Instant::now();
        for poll in &polls {
            if let Poll::Tick(millis) = poll {
                now += Duration::from_millis(*millis);
                if batching.batcher.due_at().is_some_and(|due| due <= now) {
                    let batch = batching.batcher.cut().expect("what is due is not empty");
                    batching.check(batch, false);
                }
            }
            batching.step(poll, now);
        }
        if let Some(batch) = batching.batcher.cut() {
            batching.check(batch, false);
        }
        assert!(batching.pushed.is_empty() && batching.batcher.cut().is_none());
    }
}

#[derive(Clone, Debug)]
enum Move {
    /// A batch with the next offsets of some partitions.
    Open(Vec<(usize, i64)>),
    /// Settles one of the batches opened so far, perhaps again.
    Settle(usize),
    /// Partitions leave and return, to be read from the commit.
    Forget(Vec<usize>),
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => prop::collection::btree_map(0..3usize, 1..10i64, 1..3).prop_map(|m| Move::Open(m.into_iter().collect())),
        4 => (0..100usize).prop_map(Move::Settle),
        1 => prop::collection::btree_set(0..3usize, 1..3).prop_map(|s| Move::Forget(s.into_iter().collect())),
    ]
}

/// One batch as the naive model has it: what it covers, whether it is settled.
struct Opened {
    seq: Seq,
    spans: Vec<Span>,
    settled: bool,
}

/// The furthest that a partition may be committed: up to its first batch that is not settled.
fn naive(opened: &[Opened], partition: usize, epoch: u64) -> Option<i64> {
    let of_it = |span: &&Span| span.at == at(partition) && span.epoch == Epoch(epoch);
    let its = opened.iter().filter_map(|batch| Some((batch.settled, batch.spans.iter().find(of_it)?.next)));
    its.take_while(|(settled, _)| *settled).map(|(_, next)| next).last()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_never_passes_a_batch_that_is_not_settled(moves in prop::collection::vec(moves(), 1..150)) {
        let mut offsets = OffsetTracker::default();
        let mut opened: Vec<Opened> = Vec::new();
        let mut epochs = [1u64; 3];
        let mut next = [0i64; 3];
        for step in moves {
            match step {
                Move::Open(covers) => {
                    let mut spans = Vec::new();
                    for (partition, offsets) in covers {
                        let first = next[partition];
                        next[partition] += offsets;
                        let (epoch, next) = (Epoch(epochs[partition]), next[partition]);
                        spans.push(Span { at: at(partition), epoch, first, next });
                    }
                    let seq = offsets.open(spans.clone());
                    assert!(opened.last().is_none_or(|last| last.seq < seq));
                    opened.push(Opened { seq, spans, settled: false });
                }
                Move::Settle(which) if !opened.is_empty() => {
                    let index = which % opened.len();
                    let before = offsets.frontier().clone();
                    let moved = offsets.settle(opened[index].seq);
                    opened[index].settled = true;
                    assert!(moved || before == *offsets.frontier());
                }
                Move::Settle(_) => {}
                Move::Forget(partitions) => {
                    let gone: Vec<TopicPartition> = partitions.iter().map(|partition| at(*partition)).collect();
                    offsets.forget(&gone);
                    for partition in partitions {
                        next[partition] = naive(&opened, partition, epochs[partition]).unwrap_or(0);
                        epochs[partition] += 1;
                    }
                    assert!(!offsets.holds(&gone));
                }
            }
            for (partition, epoch) in epochs.into_iter().enumerate() {
                let position = offsets.frontier().get(&at(partition));
                assert_eq!(position.map(|p| p.next), naive(&opened, partition, epoch));
                assert!(position.is_none_or(|p| p.epoch == Epoch(epoch)), "a position of an older assignment");
                let busy = opened.iter().filter(|b| !b.settled).flat_map(|b| &b.spans).any(|s| s.at == at(partition));
                let span = Span { at: at(partition), epoch: Epoch(epoch), first: 0, next: 0 };
                assert_eq!(offsets.busy(&[span]), busy);
            }
        }
        for batch in &mut opened {
            offsets.settle(batch.seq);
            batch.settled = true;
        }
        assert!(offsets.is_empty());
    }
}
