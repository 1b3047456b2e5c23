//! How a store is delivered to: tuned to while running or not, and at what rate at most.

use std::num::NonZeroU64;

use super::settings::Settings;
use super::{ConfigError, number, values};

/// How far the tuning of deliveries goes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveSettings {
    /// Records in a batch; not less than what it begins with.
    pub max_batch_size: usize,
    /// Batches in flight; not less than what it begins with.
    pub max_in_flight: usize,
}

/// What a system passes on in a second, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxRate {
    Records(NonZeroU64),
    Bytes(NonZeroU64),
}

impl AdaptiveSettings {
    /// `None`: what is configured stays as it is.
    pub(super) fn read(settings: &Settings, size: usize, in_flight: usize) -> Result<Option<Self>, ConfigError> {
        let on = settings.require("engine.adaptive")?.parse("true or false", values::switch)?;
        let most =
            |key, expected, limit| settings.require(key)?.parse(expected, move |text: &str| number(text, 1..=limit));
        let max_batch_size = most("engine.adaptive_max_batch_size", "a number from 1 to 100000", 100_000)?.max(size);
        let max_in_flight = most("engine.adaptive_max_in_flight", "a number from 1 to 1024", 1_024)?.max(in_flight);
        Ok(on.then_some(Self { max_batch_size, max_in_flight }))
    }
}

impl MaxRate {
    /// `None`: as fast as can be.
    pub(super) fn read(settings: &Settings) -> Result<Option<Self>, ConfigError> {
        let Some(found) = settings.find("engine.max_rate")? else { return Ok(None) };
        let expected = "records a second such as 5000, or bytes a second such as 20MB or 20MiB, more than 0";
        found.parse(expected, of_text).map(Some)
    }
}

/// A plain number counts records; what has a unit is a size.
fn of_text(text: &str) -> Option<MaxRate> {
    let text = text.trim();
    match text.parse() {
        Ok(records) => NonZeroU64::new(records).map(MaxRate::Records),
        Err(_) => values::bytes(text).and_then(NonZeroU64::new).map(MaxRate::Bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_without_a_unit_counts_records() {
        let records = |n| NonZeroU64::new(n).map(MaxRate::Records);
        let bytes = |n| NonZeroU64::new(n).map(MaxRate::Bytes);
        assert_eq!((of_text("5000"), of_text(" 1 ")), (records(5_000), records(1)));
        assert_eq!(
            (of_text("20MB"), of_text("20 MiB"), of_text("512b")),
            (bytes(20_000_000), bytes(20 << 20), bytes(512))
        );
        for wrong in ["0", "0MB", "-1", "1.5", "fast", "MB", ""] {
            assert_eq!(of_text(wrong), None, "{wrong}");
        }
    }
}
