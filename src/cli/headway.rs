//! What `bench` hears of a program that it measures: each move of what is finished, with its time, as a line on stdout.
//!
//! It looks at the frontier that the engine publishes for the poll thread, once a batch. So it costs nothing a record, and
//! nothing at all where it was not asked for. The program stops at the end of its stdin: it does not outlive who watches it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::{SystemTime, UNIX_EPOCH};

use pipeline::offsets::offset_tracker::Frontier;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::members::Member;
use super::{CommandFailure, print_json};

/// A move of the frontier of one consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Headway {
    /// Microseconds since 1970.
    pub at: u64,
    /// The next offset of each partition that moved: everything before it is in the store, or is a dead letter that the broker
    /// has.
    pub next: BTreeMap<i32, i64>,
}

/// Microseconds since 1970.
pub(super) fn wall_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

/// Prints the moves of the first consumer, and cancels `stop` at the end of stdin, until it is dropped.
pub(super) fn tell(members: &[Member], stop: &CancellationToken) -> Result<AbortOnDropHandle<()>, CommandFailure> {
    let first = members.first().ok_or_else(|| CommandFailure::usage("--headway needs a system"))?;
    let frontier = first.current().now().frontier;
    let stop = stop.clone();
    let hear = move || {
        // Whatever is said, and whatever fails: the end is what counts.
        std::io::stdin().lock().read_to_end(&mut Vec::new()).ok();
        stop.cancel();
    };
    let failed = |error| CommandFailure::internal(format!("stdin cannot be heard: {error}"));
    std::thread::Builder::new().name("headway".into()).spawn(hear).map_err(failed)?;
    Ok(AbortOnDropHandle::new(tokio::spawn(print(frontier))))
}

async fn print(mut frontier: watch::Receiver<Frontier>) {
    let mut before = BTreeMap::new();
    while frontier.changed().await.is_ok() {
        let at = wall_micros();
        let next = moves(&mut before, &frontier.borrow_and_update());
        if !next.is_empty() && print_json(&Headway { at, next }).is_err() {
            return;
        }
    }
}

/// The partitions whose position is not the one of before.
fn moves(before: &mut BTreeMap<i32, i64>, frontier: &Frontier) -> BTreeMap<i32, i64> {
    let next = frontier.iter().map(|(at, position)| (at.partition, position.next));
    next.filter(|(partition, next)| before.insert(*partition, *next) != Some(*next)).collect()
}

#[cfg(test)]
mod tests {
    use pipeline::offsets::offset_tracker::Position;
    use pipeline::{Epoch, TopicPartition};

    use super::*;

    #[test]
    fn only_what_moved_is_told() {
        let position = |next| Position { epoch: Epoch(1), next, reached: next };
        let frontier = |zero, one| {
            [(0, zero), (1, one)].map(|(id, next)| (TopicPartition::new("t", id), position(next))).into_iter().collect()
        };
        let mut before = BTreeMap::new();
        assert_eq!(moves(&mut before, &frontier(5, 7)), [(0, 5), (1, 7)].into());
        assert_eq!(moves(&mut before, &frontier(5, 9)), [(1, 9)].into());
        assert_eq!(moves(&mut before, &frontier(5, 9)), [].into());
    }
}
