//! The breaker: when a store rejects most of what it is given, the fault is in the set-up and not in the records.
//!
//! It guarantees that a wrong mapping cannot drain a topic into the dead letters.

use std::collections::VecDeque;

use crate::mutant;

/// How many verdicts are looked at.
pub(crate) const WINDOW: usize = 1_000;
/// How many verdicts pass after a person said to go on.
const GRACE: usize = 10 * WINDOW;

/// The store's last verdicts.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    rejected: VecDeque<bool>,
    rejects: usize,
    grace: usize,
}

impl Breaker {
    /// Notes a verdict.
    pub(crate) fn note(&mut self, rejected: bool) {
        if self.grace > 0 {
            self.grace -= 1;
            return;
        }
        self.rejects += usize::from(rejected);
        self.rejected.push_back(rejected);
        if self.rejected.len() > WINDOW {
            self.rejects -= usize::from(self.rejected.pop_front().unwrap_or(false));
        }
    }

    /// Whether over half of the last thousand verdicts were rejects.
    pub(crate) fn is_open(&self) -> bool {
        self.rejects * 2 > WINDOW && !mutant!(BreakerOff)
    }

    /// A person looked and said to go on: forget what was, and let the next ten thousand verdicts pass. A breaker that is
    /// not open stays as it is, so that nobody can disarm it beforehand. Returns whether it was open.
    pub(crate) fn proceed(&mut self) -> bool {
        let open = self.is_open();
        if open {
            *self = Self { grace: GRACE, ..Self::default() };
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_when_more_than_half_of_the_window_is_rejected_and_closes_when_writes_pass_again() {
        let mut breaker = Breaker::default();
        for _ in 0..WINDOW / 2 {
            breaker.note(true);
        }
        assert!(!breaker.is_open());
        breaker.note(true);
        assert!(breaker.is_open());
        for _ in 0..WINDOW / 2 - 1 {
            breaker.note(false);
        }
        assert!(breaker.is_open(), "the rejects are still among the last thousand");
        breaker.note(false);
        assert!(!breaker.is_open());
    }

    #[test]
    fn told_to_go_on_it_lets_a_bounded_number_pass() {
        let mut breaker = Breaker::default();
        for _ in 0..WINDOW {
            breaker.note(true);
        }
        assert!(breaker.proceed());
        assert!(!breaker.proceed(), "it is told once");
        for _ in 0..GRACE {
            breaker.note(true);
        }
        assert!(!breaker.is_open());
        for _ in 0..=WINDOW / 2 {
            breaker.note(true);
        }
        assert!(breaker.is_open());
    }

    #[test]
    fn a_breaker_that_is_not_open_cannot_be_disarmed_beforehand() {
        let mut breaker = Breaker::default();
        assert!(!breaker.proceed());
        for _ in 0..=WINDOW / 2 {
            breaker.note(true);
        }
        assert!(breaker.is_open());
    }
}
