//! Ongoing in the log: a line when it begins, one when it changes, one a minute while it lasts, one when it ends.

use std::time::{Duration, Instant};

/// How often trouble that lasts is said again.
const AGAIN: Duration = Duration::from_secs(60);

/// Ongoing that stands.
#[derive(Clone, Debug)]
pub(crate) struct Ongoing {
    since: Instant,
    said: Instant,
}

impl Ongoing {
    /// It begins now, and is said.
    pub(crate) fn begin(now: Instant) -> Self {
        Self { since: now, said: now }
    }

    /// It has changed, and is said.
    pub(crate) fn change(&mut self, now: Instant) {
        self.said = now;
    }

    /// The seconds that it has lasted, when it is to be said again.
    pub(crate) fn again(&mut self, now: Instant) -> Option<u64> {
        let due = now.saturating_duration_since(self.said) >= AGAIN;
        due.then(|| {
            self.said = now;
            self.seconds(now)
        })
    }

    /// The seconds that it has lasted.
    pub(crate) fn seconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_said_again_each_minute_after_the_last_word() {
        let begun = Instant::now();
        let mut trouble = Ongoing::begin(begun);
        let at = |seconds| begun + Duration::from_secs(seconds);
        let said: Vec<(u64, u64)> = (0..=180)
            .filter_map(|seconds| {
                if seconds == 30 {
                    trouble.change(at(seconds));
                }
                trouble.again(at(seconds)).map(|lasted| (seconds, lasted))
            })
            .collect();
        assert_eq!(said, [(90, 90), (150, 150)]);
        assert_eq!(trouble.seconds(at(200)), 200);
    }
}
