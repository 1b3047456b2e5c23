//! Repetitions: some messages come a second time, a little later, byte for byte the same.
//!
//! It holds at most as many messages as the longest distance and guarantees the exact number of repetitions.

use std::collections::BTreeMap;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::plan::{EventTemplate, Plan, stream};
use super::{Counts, GeneratorOptions};

/// A repetition comes after this many other messages, at most.
const FARTHEST: u64 = 64;
const STREAM: u64 = u64::MAX - 1;

/// The plan's events, some of them twice.
#[derive(Debug)]
pub(super) struct Duplicated<S: EventTemplate> {
    plan: Plan<S>,
    rng: ChaCha8Rng,
    /// Messages of the plan that are still to come.
    remaining: u64,
    /// Repetitions that are still to be chosen.
    wanted: u64,
    passed: u64,
    /// By the number of messages that have to pass first, then by the order in which they were chosen.
    pending: BTreeMap<(u64, u64), S::Event>,
}

impl<S: EventTemplate> Duplicated<S> {
    pub(super) fn new(source: S, options: &GeneratorOptions, counts: Counts) -> Self {
        let plan = Plan::new(source, options, counts);
        let rng = stream(&ChaCha8Rng::seed_from_u64(options.seed), STREAM);
        let (remaining, wanted) = (counts.distinct(), counts.duplicates);
        Self { plan, rng, remaining, wanted, passed: 0, pending: BTreeMap::new() }
    }

    // Every subset of the wanted size is equally likely.
    fn maybe_repeat(&mut self, event: &S::Event) {
        let chosen = self.wanted > 0 && self.rng.random_range(0..self.remaining.max(1)) < self.wanted;
        self.remaining = self.remaining.saturating_sub(1);
        self.passed += 1;
        if chosen {
            self.wanted -= 1;
            let due = self.passed + self.rng.random_range(1..=FARTHEST);
            self.pending.insert((due, self.passed), S::repeat(event));
        }
    }
}

impl<S: EventTemplate> Iterator for Duplicated<S> {
    type Item = S::Event;

    fn next(&mut self) -> Option<S::Event> {
        let due = self.pending.first_key_value().is_some_and(|((due, _), _)| *due <= self.passed);
        if !due && let Some(event) = self.plan.next() {
            self.maybe_repeat(&event);
            return Some(event);
        }
        self.pending.pop_first().map(|(_, event)| event)
    }
}
