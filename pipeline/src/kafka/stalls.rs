//! Whether records that are there get outcomes, partition by partition.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::assignment::{Assignment, join_names};
use crate::record::{Epoch, TopicPartition};
use crate::status::Status;

/// A backlog of which nothing is finished for this long is trouble.
const NOTHING: Duration = Duration::from_secs(60);
/// The same for one partition while others go on: records of a slow store wait their turn.
const NOTHING_OF_ONE: Duration = Duration::from_secs(120);

#[derive(Debug)]
struct Stall {
    epoch: Epoch,
    next: Option<i64>,
    since: Instant,
}

/// Watches one consumer.
#[derive(Debug, Default)]
pub(super) struct Stalls(BTreeMap<TopicPartition, Stall>);

impl Stalls {
    /// Takes in where each partition is, and how far behind, in the order of the assignment.
    pub(super) fn look(&mut self, assignment: &Assignment, behind: &[Option<i64>], now: Instant, status: &Status) {
        self.0.retain(|at, _| assignment.iter().any(|held| held.at == *at));
        let (mut still, mut waiting) = (Vec::new(), 0);
        for (held, behind) in assignment.iter().zip(behind) {
            let next = held.beyond.or(held.finished).or(held.start);
            let fresh = || Stall { epoch: held.epoch, next, since: now };
            let standing = self.0.entry(held.at.clone()).or_insert_with(fresh);
            // What is parked waits for its time: no trouble while all else that was polled is finished.
            let parked = held.beyond.is_some_and(|beyond| beyond == held.position());
            if standing.epoch != held.epoch || standing.next != next || *behind == Some(0) || parked {
                *standing = fresh();
            }
            if behind.is_some_and(|behind| behind > 0) {
                waiting += 1;
                still.push((&held.at, now.saturating_duration_since(standing.since)));
            }
        }
        let over = |limit: Duration| -> Vec<&TopicPartition> {
            still.iter().filter(|(_, since)| *since > limit).map(|(at, _)| *at).collect()
        };
        let longest = still.iter().map(|(_, since)| since.as_secs() / 60).max().unwrap_or(0);
        if waiting > 0 && over(NOTHING).len() == waiting {
            status.raise("progress", format!("no record finished for {longest} min with a backlog"));
            return;
        }
        match over(NOTHING_OF_ONE) {
            stuck if stuck.is_empty() => status.clear("progress"),
            stuck => {
                let names = join_names(&stuck);
                status.raise("progress", format!("no record of {names} finished for {longest} min with a backlog"));
            }
        }
    }

    /// Nothing has to go on now: time begins anew.
    pub(super) fn forget(&mut self, status: &Status) {
        self.0.clear();
        status.clear("progress");
    }
}

#[cfg(test)]
mod tests {
    use super::super::assignment::Assigned;
    use super::*;

    fn held(partition: i32, finished: i64) -> Assigned {
        let mut held = Assigned::new(TopicPartition::new("t", partition), Epoch(1));
        held.finished = Some(finished);
        held
    }

    fn why(status: &Status) -> String {
        status.standing().into_iter().map(|reason| reason.why).collect()
    }

    #[test]
    fn one_partition_that_stands_still_is_named_while_others_go_on() {
        let (mut stalls, status, begun) = (Stalls::default(), Status::of("s"), Instant::now());
        for seconds in 0..=125 {
            let mut assignment = Assignment::default();
            assignment.add(held(0, 10));
            assignment.add(held(1, seconds));
            let now = begun + Duration::from_secs(seconds.unsigned_abs());
            stalls.look(&assignment, &[Some(5), Some(5)], now, &status);
            let red = !why(&status).is_empty();
            assert_eq!(red, seconds > 120, "{seconds}: {}", why(&status));
        }
        assert!(why(&status).contains("t[0]") && !why(&status).contains("t[1]"), "{}", why(&status));
    }

    #[test]
    fn a_partition_that_goes_on_past_what_is_parked_does_not_stand_still() {
        let (mut stalls, status, begun) = (Stalls::default(), Status::of("s"), Instant::now());
        let look = |stalls: &mut Stalls, seconds: u64, beyond, polled| {
            let mut held = held(0, 10);
            held.beyond = Some(beyond);
            held.note_poll(0, polled);
            let mut assignment = Assignment::default();
            assignment.add(held);
            stalls.look(&assignment, &[Some(5)], begun + Duration::from_secs(seconds), &status);
            why(&status)
        };
        for seconds in 0..=200 {
            assert_eq!(look(&mut stalls, seconds, 11 + seconds as i64, 1_000), "", "others go on");
        }
        for seconds in 200..=400 {
            assert_eq!(look(&mut stalls, seconds, 300, 300), "", "nothing else is there");
        }
        assert_eq!(look(&mut stalls, 401, 300, 1_000), "");
        assert!(look(&mut stalls, 462, 300, 1_000).contains("no record finished"), "what was polled does not go on");
    }

    #[test]
    fn all_of_a_backlog_that_stands_still_is_trouble_sooner_and_its_end_is_none() {
        let (mut stalls, status, begun) = (Stalls::default(), Status::of("s"), Instant::now());
        let mut assignment = Assignment::default();
        assignment.add(held(0, 10));
        assignment.add(held(1, 10));
        let at = |seconds| begun + Duration::from_secs(seconds);
        stalls.look(&assignment, &[Some(5), Some(0)], at(0), &status);
        stalls.look(&assignment, &[Some(5), Some(0)], at(59), &status);
        assert_eq!(why(&status), "");
        stalls.look(&assignment, &[Some(5), Some(0)], at(61), &status);
        assert!(why(&status).contains("no record finished"), "{}", why(&status));
        stalls.look(&assignment, &[Some(0), Some(0)], at(62), &status);
        assert_eq!(why(&status), "");
        // A lag that nobody can tell is no backlog; it has a reason of its own.
        stalls.look(&assignment, &[None, None], at(200), &status);
        assert_eq!(why(&status), "");
    }
}
