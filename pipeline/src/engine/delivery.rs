//! How batches are delivered to a store that is tuned to: the size of batches, their number and their bytes in flight.
//!
//! It owns the tuner and what is known of the store's pressure, and is shared by the poll thread, the slots and the writer.
//! It waits for the store only to ask for its pressure. It guarantees that a store which does not tell it is asked no more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::binding::Binding;
use crate::engine::tuner::{DeliveryCell, Tuner, TunerBounds, TunerReason, TunerWindow};
use crate::sink::{Failure, FailureKind, Pressure};

/// How often the store is asked for its pressure.
const ASK: Duration = Duration::from_secs(5);
/// The part of a node's memory for writes that is taken: its writes are larger than our records, and there are others.
const PART: u64 = 4;
/// From this share of that memory on, a node is about to turn writes away.
const PRESSED: f64 = 0.8;

/// What is chosen now, and why.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryStanding {
    pub cell: DeliveryCell,
    /// Bytes of records in flight, at most, where the store told its limit.
    pub bytes: Option<usize>,
    pub reason: TunerReason,
    pub changes: u64,
}

#[derive(Debug)]
struct DeliveryState {
    tuner: Tuner,
    reason: TunerReason,
    changes: u64,
    bytes: Option<usize>,
    pressed: bool,
}

/// Shared by what cuts batches, what sends them, and whoever looks.
#[derive(Debug)]
pub struct Delivery {
    system: &'static str,
    rejected: AtomicU64,
    state: Mutex<DeliveryState>,
}

impl Delivery {
    pub fn new(system: &'static str, bounds: TunerBounds) -> Self {
        let tuner = Tuner::new(bounds);
        let state = DeliveryState { tuner, reason: TunerReason::Start, changes: 0, bytes: None, pressed: false };
        Self { system, rejected: AtomicU64::new(0), state: Mutex::new(state) }
    }

    /// Size and number as they are used now.
    pub fn cell(&self) -> DeliveryCell {
        self.state.lock().tuner.cell()
    }

    pub fn standing(&self) -> DeliveryStanding {
        let state = self.state.lock();
        DeliveryStanding { cell: state.tuner.cell(), bytes: state.bytes, reason: state.reason, changes: state.changes }
    }

    /// Bytes of records in flight, of so many at most.
    pub(crate) fn limit_bytes(&self, most: usize) -> usize {
        self.state.lock().bytes.map_or(most, |bytes| bytes.min(most))
    }

    /// The store asked a request to wait.
    pub(crate) fn note_rejection(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes in a window: bytes a second, or none where the store was not what all waited for. Returns whether the cell is
    /// another one now.
    pub(crate) fn observe(&self, rate: Option<f64>) -> bool {
        let rejected = self.rejected.swap(0, Ordering::Relaxed);
        let mut state = self.state.lock();
        let window =
            TunerWindow { rate: rate.unwrap_or_default(), rejected, pressed: std::mem::take(&mut state.pressed) };
        let Some(reason) = state.tuner.observe(window) else { return false };
        (state.reason, state.changes) = (reason, state.changes + 1);
        let DeliveryCell { size, number } = state.tuner.cell();
        drop(state);
        metrics::counter!("millrace_adaptive_changes_total", "system" => self.system, "reason" => reason.name())
            .increment(1);
        let rate = rate.unwrap_or_default() as u64;
        let (system, reason) = (self.system, reason.name());
        tracing::debug!(system, size, number, reason, rate, rejected, "Delivery changed");
        self.gauge();
        true
    }

    /// Asks the store for its pressure while it tells, and keeps the metrics fresh; for ever.
    pub(crate) async fn tend(&self, store: &dyn Binding) -> std::convert::Infallible {
        let mut asks = true;
        loop {
            if asks {
                asks = self.take_pressure(store.pressure().await);
            }
            self.gauge();
            tokio::time::sleep(ASK).await;
        }
    }

    /// Returns whether to ask again.
    fn take_pressure(&self, answer: Result<Option<Pressure>, Failure>) -> bool {
        let system = self.system;
        match answer {
            Ok(Some(Pressure { limit, current })) => {
                let mut state = self.state.lock();
                state.bytes = Some(usize::try_from(limit / PART).unwrap_or(usize::MAX).max(1));
                state.pressed = current as f64 >= limit as f64 * PRESSED;
                true
            }
            Ok(None) => false,
            Err(Failure { kind: FailureKind::Unavailable | FailureKind::Broken, .. }) => true,
            Err(failure) => {
                tracing::info!(system, why = &*failure.why, "The store does not tell its pressure; tuned without it");
                false
            }
        }
    }

    fn gauge(&self) {
        let DeliveryStanding { cell, bytes, .. } = self.standing();
        let system = self.system;
        metrics::gauge!("millrace_adaptive_batch_size", "system" => system).set(cell.size as f64);
        metrics::gauge!("millrace_adaptive_in_flight", "system" => system).set(cell.number as f64);
        if let Some(bytes) = bytes {
            metrics::gauge!("millrace_adaptive_in_flight_bytes", "system" => system).set(bytes as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery() -> Delivery {
        let cell = |size, number| DeliveryCell { size, number };
        Delivery::new("s", TunerBounds { start: cell(100, 4), least: cell(10, 1), most: cell(5_000, 8) })
    }

    #[test]
    fn bytes_in_flight_stay_below_a_part_of_what_the_store_holds() {
        let delivery = delivery();
        assert_eq!(delivery.limit_bytes(1_000), 1_000);
        assert!(delivery.take_pressure(Ok(Some(Pressure { limit: 800, current: 0 }))));
        assert_eq!((delivery.limit_bytes(1_000), delivery.limit_bytes(50)), (200, 50));
        assert_eq!(delivery.standing().bytes, Some(200));
    }

    #[test]
    fn a_pressed_store_gets_less_and_one_that_turns_away_too() {
        let delivery = delivery();
        delivery.take_pressure(Ok(Some(Pressure { limit: 1_000, current: 800 })));
        assert!(delivery.observe(None));
        assert_eq!((delivery.cell().number, delivery.standing().reason), (3, TunerReason::Pressure));
        assert!(!delivery.observe(None), "it is told once");
        delivery.note_rejection();
        assert!(delivery.observe(None));
        assert_eq!((delivery.cell().number, delivery.standing().reason), (2, TunerReason::Rejected));
        assert_eq!(delivery.standing().changes, 2);
    }

    #[test]
    fn a_store_that_refuses_to_tell_is_asked_no_more_and_one_that_is_away_is() {
        let delivery = delivery();
        assert!(!delivery.take_pressure(Err(Failure::misconfigured("no right"))));
        assert!(!delivery.take_pressure(Ok(None)));
        assert!(delivery.take_pressure(Err(Failure::unavailable("away"))));
    }
}
