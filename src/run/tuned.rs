//! The delivery of a consumer, as it is configured: what it is tuned within, its rate, and both as `/health` shows them.

use std::sync::Arc;

use pipeline::engine::delivery::{Delivery, DeliveryStanding};
use pipeline::engine::tuner::{DeliveryCell, TunerBounds};
use pipeline::kafka::{RateLimit, RateLimiter};
use serde_json::{Value, json};

use crate::config::{Config, MaxRate};

/// What chooses size and number of batches, where that is wanted. Neither goes below a tenth of where it begins.
pub(super) fn delivery(system: &'static str, config: &Config) -> Option<Arc<Delivery>> {
    let adaptive = config.adaptive?;
    let start = DeliveryCell { size: config.batch.size, number: config.max_in_flight };
    let least = DeliveryCell { size: (start.size / 10).max(1), number: (start.number / 10).max(1) };
    let most = DeliveryCell { size: adaptive.max_batch_size, number: adaptive.max_in_flight };
    Some(Arc::new(Delivery::new(system, TunerBounds { start, least, most })))
}

/// What holds back, where a rate is set.
pub(super) fn rate(system: &'static str, config: &Config) -> Option<Arc<RateLimiter>> {
    let limit = match config.max_rate? {
        MaxRate::Records(records) => RateLimit::Records(records),
        MaxRate::Bytes(bytes) => RateLimit::Bytes(bytes),
    };
    Some(Arc::new(RateLimiter::new(system, limit)))
}

/// What was chosen, and why.
pub(crate) fn show_delivery(delivery: &Delivery) -> Value {
    let DeliveryStanding { cell, bytes, reason, changes } = delivery.standing();
    json!({
        "batch_size": cell.size,
        "in_flight": cell.number,
        "in_flight_bytes": bytes,
        "reason": reason.name(),
        "changes": changes,
    })
}

/// The rate, and for how long it held batches back.
pub(crate) fn show_rate(rate: &RateLimiter) -> Value {
    let (records, bytes) = match rate.limit() {
        RateLimit::Records(records) => (Some(records), None),
        RateLimit::Bytes(bytes) => (None, Some(bytes)),
    };
    json!({
        "records_per_second": records,
        "bytes_per_second": bytes,
        "held_back_seconds": (rate.holding_time().as_secs_f64() * 1000.0).round() / 1000.0,
    })
}
