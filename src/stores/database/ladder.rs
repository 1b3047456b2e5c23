//! The ladder: operations that wait for what may still come, and what waits behind them. Pure but for the clock it is given.
//!
//! It owns how often each was tried and when it is tried next. An operation behind another is tried when that one has its outcome,
//! and has no ladder of its own for what failed the other.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use pipeline::TopicPartition;
use tokio::time::Instant;

use super::operation::ResolvedOperation;

type Place = (TopicPartition, i64);

/// What is not touched any more was taken away with its partition; it may come back until then.
const FORGOTTEN: Duration = Duration::from_secs(600);

#[derive(Debug)]
struct Waiting {
    tries: u32,
    not_before: Instant,
    names: HashSet<String>,
    table: String,
    /// One before it was given up on, so it has no time of its own to wait.
    spent: bool,
    touched: Instant,
}

/// The operations that wait.
#[derive(Debug)]
pub(super) struct OperationLadder {
    attempts: u32,
    delay: Duration,
    waiting: Mutex<HashMap<Place, Waiting>>,
}

/// Whether an operation may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rung {
    /// It waits; this was its try of so many.
    Waits { tried: u32, of: u32 },
    /// It was tried as often as it may be.
    Exhausted { tried: u32 },
}

impl OperationLadder {
    /// `attempts` after the first; the first pause is `delay`, and each is twice as long as the one before.
    pub(super) fn new(attempts: u32, delay: Duration) -> Self {
        Self { attempts, delay, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Place, Waiting>> {
        self.waiting.lock()
    }

    /// Which of these may be tried now, in the order of the log: not those whose time has not come, nor those behind another.
    pub(super) fn due(&self, operations: &[&ResolvedOperation<'_>], now: Instant) -> Vec<bool> {
        let mut waiting = self.waiting();
        waiting.retain(|_, one| now.duration_since(one.touched) < FORGOTTEN || one.not_before > now);
        let mut held: HashSet<String> = HashSet::new();
        let mut due = Vec::with_capacity(operations.len());
        for operation in operations {
            if waiting.is_empty() {
                due.push(true);
                continue;
            }
            let place = operation.write.place();
            let earlier = |(other, one): (&Place, &Waiting)| {
                other.0 == place.0 && other.1 < place.1 && operation.names().any(|name| one.names.contains(&name))
            };
            let behind = operation.names().any(|name| held.contains(&name)) || waiting.iter().any(earlier);
            let early = waiting.get_mut(&place).is_some_and(|one| {
                one.touched = now;
                one.not_before > now
            });
            if behind || early {
                held.extend(operation.names());
            }
            due.push(!(behind || early));
        }
        due
    }

    /// It failed in a way that may pass.
    pub(super) fn failed(&self, operation: &ResolvedOperation<'_>, now: Instant) -> Rung {
        let mut waiting = self.waiting();
        let place = operation.write.place();
        let one = waiting.entry(place.clone()).or_insert_with(|| Waiting {
            tries: 0,
            not_before: now,
            names: operation.names().collect(),
            table: operation.table.name.clone(),
            spent: false,
            touched: now,
        });
        one.tries += 1;
        one.touched = now;
        let tried = one.tries;
        if one.spent || tried > self.attempts {
            let names = waiting.remove(&place).map(|one| one.names).unwrap_or_default();
            for (other, one) in waiting.iter_mut() {
                one.spent |= other.0 == place.0 && other.1 > place.1 && !one.names.is_disjoint(&names);
            }
            return Rung::Exhausted { tried };
        }
        one.not_before = now + self.delay.saturating_mul(1 << (tried - 1).min(16));
        Rung::Waits { tried, of: self.attempts + 1 }
    }

    /// It was not tried, because one before it failed.
    pub(super) fn behind(&self, operation: &ResolvedOperation<'_>, now: Instant) {
        let mut waiting = self.waiting();
        let one = waiting.entry(operation.write.place()).or_insert_with(|| Waiting {
            tries: 0,
            not_before: now,
            names: operation.names().collect(),
            table: operation.table.name.clone(),
            spent: false,
            touched: now,
        });
        one.touched = now;
    }

    /// It has its outcome.
    pub(super) fn done(&self, operation: &ResolvedOperation<'_>) {
        let mut waiting = self.waiting();
        if !waiting.is_empty() {
            waiting.remove(&operation.write.place());
        }
    }

    /// The tables of which an operation waits.
    pub(super) fn tables(&self) -> HashSet<String> {
        self.waiting().values().map(|one| one.table.clone()).collect()
    }
}
