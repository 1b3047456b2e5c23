//! What the poll thread knows of the partitions that are assigned to it.

use std::sync::Arc;

use rdkafka::{Offset, TopicPartitionList};

use crate::ledger::Frontier;
use crate::mutants::{self, Mutant};
use crate::record::{Epoch, TopicPartition};

/// One assigned partition.
#[derive(Debug)]
pub(super) struct Assigned {
    pub at: TopicPartition,
    pub epoch: Epoch,
    /// Whether the end was polled since the partition was assigned, paused or resumed: what was fetched before is gone with that.
    pub end_seen: bool,
    /// Where the group stood when the assignment began: its committed offset, or the start of the log. `None` when not known.
    pub start: Option<i64>,
    /// Everything below was polled.
    pub polled: i64,
    /// Everything below was finished when last heard of.
    pub finished: Option<i64>,
}

/// The assigned partitions. Messages come in runs of one partition, so the last one found is tried first.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    partitions: Vec<Assigned>,
    last: usize,
    begun: bool,
}

impl Assignment {
    /// The group gave us our share, which may be nothing.
    pub(super) fn begin(&mut self) {
        self.begun = true;
    }

    /// Whether the group ever gave us our share.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    pub(super) fn add(&mut self, assigned: Assigned) {
        self.partitions.retain(|held| held.at != assigned.at);
        self.partitions.push(assigned);
    }

    pub(super) fn remove(&mut self, gone: &[TopicPartition]) {
        self.partitions.retain(|held| !gone.contains(&held.at));
    }

    pub(super) fn find(&mut self, topic: &str, partition: i32) -> Option<&mut Assigned> {
        let is = |held: &Assigned| held.at.partition == partition && &*held.at.topic == topic;
        if !self.partitions.get(self.last).is_some_and(is) {
            self.last = self.partitions.iter().position(is)?;
        }
        self.partitions.get_mut(self.last)
    }

    /// The end of a partition was polled. The event does not name the topic, so with several it says nothing.
    pub(super) fn saw_end(&mut self, partition: i32) {
        let mut held = self.partitions.iter_mut().filter(|held| held.at.partition == partition);
        if let (Some(only), None) = (held.next(), held.next()) {
            only.end_seen = true;
        }
    }

    /// What was fetched ahead is thrown away.
    pub(super) fn forget_ends(&mut self) {
        self.partitions.iter_mut().for_each(|held| held.end_seen = false);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Assigned> {
        self.partitions.iter()
    }

    /// Takes in how far the engine is; returns what may be stored for commit, if anything moved.
    pub(super) fn advance(&mut self, frontier: &Frontier) -> TopicPartitionList {
        let mut moved = TopicPartitionList::new();
        for held in &mut self.partitions {
            let Some(position) = frontier.get(&held.at) else { continue };
            let ours = position.epoch == held.epoch || mutants::on(Mutant::LateSettle);
            if ours && held.finished.is_none_or(|finished| finished < position.next) {
                held.finished = Some(position.next);
                add(&mut moved, &held.at, position.next);
            }
        }
        moved
    }

    /// Every partition at the offset that the group may be told, whether or not it was told before.
    pub(super) fn positions(&self) -> TopicPartitionList {
        let mut positions = TopicPartitionList::new();
        for held in &self.partitions {
            if let Some(next) = held.finished.or(held.start) {
                add(&mut positions, &held.at, next);
            }
        }
        positions
    }

    /// All partitions, without offsets.
    pub(super) fn list(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for held in &self.partitions {
            list.add_partition(&held.at.topic, held.at.partition);
        }
        list
    }
}

fn add(list: &mut TopicPartitionList, at: &TopicPartition, next: i64) {
    // Refused only for offsets that are no offsets, and these come from records.
    list.add_partition_offset(&at.topic, at.partition, Offset::Offset(next)).ok();
}

/// The partitions of a librdkafka list; `topics` are the subscribed names, shared by all records.
pub(super) fn partitions_of(list: &TopicPartitionList, topics: &[Arc<str>]) -> Vec<TopicPartition> {
    let named = |name: &str| topics.iter().find(|topic| &***topic == name).cloned().unwrap_or_else(|| name.into());
    list.elements().iter().map(|found| TopicPartition::new(named(found.topic()), found.partition())).collect()
}
