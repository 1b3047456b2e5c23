//! The nodes of a cluster, and which of them are sick.
//!
//! A node that failed (500, 502 to 504, a cut connection, no answer in time) is avoided for a growing time, then tried again.
//! It guarantees that there is always a node to ask: where all are sick, the one whose time is over first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

/// How long a node is avoided after its first failure; it doubles with each further one in a row.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Nodes<T> {
    nodes: Vec<(T, Mutex<NodeHealth>)>,
    turn: AtomicUsize,
}

#[derive(Debug, Default)]
struct NodeHealth {
    failures: u32,
    avoided_until: Option<Instant>,
}

impl<T> Nodes<T> {
    pub(super) fn new(nodes: impl IntoIterator<Item = T>) -> Self {
        Self { nodes: nodes.into_iter().map(|node| (node, Mutex::default())).collect(), turn: AtomicUsize::new(0) }
    }

    /// The node to ask now, each in turn. `None` where there are none.
    pub(super) fn next(&self) -> Option<(usize, &T)> {
        self.next_at(Instant::now())
    }

    fn next_at(&self, now: Instant) -> Option<(usize, &T)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.nodes.len().max(1);
        let wait = |place: usize| self.health(place)?.avoided_until.map(|until| until.saturating_duration_since(now));
        let order = (0..self.nodes.len()).map(|step| (turn.wrapping_add(step)) % count);
        let place = order.min_by_key(|&place| wait(place).unwrap_or_default())?;
        self.nodes.get(place).map(|(node, _)| (place, node))
    }

    /// Notes how a node answered.
    pub(super) fn note(&self, place: usize, failed: bool) {
        self.note_at(place, failed, Instant::now());
    }

    fn note_at(&self, place: usize, failed: bool, now: Instant) {
        let Some(mut health) = self.health(place) else { return };
        if failed {
            let pause = FIRST.saturating_mul(1 << health.failures.min(16)).min(LONGEST);
            *health = NodeHealth { failures: health.failures.saturating_add(1), avoided_until: Some(now + pause) };
        } else {
            *health = NodeHealth::default();
        }
    }

    fn health(&self, place: usize) -> Option<MutexGuard<'_, NodeHealth>> {
        self.nodes.get(place).map(|(_, health)| health.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sick_node_is_avoided_for_a_growing_time_and_tried_again() {
        let nodes = Nodes::new(["a", "b", "c"]);
        let now = Instant::now();
        let ask = |at: Instant| (0..6).map(|_| *nodes.next_at(at).unwrap().1).collect::<String>();
        assert_eq!(ask(now), "abcabc");
        nodes.note_at(1, true, now);
        assert!(!ask(now).contains('b'));
        assert!(ask(now + FIRST).contains('b'));
        nodes.note_at(1, true, now);
        assert!(!ask(now + FIRST).contains('b') && ask(now + 2 * FIRST).contains('b'));
        nodes.note_at(1, false, now);
        assert!(ask(now).contains('b'));
    }

    #[test]
    fn where_all_are_sick_the_one_that_was_sick_for_longest_is_asked() {
        let nodes = Nodes::new(["a", "b"]);
        let now = Instant::now();
        nodes.note_at(1, true, now);
        nodes.note_at(0, true, now + FIRST / 2);
        assert_eq!(nodes.next_at(now + FIRST / 2), Some((1, &"b")));
        assert_eq!(Nodes::<u8>::new([]).next(), None);
    }
}
