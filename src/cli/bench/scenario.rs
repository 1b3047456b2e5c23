//! What the topic of a run holds.

use chrono::Utc;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::synthetic::GeneratorOptions;

/// What the topic holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// Creates, a quarter as many updates, and some deletes, all there before anything is read
    Backlog,
    /// The same, and each fifth event sent a second time
    Dups,
    /// The same, of three users alone: most partitions stay empty
    Skew,
    /// The same, and one event in a hundred cannot be read
    Bad,
    /// Latency under live traffic: 25, 50 and 80 % of what the program takes without a growing lag, which is searched for first
    Steady,
    /// Live traffic of 25 %, a burst of ten times that, and how long it is felt
    Burst,
}

impl Scenario {
    pub(super) fn options(self, events: u64, seed: u64) -> GeneratorOptions {
        let plain = GeneratorOptions {
            update_ratio: 0.25,
            delete_ratio: 0.02,
            users: Some(10_000),
            ..GeneratorOptions::new(seed, Utc::now())
        };
        let options = match self {
            Self::Backlog | Self::Steady | Self::Burst => plain,
            Self::Dups => GeneratorOptions { duplicate_ratio: 0.2, ..plain },
            Self::Skew => GeneratorOptions { users: Some(3), ..plain },
            Self::Bad => GeneratorOptions { malformed_ratio: 0.01, ..plain },
        };
        let more = 1.0 + options.update_ratio + options.delete_ratio + options.malformed_ratio;
        GeneratorOptions { count: (events as f64 / more / (1.0 + options.duplicate_ratio)).ceil() as u64, ..options }
    }

    /// Whether events are sent while the program is measured.
    pub(super) fn is_live(self) -> bool {
        matches!(self, Self::Steady | Self::Burst)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Backlog => "backlog",
            Self::Dups => "dups",
            Self::Skew => "skew",
            Self::Bad => "bad",
            Self::Steady => "steady",
            Self::Burst => "burst",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scenario_has_about_the_events_that_were_asked_for() {
        for scenario in Scenario::value_variants() {
            let counts = scenario.options(10_000, 1).counts().unwrap();
            assert!((9_990..=10_010).contains(&counts.records()), "{scenario:?}: {}", counts.records());
        }
    }
}
