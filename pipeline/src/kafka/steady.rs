//! Whether the group is steady: its coordinator answers, and nobody holds a rebalance up.
//!
//! A member without partitions in a steady group is a spare one, and well. While a rebalance hangs nobody may read.

use std::time::{Duration, Instant};

use rdkafka::statistics::ConsumerGroup;

use crate::status::Status;

/// Watches one consumer.
#[derive(Debug)]
pub(super) struct Steady {
    group: String,
    session: Duration,
    unsteady: Option<Instant>,
}

impl Steady {
    pub(super) fn new(group: &str, session: Duration) -> Self {
        Self { group: group.to_owned(), session, unsteady: None }
    }

    /// Takes in what the client says of its group; the states are those of librdkafka's statistics.
    pub(super) fn look(&mut self, cgrp: Option<&ConsumerGroup>, now: Instant, status: &Status) -> bool {
        let Some(cgrp) = cgrp else { return false };
        let coordinated = cgrp.state == "up";
        if coordinated && cgrp.join_state == "steady" {
            self.unsteady = None;
            status.clear("group");
            return true;
        }
        let since = *self.unsteady.get_or_insert(now);
        if now.saturating_duration_since(since) > self.session {
            let (group, seconds) = (&self.group, self.session.as_secs());
            let why = if coordinated {
                format!("the group {group} is being rebalanced for longer than {seconds} s: another member may hang")
            } else {
                format!("the coordinator of the group {group} does not answer for longer than {seconds} s")
            };
            status.raise("group", why);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(state: &str, join_state: &str) -> ConsumerGroup {
        ConsumerGroup { state: state.to_owned(), join_state: join_state.to_owned(), ..ConsumerGroup::default() }
    }

    #[test]
    fn a_group_is_unsteady_for_a_session_before_it_is_trouble() {
        let (status, begun) = (Status::of("s"), Instant::now());
        let mut steady = Steady::new("g", Duration::from_secs(6));
        let mut look = |seconds, state, join| {
            let seen = steady.look(Some(&group(state, join)), begun + Duration::from_secs(seconds), &status);
            (seen, status.standing().into_iter().map(|reason| reason.why).collect::<String>())
        };
        assert_eq!(look(0, "up", "steady"), (true, String::new()));
        assert_eq!(look(1, "up", "wait-join"), (false, String::new()));
        assert_eq!(look(7, "up", "wait-sync"), (false, String::new()));
        assert!(look(8, "up", "wait-sync").1.contains("rebalanced"));
        assert!(look(9, "wait-coord", "init").1.contains("coordinator"));
        assert_eq!(look(10, "up", "steady"), (true, String::new()));
    }
}
