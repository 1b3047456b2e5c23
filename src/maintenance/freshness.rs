//! How fresh the live consumer is: the time from when a record is in the log until its group has committed it, told from what the
//! brokers say again and again. Pure.
//!
//! A look at the log's end is a mark: what lies before it was produced after the look before. When the group's commit has passed the
//! mark, the time between is at least as long as any record took that came last. So it is never told too small, and at most too
//! large by the time between two looks and between two commits.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use pipeline::TopicPartition;
use pipeline::kafka::GroupPosition;
use tokio::time::Instant;

/// Marks of a partition that are kept while its commit does not move; the newest two are made one, with the age of the older.
const MARKS: usize = 256;

/// How long a measured time counts.
const COUNTS: Duration = Duration::from_secs(5);

/// An end of a partition.
#[derive(Clone, Copy, Debug)]
struct EndMark {
    end: i64,
    /// When it was not there yet; none where that is not known.
    since: Option<Instant>,
}

#[derive(Debug, Default)]
struct PartitionMarks {
    open: VecDeque<EndMark>,
    end: i64,
    /// How long the last ones took, and when that was known.
    took: Vec<(Instant, Duration)>,
}

/// What the looks come to.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    partitions: HashMap<TopicPartition, PartitionMarks>,
    last: Option<Instant>,
}

impl Freshness {
    /// Takes in a look at all partitions, and tells how fresh the group is; none while that is not known.
    pub(super) fn look(&mut self, positions: &[GroupPosition], now: Instant) -> Option<Duration> {
        let last = self.last.replace(now);
        let mut worst = Some(Duration::ZERO);
        for position in positions {
            let marks = self.partitions.entry(position.at.clone()).or_default();
            worst = worst.zip(marks.look(position, last, now)).map(|(one, other)| one.max(other));
        }
        worst
    }
}

impl PartitionMarks {
    fn look(&mut self, position: &GroupPosition, last: Option<Instant>, now: Instant) -> Option<Duration> {
        let committed = position.committed.unwrap_or(position.low);
        if position.high > self.end || last.is_none() {
            self.end = position.high;
            if position.high > committed || last.is_some() {
                self.open.push_back(EndMark { end: position.high, since: last });
            }
        }
        while let Some(mark) = self.open.front().copied().filter(|mark| mark.end <= committed) {
            self.open.pop_front();
            self.took.extend(mark.since.map(|since| (now, now.duration_since(since))));
        }
        if self.open.len() > MARKS
            && let Some(newest) = self.open.pop_back()
            && let Some(merged) = self.open.back_mut()
        {
            merged.end = newest.end;
        }
        self.took.retain(|(at, _)| now.duration_since(*at) <= COUNTS);
        let waits = match self.open.front() {
            Some(mark) => now.duration_since(mark.since?),
            None => Duration::ZERO,
        };
        Some(self.took.iter().map(|(_, took)| *took).max().unwrap_or_default().max(waits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(committed: i64, high: i64) -> Vec<GroupPosition> {
        vec![GroupPosition { at: TopicPartition::new("t", 0), low: 0, high, committed: Some(committed) }]
    }

    #[test]
    fn it_is_the_time_from_an_end_of_the_log_until_the_commit_has_passed_it() {
        let begun = Instant::now();
        let after = |ms| begun + Duration::from_millis(ms);
        let (mut fresh, ms) = (Freshness::default(), |ms| Some(Duration::from_millis(ms)));
        assert_eq!(fresh.look(&at(5, 5), after(0)), ms(0), "nothing waits");
        assert_eq!(fresh.look(&at(5, 8), after(500)), ms(500), "they came since the look before");
        assert_eq!(fresh.look(&at(7, 9), after(1_000)), ms(1_000), "one of them waits still");
        assert_eq!(fresh.look(&at(8, 9), after(1_500)), ms(1_500), "passed after so long, at most");
        assert_eq!(fresh.look(&at(9, 9), after(2_000)), ms(1_500));
        assert_eq!(fresh.look(&at(9, 9), after(6_600)), ms(1_500), "that of the last one counts for some seconds");
        assert_eq!(fresh.look(&at(9, 9), after(7_100)), ms(0));
    }

    #[test]
    fn what_waited_before_the_first_look_has_no_known_age() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut fresh = Freshness::default();
        assert_eq!(fresh.look(&at(3, 9), after(0)), None);
        assert_eq!(fresh.look(&at(8, 12), after(1)), None);
        assert_eq!(fresh.look(&at(9, 12), after(2)), Some(Duration::from_secs(2)), "from here on it is known");
    }

    #[test]
    fn a_consumer_that_stands_still_gets_older_with_each_look() {
        let begun = Instant::now();
        let mut fresh = Freshness::default();
        fresh.look(&at(0, 0), begun);
        for second in 1..2_000 {
            let now = begun + Duration::from_secs(second);
            assert_eq!(fresh.look(&at(0, second as i64), now), Some(Duration::from_secs(second)));
        }
    }
}
