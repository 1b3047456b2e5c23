//! From the client's queue into the batcher.

use std::sync::Arc;
use std::time::Instant;

use rdkafka::message::{BorrowedMessage, Message};

use super::assignment::Assignment;
use super::fetched_message::record_of;
use super::monitor::Monitor;
use crate::engine::batcher::{Batch, Batcher};

/// Moves a message into the batcher. `now` may be some milliseconds old: reading the clock costs more than taking a message.
pub(super) fn take(
    assignment: &mut Assignment,
    batcher: &mut Batcher,
    monitor: &mut Monitor,
    topics: &[Arc<str>],
    message: &BorrowedMessage<'_>,
    now: Instant,
    stopping: bool,
) -> Option<Batch> {
    let topic = topics.iter().find(|topic| &***topic == message.topic())?;
    // Without an assignment nothing of the partition is taken, so nothing behind this message can be committed either.
    let held = assignment.find(topic, message.partition()).filter(|_| !stopping)?;
    held.note_poll(message.offset(), message.offset() + 1);
    let record = record_of(message, held.at.clone());
    if record.time_ms().is_none() {
        monitor.timeless(&record.at.topic);
    }
    batcher.push(record, held.epoch, now)
}
