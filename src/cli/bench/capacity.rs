//! How much the program takes for ever: a search that doubles, then bisects. Pure: it is told what became of each rate.

use serde::{Deserialize, Serialize};

/// The search ends when the bounds are so near: the upper a tenth above the lower.
const NEAR: f64 = 1.1;
/// Rates that are tried at most.
const MOST: usize = 10;
/// The lag may grow by this share of the rate, which is within what batches make it swing.
const GROWTH: f64 = 0.05;

/// A rate that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TriedRate {
    /// Records a second.
    pub rate: f64,
    /// Records a second by which the lag grew.
    pub growth: f64,
    pub sustainable: bool,
}

impl TriedRate {
    /// Judges a window: samples of the lag, in seconds and records.
    pub(super) fn judge(rate: f64, samples: &[(f64, f64)]) -> Self {
        let growth = slope(samples);
        Self { rate, growth, sustainable: growth <= rate * GROWTH }
    }
}

/// The slope of the straight line that fits best, by least squares; 0 where there is none.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let count = samples.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let above: f64 = samples.iter().map(|sample| (sample.0 - x) * (sample.1 - y)).sum();
    let below: f64 = samples.iter().map(|sample| (sample.0 - x).powi(2)).sum();
    if below > 0.0 { above / below } else { 0.0 }
}

/// The search.
#[derive(Clone, Debug)]
pub(super) struct CapacitySearch {
    start: f64,
    tried: Vec<TriedRate>,
}

impl CapacitySearch {
    pub(super) fn new(start: f64) -> Self {
        Self { start: start.max(1.0), tried: Vec::new() }
    }

    /// What to try next; `None` at the end.
    pub(super) fn next_rate(&self) -> Option<f64> {
        if self.tried.len() >= MOST {
            return None;
        }
        match (self.capacity(), self.too_much()) {
            (None, None) => Some(self.start),
            (Some(low), None) => Some(low * 2.0),
            (None, Some(high)) => (high >= 2.0).then_some(high / 2.0),
            (Some(low), Some(high)) => (high / low > NEAR).then_some(f64::midpoint(low, high)),
        }
    }

    pub(super) fn observe(&mut self, tried: TriedRate) {
        self.tried.push(tried);
    }

    /// The highest rate that was sustained below every one that was not.
    pub(super) fn capacity(&self) -> Option<f64> {
        let bound = self.too_much().unwrap_or(f64::INFINITY);
        let sustained = self.tried.iter().filter(|tried| tried.sustainable && tried.rate < bound);
        sustained.map(|tried| tried.rate).max_by(f64::total_cmp)
    }

    fn too_much(&self) -> Option<f64> {
        let failed = self.tried.iter().filter(|tried| !tried.sustainable);
        failed.map(|tried| tried.rate).min_by(f64::total_cmp)
    }

    pub(super) fn into_tried(self) -> Vec<TriedRate> {
        self.tried
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(start: f64, capacity: f64) -> CapacitySearch {
        let mut search = CapacitySearch::new(start);
        while let Some(rate) = search.next_rate() {
            search.observe(TriedRate { rate, growth: (rate - capacity).max(0.0), sustainable: rate <= capacity });
        }
        search
    }

    proptest! {
        #[test]
        fn it_finds_what_is_near_its_start(start in 100.0..1e6_f64, factor in 0.2..4.0_f64) {
            let capacity = start * factor;
            let found = search(start, capacity);
            let rate = found.capacity().unwrap();
            prop_assert!(rate <= capacity && capacity / rate <= NEAR, "{rate} of {capacity}: {found:?}");
        }

        #[test]
        fn it_ends_whatever_it_is_told(start in 0.0..1e6_f64, told in prop::collection::vec(any::<bool>(), MOST)) {
            let mut search = CapacitySearch::new(start);
            for sustainable in told {
                let Some(rate) = search.next_rate() else { break };
                prop_assert!(search.tried.iter().all(|tried| tried.rate.total_cmp(&rate).is_ne()), "{rate} was tried");
                search.observe(TriedRate { rate, growth: 0.0, sustainable });
            }
            prop_assert_eq!(search.next_rate(), None);
            let all = search.tried.iter();
            let failed = all.clone().filter(|tried| !tried.sustainable).map(|tried| tried.rate);
            prop_assert!(search.capacity().is_none_or(|rate| failed.clone().all(|high| rate < high)));
        }

        #[test]
        fn a_lag_that_swings_is_not_one_that_grows(rate in 1_000.0..100_000.0_f64, growth in 0.0..0.5_f64) {
            let lag = |second: f64| rate * (growth * second + 0.25 * (second * 4.0).fract());
            let samples: Vec<(f64, f64)> = (0..100).map(|tick| f64::from(tick) / 20.0).map(|at| (at, lag(at))).collect();
            let tried = TriedRate::judge(rate, &samples);
            prop_assert!((tried.growth / rate - growth).abs() < 0.02, "{tried:?}");
            prop_assert_eq!(tried.sustainable, tried.growth <= GROWTH * rate);
        }
    }

    #[test]
    fn the_rates_double_and_then_lie_between() {
        let tried: Vec<f64> = search(1_000.0, 4_500.0).into_tried().iter().map(|tried| tried.rate).collect();
        assert_eq!(tried, [1_000.0, 2_000.0, 4_000.0, 8_000.0, 6_000.0, 5_000.0, 4_500.0, 4_750.0]);
        assert_eq!(search(16.0, 0.0).capacity(), None, "nothing is sustained");
        assert_eq!(slope(&[]), 0.0);
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), 2.0);
    }
}
