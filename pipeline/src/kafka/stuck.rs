//! A partition of which the client fetches nothing, though the log goes on and other partitions are read.
//!
//! It is assigned anew after the limit. After as long again the process has to end with an error, so that whoever watches it
//! starts it again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::assignment::Assignment;
use crate::record::{Epoch, TopicPartition};

/// What is to be done about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    Reassign(Vec<TopicPartition>),
    GiveUp(TopicPartition),
}

#[derive(Debug)]
struct PartitionProgress {
    epoch: Epoch,
    position: i64,
    since: Instant,
    reassigned: bool,
}

/// Watches one consumer.
#[derive(Debug)]
pub(super) struct Stuck {
    /// `None`: nothing is ever done.
    limit: Option<Duration>,
    standing: BTreeMap<TopicPartition, PartitionProgress>,
    /// When any partition moved last.
    moved: Option<Instant>,
}

impl Stuck {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self { limit, standing: BTreeMap::new(), moved: None }
    }

    /// Takes in the partitions: how far behind the group is and what the client fetches next, in the order of the assignment.
    pub(super) fn look(
        &mut self,
        assignment: &Assignment,
        behind: &[Option<i64>],
        fetched: &[Option<i64>],
        now: Instant,
    ) -> Option<Remedy> {
        let limit = self.limit?;
        self.standing.retain(|at, _| assignment.iter().any(|held| held.at == *at));
        let mut again = Vec::new();
        for ((held, behind), fetched) in assignment.iter().zip(behind).zip(fetched) {
            let position = held.position();
            let fresh = |reassigned| PartitionProgress { epoch: held.epoch, position, since: now, reassigned };
            let standing = self.standing.entry(held.at.clone()).or_insert_with(|| fresh(false));
            if standing.epoch != held.epoch || standing.position != position {
                *standing = fresh(false);
                self.moved = Some(now);
                continue;
            }
            // Something is left to read, and nothing of it was fetched.
            let unread =
                behind.zip(held.finished.or(held.start)).is_some_and(|(behind, next)| next + behind > position);
            if !unread || fetched.is_some_and(|next| next > position) {
                *standing = fresh(standing.reassigned);
                continue;
            }
            let others_go_on = self.moved.is_some_and(|moved| moved > standing.since);
            if !others_go_on || now.saturating_duration_since(standing.since) < limit {
                continue;
            }
            if standing.reassigned {
                return Some(Remedy::GiveUp(held.at.clone()));
            }
            *standing = fresh(true);
            again.push(held.at.clone());
        }
        (!again.is_empty()).then_some(Remedy::Reassign(again))
    }

    /// Nothing is to be fetched now: time begins anew.
    pub(super) fn forget(&mut self) {
        self.standing.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::assignment::Assigned;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Partition 0 stands at 5 and partition 1 moves, or not; each holds ten records more.
    fn after(stuck: &mut Stuck, begun: Instant, seconds: u64, moves: bool, fetched: Option<i64>) -> Option<Remedy> {
        let mut assignment = Assignment::default();
        for (partition, position) in [(0, 5), (1, if moves { 5 + seconds as i64 } else { 5 })] {
            let mut held = Assigned::new(TopicPartition::new("t", partition), Epoch(1));
            held.finished = Some(position);
            held.note_poll(position - 1, position);
            assignment.add(held);
        }
        let now = begun + Duration::from_secs(seconds);
        stuck.look(&assignment, &[Some(10), Some(10)], &[fetched, None], now)
    }

    #[test]
    fn a_partition_that_is_not_fetched_is_assigned_anew_and_then_given_up() {
        let (mut stuck, begun, at) = (Stuck::new(Some(LIMIT)), Instant::now(), TopicPartition::new("t", 0));
        let remedies: Vec<(u64, Remedy)> = (0..=25)
            .filter_map(|seconds| after(&mut stuck, begun, seconds, true, Some(5)).map(|remedy| (seconds, remedy)))
            .take(2)
            .collect();
        assert_eq!(remedies, [(10, Remedy::Reassign(vec![at.clone()])), (20, Remedy::GiveUp(at))]);
    }

    #[test]
    fn what_was_fetched_and_what_stands_still_with_all_others_is_left_alone() {
        let begun = Instant::now();
        for (moves, fetched) in [(true, Some(7)), (false, Some(5))] {
            let mut stuck = Stuck::new(Some(LIMIT));
            for seconds in 0..100 {
                assert_eq!(after(&mut stuck, begun, seconds, moves, fetched), None, "{seconds}");
            }
        }
        let mut never = Stuck::new(None);
        for seconds in 0..100 {
            assert_eq!(after(&mut never, begun, seconds, true, Some(5)), None);
        }
    }
}
