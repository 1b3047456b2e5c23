//! The offset tracker: which batches are open, and how far each partition may be committed.
//!
//! It owns one slot a batch, in the order in which they begin, and waits for nothing. It guarantees that the frontier of
//! a partition never passes a batch of it that is not settled: an unfinished batch is a hole that stops the commit of
//! its partitions, and of no other.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::batcher::Span;
use crate::mutant;
use crate::record::{Epoch, TopicPartition};

/// Names a slot; slots are numbered in the order in which their batches begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(pub u64);

/// The next offset to read of a partition. It is valid for one assignment of the partition only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub epoch: Epoch,
    pub next: i64,
    /// As `next`, past what is parked: how far the partition has come, whether or not that may be committed.
    pub reached: i64,
}

/// How far each partition is finished.
pub type Frontier = BTreeMap<TopicPartition, Position>;

#[derive(Debug)]
struct Slot {
    spans: Vec<Span>,
    /// What its batch holds, taken away meanwhile or not: a request may still be on its way.
    held: Vec<TopicPartition>,
    settled: bool,
}

/// Open batches in order.
#[derive(Debug, Default)]
pub struct OffsetTracker {
    slots: VecDeque<Slot>,
    /// The number of the slot at the front.
    front: u64,
    frontier: Frontier,
}

impl OffsetTracker {
    /// Opens a slot for what a batch covers.
    pub fn open(&mut self, spans: Vec<Span>) -> Seq {
        let seq = Seq(self.front + self.slots.len() as u64);
        let held = spans.iter().map(|span| span.at.clone()).collect();
        self.slots.push_back(Slot { spans, held, settled: false });
        seq
    }

    /// Closes a slot: every record of its batch has its outcome. Returns whether the frontier moved.
    pub fn settle(&mut self, seq: Seq) -> bool {
        let Some(slot) = seq.0.checked_sub(self.front).and_then(|index| self.slots.get_mut(index as usize)) else {
            return false;
        };
        slot.settled = true;
        let mut moved = false;
        let mut unfinished: Vec<TopicPartition> = Vec::new();
        for slot in &mut self.slots {
            if !slot.settled {
                unfinished.extend(slot.spans.iter().map(|span| span.at.clone()));
                continue;
            }
            for span in slot.spans.extract_if(.., |span| !unfinished.contains(&span.at)) {
                moved = true;
                let position = Position { epoch: span.epoch, next: span.next, reached: span.next };
                self.frontier.insert(span.at, position);
            }
        }
        while self.slots.pop_front_if(|slot| slot.settled && slot.spans.is_empty()).is_some() {
            self.front += 1;
        }
        moved
    }

    /// Everything below these positions is finished.
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Takes revoked partitions out of every open slot and out of the frontier; a late settle then moves nothing of theirs.
    pub fn forget(&mut self, partitions: &[TopicPartition]) {
        if mutant!(LateSettle) {
            return;
        }
        for slot in &mut self.slots {
            slot.spans.retain(|span| !partitions.contains(&span.at));
        }
        self.frontier.retain(|at, _| !partitions.contains(at));
    }

    /// Whether a slot at or before the front of the line still covers one of these partitions.
    pub fn holds(&self, partitions: &[TopicPartition]) -> bool {
        self.slots.iter().any(|slot| slot.spans.iter().any(|span| partitions.contains(&span.at)))
    }

    /// Whether the batch of a slot that is not settled holds one of these spans' partitions, under whichever assignment.
    pub fn busy(&self, spans: &[Span]) -> bool {
        let open = self.slots.iter().filter(|slot| !slot.settled);
        open.flat_map(|slot| &slot.held).any(|held| spans.iter().any(|span| span.at == *held))
    }

    /// Slots that are open, or settled behind an open one.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}
