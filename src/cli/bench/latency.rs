//! How long records took, from when they were to be sent: pure. What was sent is held against what was finished.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::cli::CommandFailure;
use crate::cli::headway::Headway;

/// A record that the brokers have. Times are microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SentRecord {
    pub partition: i32,
    pub offset: i64,
    /// When it was to be sent.
    pub intended: u64,
    /// When the brokers had acknowledged it.
    pub acknowledged: u64,
}

/// Times, each of which counts once.
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    /// Three digits of each time are kept; the range grows as it must.
    pub(super) fn new() -> Result<Self, CommandFailure> {
        let mut times = Histogram::new(3).map_err(|error| CommandFailure::internal(format!("histogram: {error}")))?;
        times.auto(true);
        Ok(Self(times))
    }

    pub(super) fn add(&mut self, micros: u64) {
        // Where the range cannot grow further, the time counts as the longest.
        if self.0.record(micros).is_err() {
            self.0.saturating_record(micros);
        }
    }

    pub(super) fn distribution(&self) -> LatencyDistribution {
        let ms = |micros: u64| micros as f64 / 1e3;
        let at = |quantile: f64| ms(self.0.value_at_quantile(quantile));
        let percentiles = self.0.iter_quantiles(2);
        LatencyDistribution {
            records: self.0.len(),
            mean_ms: self.0.mean() / 1e3,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: ms(self.0.max()),
            percentiles: percentiles
                .map(|step| (step.quantile_iterated_to() * 100.0, ms(step.value_iterated_to())))
                .collect(),
        }
    }
}

/// A distribution as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LatencyDistribution {
    pub records: u64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
    /// The whole: percentiles, the denser the nearer they are to 100, and milliseconds.
    pub percentiles: Vec<(f64, f64)>,
}

/// When each offset was finished, of all partitions.
#[derive(Debug, Default)]
pub(super) struct Finishes(BTreeMap<i32, Vec<(i64, u64)>>);

impl Finishes {
    pub(super) fn new(moves: &[Headway]) -> Self {
        let mut partitions: BTreeMap<i32, Vec<(i64, u64)>> = BTreeMap::new();
        for headway in moves {
            for (partition, next) in &headway.next {
                let finishes = partitions.entry(*partition).or_default();
                // After a rebalance a frontier may begin again further back: what was finished stays so.
                if finishes.last().is_none_or(|(last, _)| last < next) {
                    finishes.push((*next, headway.at));
                }
            }
        }
        Self(partitions)
    }

    /// When this offset was finished; `None` where it is not.
    fn at(&self, partition: i32, offset: i64) -> Option<u64> {
        let finishes = self.0.get(&partition)?;
        let first = finishes.partition_point(|(next, _)| *next <= offset);
        finishes.get(first).map(|(_, at)| *at)
    }
}

/// The latencies of some records to the store and to Kafka, and how many of them are not finished.
pub(super) fn measure(
    sent: &[SentRecord],
    finishes: &Finishes,
) -> Result<(LatencyDistribution, LatencyDistribution, u64), CommandFailure> {
    let (mut stored, mut published, mut unfinished) = (Latencies::new()?, Latencies::new()?, 0);
    for record in sent {
        published.add(record.acknowledged.saturating_sub(record.intended));
        match finishes.at(record.partition, record.offset) {
            Some(at) => stored.add(at.saturating_sub(record.intended)),
            None => unfinished += 1,
        }
    }
    Ok((stored.distribution(), published.distribution(), unfinished))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headway(at: u64, partition: i32, next: i64) -> Headway {
        Headway { at, next: [(partition, next)].into() }
    }

    fn record(partition: i32, offset: i64, intended: u64) -> SentRecord {
        SentRecord { partition, offset, intended, acknowledged: intended + 2_000 }
    }

    #[test]
    fn a_record_is_finished_by_the_first_move_past_it() {
        let moves = [headway(1_000, 0, 2), headway(5_000, 1, 9), headway(9_000, 0, 4), headway(9_500, 0, 3)];
        let finishes = Finishes::new(&moves);
        let at = [0, 1, 2, 3, 4].map(|offset| finishes.at(0, offset));
        assert_eq!(at, [Some(1_000), Some(1_000), Some(9_000), Some(9_000), None]);
        let sent = [record(0, 1, 500), record(0, 2, 1_000), record(0, 4, 1_000), record(7, 0, 1_000)];
        let (stored, published, unfinished) = measure(&sent, &finishes).unwrap();
        assert_eq!((stored.records, published.records, unfinished), (2, 4, 2));
        assert!(
            (stored.max_ms - 8.0).abs() < 0.01 && (published.p50_ms - 2.0).abs() < 0.01,
            "{stored:?} {published:?}"
        );
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_times(mut times in prop::collection::vec(1..10_000_000_u64, 1..500)) {
            let mut latencies = Latencies::new().unwrap();
            times.iter().for_each(|time| latencies.add(*time));
            let found = latencies.distribution();
            times.sort_unstable();
            let near = |ms: f64, micros: u64| (ms * 1e3 - micros as f64).abs() <= micros as f64 / 1e3 + 1.0;
            let rank = |quantile: f64| times[((quantile * times.len() as f64).ceil() as usize).clamp(1, times.len()) - 1];
            prop_assert!(near(found.p50_ms, rank(0.5)) && near(found.p99_ms, rank(0.99)), "{found:?}");
            prop_assert!(near(found.max_ms, times[times.len() - 1]));
            prop_assert_eq!(found.records, times.len() as u64);
            let order = found.percentiles.is_sorted_by(|one, other| one.0 <= other.0 && one.1 <= other.1);
            prop_assert!(order && found.percentiles.last().is_some_and(|(percent, _)| *percent == 100.0), "{found:?}");
        }

        #[test]
        fn every_record_is_counted_once(next in prop::collection::vec(0..300_i64, 0..40), count in 0..200_i64) {
            let moves: Vec<Headway> = (1_000..).zip(&next).map(|(at, next)| headway(at, 0, *next)).collect();
            let sent: Vec<SentRecord> = (0..count).map(|offset| record(0, offset, 500)).collect();
            let (stored, published, unfinished) = measure(&sent, &Finishes::new(&moves)).unwrap();
            let finished = next.iter().copied().max().unwrap_or(0).min(count) as u64;
            prop_assert_eq!((stored.records, published.records), (finished, count as u64));
            prop_assert_eq!(unfinished, count as u64 - finished);
        }
    }
}
