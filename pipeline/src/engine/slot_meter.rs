//! What the slots did in a window: how fast they were, and whether they were what all waited for.
//!
//! Time is passed in. The rate is that of the batches themselves, each by its own duration, times the mean number of them at
//! work: so it does not matter how they lie in the window. Batches that were cut before the last change do not count.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::delivery::Delivery;
use crate::engine::finished_batch::FinishedBatch;
use crate::offsets::offset_tracker::Seq;

/// The shortest window.
const SHORT: Duration = Duration::from_secs(1);
/// The window in which two batches are enough.
const LONG: Duration = Duration::from_secs(4);
/// The share of a window in which something waited for a slot.
const LIMIT: f64 = 0.8;
/// Batches of the size before, besides those that wait: on offer, and in the hand of the poll thread.
const AHEAD: u64 = 2;

/// Measures the slots of one engine.
pub(crate) struct SlotMeter {
    delivery: Arc<Delivery>,
    begun: Instant,
    seen: Instant,
    running: usize,
    waiting: usize,
    /// Seconds of all batches that were at work.
    work: f64,
    /// Seconds in which something waited.
    limited: f64,
    bytes: f64,
    took: f64,
    batches: usize,
    /// The batch that was opened last, and the first one that counts.
    opened: u64,
    counts_from: u64,
}

impl SlotMeter {
    pub(crate) fn new(delivery: Arc<Delivery>, now: Instant) -> Self {
        Self {
            delivery,
            begun: now,
            seen: now,
            running: 0,
            waiting: 0,
            work: 0.0,
            limited: 0.0,
            bytes: 0.0,
            took: 0.0,
            batches: 0,
            opened: 0,
            counts_from: 0,
        }
    }

    /// Batches in flight, at most.
    pub(crate) fn number(&self) -> usize {
        self.delivery.cell().number
    }

    /// As [`Delivery::limit_bytes`].
    pub(crate) fn limit_bytes(&self, most: usize) -> usize {
        self.delivery.limit_bytes(most)
    }

    /// From now on so many batches are at work, and so many wait that cannot begin.
    pub(crate) fn note(&mut self, now: Instant, running: usize, waiting: usize) {
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        self.work += self.running as f64 * passed;
        if self.running > 0 && self.waiting > 0 {
            self.limited += passed;
        }
        (self.seen, self.running, self.waiting) = (now, running, waiting);
    }

    pub(crate) fn note_open(&mut self, seq: Seq) {
        self.opened = seq.0;
    }

    /// Takes in a batch, and ends the window when it has enough.
    pub(crate) fn finish(&mut self, now: Instant, finished: &FinishedBatch) {
        self.note(now, self.running, self.waiting);
        if finished.climb || finished.tally.abandoned > 0 || finished.seq.0 < self.counts_from {
            if finished.seq.0 < self.counts_from && self.batches == 0 {
                self.restart(now);
            }
            return;
        }
        self.bytes += finished.bytes as f64;
        self.took += finished.took.as_secs_f64();
        self.batches += 1;
        let passed = now.saturating_duration_since(self.begun);
        let enough = self.batches >= 2 * self.number();
        if passed < SHORT || !enough && (passed < LONG || self.batches < 2) {
            return;
        }
        let limited = self.limited >= LIMIT * passed.as_secs_f64() && self.took > 0.0;
        let rate = limited.then(|| self.bytes / self.took * self.work / passed.as_secs_f64());
        if self.delivery.observe(rate) {
            self.counts_from = self.opened + 1 + self.waiting as u64 + AHEAD;
        }
        self.restart(now);
    }

    fn restart(&mut self, now: Instant) {
        self.begun = now;
        (self.work, self.limited, self.bytes, self.took, self.batches) = (0.0, 0.0, 0.0, 0.0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tuner::{DeliveryCell, TunerBounds};
    use crate::outcome::Tally;

    fn cell(size: usize, number: usize) -> DeliveryCell {
        DeliveryCell { size, number }
    }

    /// A meter, and what finishes a batch of a thousand bytes after half a second.
    fn meter() -> (SlotMeter, impl FnMut(&mut SlotMeter, usize)) {
        let bounds = TunerBounds { start: cell(100, 2), least: cell(10, 1), most: cell(5_000, 8) };
        let (mut now, mut seq) = (Instant::now(), 0);
        let meter = SlotMeter::new(Arc::new(Delivery::new("s", bounds)), now);
        let finish = move |meter: &mut SlotMeter, waiting| {
            now += Duration::from_millis(500);
            meter.note_open(Seq(seq));
            let took = Duration::from_millis(500);
            let tally = Tally::default();
            let finished =
                FinishedBatch { seq: Seq(seq), bytes: 1_000, records: 9, parked: 0, tally, took, climb: false };
            meter.finish(now, &finished);
            meter.note(now, 2, waiting);
            seq += 1;
        };
        (meter, finish)
    }

    #[test]
    fn a_window_in_which_nothing_waits_moves_nothing() {
        let (mut meter, mut finish) = meter();
        (0..100).for_each(|_| finish(&mut meter, 0));
        assert_eq!(meter.delivery.standing().changes, 0);
    }

    #[test]
    fn what_was_cut_before_a_change_does_not_count() {
        let (mut meter, mut finish) = meter();
        (0..9).for_each(|_| finish(&mut meter, 3));
        assert_eq!(meter.delivery.cell(), cell(200, 2), "the second window is limited, and is followed by a try");
        assert_eq!(meter.counts_from, 7 + 1 + 3 + AHEAD);
        (9..13).for_each(|_| finish(&mut meter, 3));
        assert_eq!(meter.batches, 0);
        finish(&mut meter, 3);
        assert_eq!(meter.batches, 1);
    }
}
