//! What the poll thread knows of the partitions that are assigned to it.

use std::sync::Arc;

use rdkafka::statistics::{Partition, Statistics};
use rdkafka::{Offset, TopicPartitionList};

use super::gaps::Gaps;
use super::offsets::PartitionOffsets;
use crate::mutant;
use crate::offsets::offset_tracker::Frontier;
use crate::record::{Epoch, TopicPartition};

/// One assigned partition.
#[derive(Debug)]
pub(super) struct Assigned {
    pub at: TopicPartition,
    pub epoch: Epoch,
    /// Whether the end was polled since the partition was assigned, paused or resumed: what was fetched before is gone with that.
    pub end_seen: bool,
    /// Where the group stood when the assignment began: its committed offset, or the start of the log. `None` while not
    /// known; nothing is committed then.
    pub start: Option<i64>,
    /// Everything below was polled; `None` while nothing was and the start is not known.
    polled: Option<i64>,
    /// The first offset that was polled while the start was not known.
    began: Option<i64>,
    /// What was not read, and not explained yet.
    pub gaps: Gaps,
    /// The group's offset belongs to a log that is gone, and is being taken back.
    pub taking_back: bool,
    /// Everything below has its outcome.
    settled: Option<i64>,
    /// How far the partition has come while something of it is parked, which keeps the commit back.
    pub beyond: Option<i64>,
    /// Everything below was finished and explained when last heard of: what the group may be told.
    pub finished: Option<i64>,
}

impl Assigned {
    pub(super) fn new(at: TopicPartition, epoch: Epoch) -> Self {
        Self {
            at,
            epoch,
            end_seen: false,
            start: None,
            polled: None,
            began: None,
            gaps: Gaps::default(),
            taking_back: false,
            settled: None,
            beyond: None,
            finished: None,
        }
    }

    /// A record was polled, or the log was seen to skip to here; `next` comes after it.
    pub(super) fn note_poll(&mut self, offset: i64, next: i64) {
        match self.polled {
            Some(polled) if offset > polled && !mutant!(GapIgnored) => self.gaps.note(polled, offset),
            Some(_) => {}
            None => self.began = Some(offset),
        }
        self.polled = Some(next);
    }

    /// The next offset to poll; -1 while it is not known.
    pub(super) fn position(&self) -> i64 {
        self.polled.unwrap_or(-1)
    }

    /// Whether everything below an offset was polled.
    pub(super) fn covers(&self, end: i64) -> bool {
        self.polled.is_some_and(|polled| polled >= end)
    }

    /// Takes in where the group stands. Returns the offset to read and commit instead when the group's belongs to a log
    /// that is gone.
    pub(super) fn begin(&mut self, found: &PartitionOffsets) -> Option<i64> {
        let began = self.began.take();
        let Some(committed) = found.committed else {
            self.start = Some(began.unwrap_or(found.low));
            self.polled = self.polled.or(self.start);
            return None;
        };
        // The client goes below the group's offset only where the log does not reach up to it.
        let anew =
            began.map_or_else(|| (committed > found.high).then_some(found.low), |at| (at < committed).then_some(at));
        if let Some(low) = anew {
            self.start = Some(low);
            self.polled = self.polled.or(self.start);
            self.taking_back = true;
            return anew;
        }
        self.start = Some(committed);
        let next = began.unwrap_or(found.low);
        if next > committed && !mutant!(GapIgnored) {
            self.gaps.note_first(committed, next);
        }
        if began.is_none() {
            // Nothing is left of what stood between the two, so it is finished.
            self.settled = (found.low > committed).then_some(found.low);
            self.polled = Some(committed.max(found.low));
        }
        None
    }

    /// What the group may be told now, if that is more than it was told.
    fn release(&mut self) -> Option<i64> {
        let (settled, start) = (self.settled?, self.start?);
        let next = self.gaps.limit().map_or(settled, |limit| limit.min(settled));
        let moved = !self.taking_back && self.finished.unwrap_or(start - 1) < next && next >= start;
        moved.then(|| *self.finished.insert(next))
    }
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
    pub(super) fn has_begun(&self) -> bool {
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

    /// The partition, if it is still assigned as it was then.
    pub(super) fn under(&mut self, at: &TopicPartition, epoch: Epoch) -> Option<&mut Assigned> {
        self.partitions.iter_mut().find(|held| held.at == *at && held.epoch == epoch)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Assigned> {
        self.partitions.iter_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Assigned> {
        self.partitions.iter()
    }

    /// Takes in how far the engine is; returns what may be stored for commit, if anything moved.
    pub(super) fn advance(&mut self, frontier: &Frontier) -> TopicPartitionList {
        for held in &mut self.partitions {
            let Some(position) = frontier.get(&held.at) else { continue };
            if position.epoch == held.epoch || mutant!(LateSettle) {
                held.settled = held.settled.max(Some(position.next));
                held.beyond = (position.reached > position.next).then_some(position.reached);
            }
        }
        self.release()
    }

    /// What may be stored for commit, if anything moved: a gap may have been explained.
    pub(super) fn release(&mut self) -> TopicPartitionList {
        let mut moved = TopicPartitionList::new();
        for held in &mut self.partitions {
            if let Some(next) = held.release() {
                add(&mut moved, &held.at, next);
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

    /// All partitions.
    pub(super) fn partitions(&self) -> Vec<TopicPartition> {
        self.partitions.iter().map(|held| held.at.clone()).collect()
    }

    /// All partitions, without offsets, as librdkafka takes them.
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

/// What the client's statistics say of a partition.
pub(super) fn of<'s>(statistics: &'s Statistics, at: &TopicPartition) -> Option<&'s Partition> {
    statistics.topics.get(&*at.topic)?.partitions.get(&at.partition)
}

/// The first few of these partitions, and how many more there are.
pub(super) fn join_names(partitions: &[&TopicPartition]) -> String {
    const NAMED: usize = 3;
    let first: Vec<String> = partitions.iter().take(NAMED).map(ToString::to_string).collect();
    let more = partitions.len().saturating_sub(NAMED);
    let others = if more > 0 { format!(" and {more} more") } else { String::new() };
    first.join(", ") + &others
}

/// The partitions of a librdkafka list; `topics` are the subscribed names, shared by all records.
pub(super) fn partitions_of(list: &TopicPartitionList, topics: &[Arc<str>]) -> Vec<TopicPartition> {
    let named = |name: &str| topics.iter().find(|topic| &***topic == name).cloned().unwrap_or_else(|| name.into());
    list.elements().iter().map(|found| TopicPartition::new(named(found.topic()), found.partition())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::offset_tracker::Position;

    const EPOCH: Epoch = Epoch(1);

    fn one() -> (Assignment, TopicPartition) {
        let at = TopicPartition::new("t", 0);
        let mut assignment = Assignment::default();
        assignment.add(Assigned::new(at.clone(), EPOCH));
        (assignment, at)
    }

    fn told(list: &TopicPartitionList) -> Option<Offset> {
        list.elements().first().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset)
    }

    fn settled(assignment: &mut Assignment, at: &TopicPartition, next: i64) -> Option<Offset> {
        let frontier = Frontier::from([(at.clone(), Position { epoch: EPOCH, next, reached: next })]);
        told(&assignment.advance(&frontier))
    }

    fn found(committed: Option<i64>, low: i64, high: i64) -> PartitionOffsets {
        PartitionOffsets { committed, low, high }
    }

    #[test]
    fn nothing_is_committed_before_the_start_is_known() {
        let (mut assignment, at) = one();
        assignment.find("t", 0).unwrap().note_poll(40, 41);
        assert_eq!(settled(&mut assignment, &at, 41), None);
        assert_eq!(assignment.positions().count(), 0);
        assert_eq!(assignment.find("t", 0).unwrap().begin(&found(Some(40), 0, 50)), None);
        assert_eq!(told(&assignment.release()), Some(Offset::Offset(41)));
    }

    #[test]
    fn a_start_that_is_told_late_shows_what_was_skipped() {
        let (mut assignment, at) = one();
        assignment.find("t", 0).unwrap().note_poll(40, 41);
        settled(&mut assignment, &at, 41);
        let held = assignment.find("t", 0).unwrap();
        held.begin(&found(Some(30), 40, 50));
        held.gaps.ask();
        held.gaps.answer(40);
        let loss = *held.gaps.losses().first().unwrap();
        assert_eq!((loss.first, loss.next, loss.lost), (30, 40, 10));
        // The group is told no more than it knows already until the loss is written down.
        assert_eq!(told(&assignment.release()), Some(Offset::Offset(30)));
        assignment.find("t", 0).unwrap().gaps.note_written(&loss);
        assert_eq!(told(&assignment.release()), Some(Offset::Offset(41)));
    }

    #[test]
    fn a_log_that_was_emptied_is_passed_without_a_record() {
        let (mut assignment, _) = one();
        let held = assignment.find("t", 0).unwrap();
        held.begin(&found(Some(30), 100, 100));
        held.gaps.ask();
        held.gaps.answer(100);
        let loss = *held.gaps.losses().first().unwrap();
        assert_eq!(loss.lost, 70);
        held.gaps.note_written(&loss);
        assert_eq!(told(&assignment.release()), Some(Offset::Offset(100)));
    }

    #[test]
    fn a_topic_made_anew_is_read_from_its_start_and_commits_wait_for_the_old_offset_to_go() {
        for polled in [false, true] {
            let (mut assignment, at) = one();
            let held = assignment.find("t", 0).unwrap();
            if polled {
                held.note_poll(0, 1);
            }
            assert_eq!(held.begin(&found(Some(900), 0, 5)), Some(0));
            assert_eq!(settled(&mut assignment, &at, 1), None);
            assignment.find("t", 0).unwrap().taking_back = false;
            assert_eq!(told(&assignment.release()), Some(Offset::Offset(1)));
        }
    }

    #[test]
    fn a_gap_holds_the_commit_up_until_it_is_explained() {
        let (mut assignment, at) = one();
        let held = assignment.find("t", 0).unwrap();
        held.begin(&found(None, 0, 10));
        held.note_poll(0, 1);
        held.note_poll(5, 6);
        assert_eq!(settled(&mut assignment, &at, 6), Some(Offset::Offset(1)));
        let held = assignment.find("t", 0).unwrap();
        held.gaps.ask();
        held.gaps.answer(0);
        assert_eq!(told(&assignment.release()), Some(Offset::Offset(6)));
    }
}
