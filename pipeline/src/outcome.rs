//! Outcomes: what became of each record. Every record that is read ends in exactly one, and their counts add up.

use std::fmt;

use crate::sink::Reject;
use crate::system::Decoded;

/// How a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The store holds it.
    Applied,
    /// The store already held a newer version.
    Superseded,
    /// A copy of a record that was applied or superseded before.
    Duplicate,
    /// In the dead-letter topic, acknowledged by the broker.
    DeadLettered,
    /// Not for this system.
    Ignored,
}

impl Outcome {
    pub const ALL: [Self; 5] = [Self::Applied, Self::Superseded, Self::Duplicate, Self::DeadLettered, Self::Ignored];

    /// The label in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Superseded => "superseded",
            Self::Duplicate => "duplicate",
            Self::DeadLettered => "dead_lettered",
            Self::Ignored => "ignored",
        }
    }
}

/// What is known of a record so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RecordResult {
    /// Nothing yet.
    Open,
    Ended(Outcome),
    /// A dead letter that the broker does not have yet.
    Rejected {
        reject: Reject,
        /// Times that its write was tried.
        attempts: u32,
    },
    /// Its write may pass later.
    Later(Reject),
    /// Its write was not tried, for another waits before it.
    Behind,
    /// It left its batch, and waits in the park.
    Parked,
    /// Its partition was taken away.
    Abandoned,
}

impl RecordResult {
    /// What the system says is all there is to know of a record that is no event.
    pub(crate) fn of(decoded: &Decoded<'_>) -> Self {
        match decoded {
            Decoded::Event(..) => Self::Open,
            Decoded::Reject(reject) => Self::from_reject(reject.clone()),
            Decoded::Ignore => Self::Ended(Outcome::Ignored),
        }
    }

    /// Rejected before it was ever tried.
    pub(crate) fn from_reject(reject: Reject) -> Self {
        Self::Rejected { reject, attempts: 0 }
    }
}

/// Counts of outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub applied: u64,
    pub superseded: u64,
    pub duplicate: u64,
    pub dead_lettered: u64,
    pub ignored: u64,
    /// Left without an outcome because their partition was taken away; whoever has it next reads them again.
    pub abandoned: u64,
}

impl Tally {
    pub fn add(&mut self, outcome: Outcome) {
        *self.slot(outcome) += 1;
    }

    fn slot(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Applied => &mut self.applied,
            Outcome::Superseded => &mut self.superseded,
            Outcome::Duplicate => &mut self.duplicate,
            Outcome::DeadLettered => &mut self.dead_lettered,
            Outcome::Ignored => &mut self.ignored,
        }
    }

    pub fn count(mut self, outcome: Outcome) -> u64 {
        *self.slot(outcome)
    }

    /// Records that have an outcome.
    pub fn total(self) -> u64 {
        self.applied + self.superseded + self.duplicate + self.dead_lettered + self.ignored
    }

    pub fn merge(&mut self, other: Self) {
        for outcome in Outcome::ALL {
            *self.slot(outcome) += other.count(outcome);
        }
        self.abandoned += other.abandoned;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{} {}", self.count(outcome), outcome.name())?;
        }
        Ok(())
    }
}
