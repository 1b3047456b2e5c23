//! Live traffic: events that are sent at a rate, each at its time, whatever becomes of those before.
//!
//! It guarantees that a time that was missed is not moved: the record counts from when it was to be sent.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use super::latency::SentRecord;
use crate::cli::CommandFailure;
use crate::cli::headway::wall_micros;
use crate::cli::publish::{DELIVERY, producer, set_delivery};
use crate::config::Config;
use crate::synthetic::SyntheticEvents;

/// Between two looks at the clock where nothing is due.
const NAP: Duration = Duration::from_micros(500);
/// Between two samples of the lag.
const SAMPLE: Duration = Duration::from_millis(50);

#[derive(Clone, Default)]
struct DeliveryReports(Arc<Mutex<(Vec<SentRecord>, Option<KafkaError>)>>);

impl ClientContext for DeliveryReports {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }
}

impl ProducerContext for DeliveryReports {
    /// When the record was to be sent.
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, intended: Box<u64>) {
        let acknowledged = wall_micros();
        let mut heard = self.0.lock();
        match result {
            Ok(message) => {
                let (partition, offset) = (message.partition(), message.offset());
                heard.0.push(SentRecord { partition, offset, intended: *intended, acknowledged });
            }
            Err((error, _)) => heard.1 = Some(error.clone()),
        }
    }
}

/// What is sent at one rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    /// Records a second.
    pub rate: f64,
    pub time: Duration,
}

impl Flow {
    pub(super) fn records(self) -> u64 {
        (self.rate * self.time.as_secs_f64()).ceil() as u64
    }

    /// How many records were to be sent by then.
    fn due(self, elapsed: Duration) -> u64 {
        // The first is due at once.
        ((elapsed.as_secs_f64() * self.rate) as u64 + 1).min(self.records())
    }

    /// When a record is to be sent, since the begin.
    pub(super) fn time_of(self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / self.rate)
    }
}

/// The part of a flow that counts: the begin, and the end, whose last batch waits for its time, are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MeasuredWindow {
    /// Since the begin of the flow.
    pub from: Duration,
    pub to: Duration,
    /// How long the flow goes on afterwards.
    pub tail: Duration,
}

impl MeasuredWindow {
    /// The flow that it is a part of.
    pub(super) fn flow(self, rate: f64) -> Flow {
        Flow { rate, time: self.to + self.tail }
    }

    /// As it is where the flow ends at `end`.
    pub(super) fn before(self, end: Duration) -> Self {
        Self { to: self.to.min(end.saturating_sub(self.tail)).max(self.from), ..self }
    }

    pub(super) fn holds(self, time: Duration) -> bool {
        (self.from..self.to).contains(&time)
    }

    pub(super) fn length(self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// A producer, and the events that it sends.
pub(super) struct Traffic {
    topic: String,
    producer: ThreadedProducer<DeliveryReports>,
    acknowledged: DeliveryReports,
    events: SyntheticEvents,
    /// Records of the topic, as far as they were to be there.
    total: u64,
    /// Sent since the last time that all were waited for.
    open: usize,
}

impl Traffic {
    /// `total` is what the topic holds already.
    pub(super) fn new(
        config: &Config,
        topic: &str,
        events: SyntheticEvents,
        total: u64,
    ) -> Result<Self, CommandFailure> {
        let mut client = config.kafka.client_config();
        set_delivery(&mut client);
        let acknowledged = DeliveryReports::default();
        let producer = producer(&client, acknowledged.clone())?;
        Ok(Self { topic: topic.to_owned(), producer, acknowledged, events, total, open: 0 })
    }

    /// Records of the topic.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Sends a flow. `look` hears now and then how long it goes on, and how many records of the topic were to be sent; it may end
    /// the flow. Returns when it began, in microseconds since 1970. Blocks the thread.
    ///
    /// # Errors
    /// A message that the brokers do not take.
    pub(super) fn send(
        &mut self,
        flow: Flow,
        mut look: impl FnMut(Duration, u64) -> ControlFlow<()>,
    ) -> Result<u64, CommandFailure> {
        let (begun, wall, before) = (Instant::now(), wall_micros(), self.total);
        let (mut number, mut sample) = (0, Duration::ZERO);
        while number < flow.records() {
            let elapsed = begun.elapsed();
            if elapsed >= sample {
                sample = elapsed + SAMPLE;
                if look(elapsed, before + flow.due(elapsed)).is_break() {
                    break;
                }
                self.check()?;
            }
            if number >= flow.due(elapsed) || !self.put(wall + flow.time_of(number).as_micros() as u64)? {
                std::thread::sleep(NAP);
                continue;
            }
            number += 1;
            self.total += 1;
            self.open += 1;
        }
        Ok(wall)
    }

    /// Whether the client took the event; it does not while its queue is full.
    fn put(&mut self, intended: u64) -> Result<bool, CommandFailure> {
        if self.producer.in_flight_count() >= QUEUE {
            return Ok(false);
        }
        let event = self.events.next().ok_or_else(|| CommandFailure::internal("there are no more events"))?;
        let mut record = BaseRecord::with_opaque_to(&self.topic, Box::new(intended)).key(event.key.as_str());
        record.payload = event.payload.as_deref();
        self.producer.send(record).map(|()| true).map_err(|(error, _)| failure(&error))
    }

    fn check(&self) -> Result<(), CommandFailure> {
        self.acknowledged.0.lock().1.as_ref().map_or(Ok(()), |error| Err(failure(error)))
    }

    /// Waits for every acknowledgement, and takes out what was sent since the last time. Blocks the thread.
    ///
    /// # Errors
    /// A message that the brokers do not take.
    pub(super) fn finish(&mut self) -> Result<Vec<SentRecord>, CommandFailure> {
        self.producer.flush(DELIVERY).map_err(|error| failure(&error))?;
        let waited = Instant::now();
        // The last report may still be on its way through the polling thread.
        while self.acknowledged.0.lock().0.len() < self.open {
            self.check()?;
            if waited.elapsed() > DELIVERY {
                return Err(CommandFailure::unavailable("the brokers do not acknowledge what was sent"));
            }
            std::thread::sleep(NAP);
        }
        self.open = 0;
        Ok(std::mem::take(&mut self.acknowledged.0.lock().0))
    }
}

/// Messages that wait for the brokers at most; librdkafka's own bound is 100,000.
const QUEUE: i32 = 50_000;

fn failure(error: &KafkaError) -> CommandFailure {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::QueueFull) => CommandFailure::again("the events are too large for the client's queue"),
        _ => CommandFailure::unavailable(format!("an event was not delivered: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::synthetic::GeneratorOptions;

    #[test]
    fn each_record_has_its_time_and_none_is_left_out() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("live", 3, 1).unwrap();
        let servers = [("KAFKA_BOOTSTRAP_SERVERS".to_owned(), cluster.bootstrap_servers())];
        let config = Config::from_variables(servers).unwrap();
        let events = GeneratorOptions::new(1, Utc::now()).events().unwrap();
        let mut traffic = Traffic::new(&config, "live", events, 100).unwrap();
        let flow = Flow { rate: 1_000.0, time: Duration::from_millis(250) };
        let mut due = Vec::new();
        let begun = traffic
            .send(flow, |_, total| {
                due.push(total);
                ControlFlow::Continue(())
            })
            .unwrap();
        let mut sent = traffic.finish().unwrap();
        assert_eq!((sent.len(), traffic.total(), traffic.finish().unwrap().len()), (250, 350, 0));
        sent.sort_by_key(|record| record.intended);
        let intended: Vec<u64> = sent.iter().map(|record| record.intended - begun).collect();
        assert_eq!(intended, (0..250).map(|number| number * 1_000).collect::<Vec<_>>());
        assert!(sent.iter().all(|record| record.acknowledged >= record.intended), "none was sent before its time");
        assert!(due.is_sorted() && due[0] >= 101 && due.iter().all(|total| *total <= 350), "{due:?}");
        assert_eq!(traffic.send(flow, |_, _| ControlFlow::Break(())).map(|_| traffic.total()).unwrap(), 350);
    }
}
