//! The rate that a person set: batches are held back in the hand of the poll thread, which goes on polling.
//!
//! It owns the pacer and the time that was spent so, and waits for nothing: time is passed in.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::engine::batcher::{Batch, BatchLimits};
use crate::engine::pacer::Pacer;

/// A batch that comes late by less costs no rate: the poll thread looks about twice in this time.
const SLACK: Duration = Duration::from_millis(100);
/// A batch holds what passes in this part of a second, so that none is held back for long.
const PART: u64 = 4;

/// What may pass in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    Records(NonZeroU64),
    /// As they are in Kafka, without compression.
    Bytes(NonZeroU64),
}

#[derive(Debug)]
struct Holding {
    pacer: Pacer,
    /// Up to when what is held back now was counted.
    counted: Option<Instant>,
    held: Duration,
    /// Milliseconds that the metric has.
    told: u64,
}

/// Holds back; shared with whoever looks.
#[derive(Debug)]
pub struct RateLimiter {
    system: &'static str,
    limit: RateLimit,
    holding: Mutex<Holding>,
}

impl RateLimiter {
    pub fn new(system: &'static str, limit: RateLimit) -> Self {
        let holding = Holding { pacer: Pacer::new(SLACK), counted: None, held: Duration::ZERO, told: 0 };
        Self { system, limit, holding: Mutex::new(holding) }
    }

    pub fn limit(&self) -> RateLimit {
        self.limit
    }

    /// How long batches were held back, in all.
    pub fn holding_time(&self) -> Duration {
        self.holding.lock().held
    }

    /// Whether a batch is held back now.
    pub(super) fn is_holding(&self) -> bool {
        self.holding.lock().counted.is_some()
    }

    /// The limits of batches that pass in a part of a second.
    pub(super) fn fit(&self, limits: BatchLimits) -> BatchLimits {
        let part = |rate: NonZeroU64| usize::try_from(rate.get() / PART).unwrap_or(usize::MAX).max(1);
        match self.limit {
            RateLimit::Records(rate) => BatchLimits { records: limits.records.min(part(rate)), ..limits },
            RateLimit::Bytes(rate) => BatchLimits { bytes: limits.bytes.min(part(rate)), ..limits },
        }
    }

    /// How long the batch in hand has to wait yet; counts the time that it did.
    pub(super) fn hold(&self, now: Instant) -> Duration {
        let mut holding = self.holding.lock();
        let wait = holding.pacer.due(now).saturating_duration_since(now);
        let next = (!wait.is_zero()).then_some(now);
        if let Some(counted) = std::mem::replace(&mut holding.counted, next) {
            holding.held += now.saturating_duration_since(counted);
            let held = u64::try_from(holding.held.as_millis()).unwrap_or(u64::MAX);
            metrics::counter!("millrace_held_back_milliseconds_total", "system" => self.system)
                .increment(held - holding.told);
            holding.told = held;
        }
        wait
    }

    /// Nothing is in hand.
    pub(super) fn release(&self) {
        self.holding.lock().counted = None;
    }

    /// A batch passes.
    pub(super) fn pass(&self, batch: &Batch, now: Instant) {
        let (amount, rate) = match self.limit {
            RateLimit::Records(rate) => (batch.records.len(), rate),
            RateLimit::Bytes(rate) => (batch.bytes, rate),
        };
        let seconds = amount as f64 / rate.get() as f64;
        self.holding.lock().pacer.pass(Duration::try_from_secs_f64(seconds).unwrap_or_default(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::batcher::Batcher;
    use crate::record::{Epoch, Record, TopicPartition};

    fn batch(records: i64, bytes: usize, now: Instant) -> Batch {
        let mut batcher =
            Batcher::new(BatchLimits { records: usize::MAX, bytes: usize::MAX, age: Duration::from_secs(1) });
        for offset in 0..records {
            let payload = Some(vec![b'x'; bytes].into());
            let at = TopicPartition::new("t", 0);
            let record = Record { at, offset, timestamp_ms: None, key: None, payload, headers: Vec::new() };
            batcher.push(record, Epoch(1), now);
        }
        batcher.cut().unwrap()
    }

    /// Seconds that so many batches take, looked at each 50 ms.
    fn seconds(limiter: &RateLimiter, batch: &Batch, batches: usize) -> f64 {
        let begun = Instant::now();
        let mut now = begun;
        for _ in 0..batches {
            while !limiter.hold(now).is_zero() {
                now += Duration::from_millis(50);
            }
            limiter.pass(batch, now);
        }
        now.duration_since(begun).as_secs_f64()
    }

    #[test]
    fn a_rate_of_records_or_bytes_holds_and_is_counted() {
        for bytes in [1, 100] {
            let batch = batch(10, bytes, Instant::now());
            let limit = match bytes {
                1 => RateLimit::Records(NonZeroU64::new(70).unwrap()),
                _ => RateLimit::Bytes(NonZeroU64::new(7 * batch.bytes as u64).unwrap()),
            };
            let limiter = RateLimiter::new("s", limit);
            let took = seconds(&limiter, &batch, 71);
            assert!((9.8..10.1).contains(&took), "{took}");
            assert!((limiter.holding_time().as_secs_f64() - took).abs() < 0.3, "{:?}", limiter.holding_time());
        }
    }

    #[test]
    fn a_batch_is_not_larger_than_what_passes_in_a_part_of_a_second() {
        let limits = BatchLimits { records: 1_000, bytes: 5_000, age: Duration::from_secs(1) };
        let fit = |limit| {
            let fitted = RateLimiter::new("s", limit).fit(limits);
            (fitted.records, fitted.bytes)
        };
        assert_eq!(fit(RateLimit::Records(NonZeroU64::new(400).unwrap())), (100, 5_000));
        assert_eq!(fit(RateLimit::Records(NonZeroU64::MIN)), (1, 5_000));
        assert_eq!(fit(RateLimit::Bytes(NonZeroU64::new(400).unwrap())), (1_000, 100));
    }

    #[test]
    fn time_in_which_nothing_is_in_hand_does_not_count() {
        let now = Instant::now();
        let limiter = RateLimiter::new("s", RateLimit::Records(NonZeroU64::MIN));
        limiter.pass(&batch(1, 1, now), now);
        assert!(!limiter.hold(now).is_zero() && limiter.is_holding());
        limiter.release();
        assert!(!limiter.is_holding());
        limiter.hold(now + Duration::from_secs(60));
        assert_eq!(limiter.holding_time(), Duration::ZERO);
    }
}
