//! What is in hand goes to the engine, when it has room and the rate allows it.
//!
//! It waits a little for either, and after a second pauses the partitions, so that polling goes on.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use super::monitor::FlowState;
use super::poll::{KafkaFeed, POLL};
use crate::engine::batcher::Batch;

/// How long a batch waits for room before the partitions are paused.
const PATIENCE: Duration = Duration::from_secs(1);

/// What became of a batch that was offered.
enum Offered {
    Taken,
    /// There is no room, or it is too early.
    Later(Batch),
    /// The engine is gone.
    Nobody,
}

impl KafkaFeed {
    pub(super) fn flow(&self) -> FlowState {
        FlowState { paused: self.paused, held: self.options.rate.as_ref().is_some_and(|rate| rate.is_holding()) }
    }

    /// Offers the batch in hand, waiting a little; pauses when the engine has had no room for long, and resumes when it has.
    pub(super) fn offer(&mut self) {
        if let Some(delivery) = &self.options.delivery {
            self.batcher.set_records(self.options.fit_records(delivery.cell().size));
        }
        if self.batcher.due_at().is_some_and(|due| due <= Instant::now()) {
            self.in_hand.extend(self.batcher.cut());
        }
        while let Some(batch) = self.in_hand.pop_front() {
            match self.hand_over(batch) {
                Offered::Taken => self.waiting = None,
                Offered::Nobody => return,
                Offered::Later(batch) => {
                    self.in_hand.push_front(batch);
                    let since = *self.waiting.get_or_insert_with(Instant::now);
                    if since.elapsed() >= PATIENCE && !self.paused {
                        self.pause(true);
                    }
                    return;
                }
            }
        }
        self.options.rate.iter().for_each(|rate| rate.release());
        if self.paused {
            self.pause(false);
        }
    }

    fn hand_over(&self, batch: Batch) -> Offered {
        let wait = if self.paused { Duration::ZERO } else { POLL };
        let early = self.options.rate.as_ref().map_or(Duration::ZERO, |rate| rate.hold(Instant::now()));
        if !early.is_zero() {
            if !self.stopping {
                std::thread::sleep(early.min(wait));
            }
            return Offered::Later(batch);
        }
        let batches = self.intake.batches.clone();
        match self.runtime.block_on(async { tokio::time::timeout(wait, batches.reserve()).await }) {
            Ok(Ok(room)) => {
                self.options.rate.iter().for_each(|rate| rate.pass(&batch, Instant::now()));
                room.send(batch);
                Offered::Taken
            }
            Ok(Err(_)) => Offered::Nobody,
            Err(_) => Offered::Later(batch),
        }
    }

    fn pause(&mut self, pause: bool) {
        let all = self.assignment.list();
        let done = if pause { self.consumer.pause(&all) } else { self.consumer.resume(&all) };
        match done {
            Ok(()) => self.paused = pause,
            Err(error) => tracing::warn!(%error, pause, "Partitions could not be paused or resumed"),
        }
        self.monitor.forget_ends();
        self.assignment.forget_ends();
        tracing::debug!(pause, "Partitions paused or resumed");
    }
}
