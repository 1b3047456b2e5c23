//! The pacer: when the next may pass, at a rate that whoever asks knows. Time is passed in.

use std::time::{Duration, Instant};

/// Spaces what passes. What was not used is not saved up, but for its slack.
#[derive(Debug, Default)]
pub struct Pacer {
    due: Option<Instant>,
    /// How late something may come without the rate falling.
    slack: Duration,
}

impl Pacer {
    pub fn new(slack: Duration) -> Self {
        Self { due: None, slack }
    }

    /// When the next may pass, which may be over.
    pub fn due(&self, now: Instant) -> Instant {
        let earliest = now.checked_sub(self.slack).unwrap_or(now);
        self.due.map_or(earliest, |due| due.max(earliest))
    }

    /// Something passes that takes so long at the rate.
    pub fn pass(&mut self, takes: Duration, now: Instant) {
        let due = self.due(now);
        self.due = Some(due.checked_add(takes).unwrap_or(due));
    }

    /// The next may pass at once.
    pub fn forget(&mut self) {
        self.due = None;
    }
}
