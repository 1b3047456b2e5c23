//! A typed producer: events in, acknowledged records out.
//!
//! It waits for the brokers. It guarantees that an event is what its type says, that the events of a subject keep their order
//! across retries, and that an event is acknowledged by all replicas in sync, or an error.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::Delivery;
use rdkafka::producer::{FutureProducer, FutureRecord};
use uuid::Uuid;

use crate::read_value::Invalid;
use crate::{CloudAttributes, Event, EventData, EventVersion, Id, Timestamp, write};

/// After this long a topic that does not exist is said to be unknown.
const UNKNOWN_TOPIC: Duration = Duration::from_secs(5);

/// How events are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventProducerOptions {
    pub version: EventVersion,
    /// What stands before the names of the topics.
    pub topic_prefix: String,
    /// Write the headers of a CloudEvent, with this as `ce_source`.
    pub cloud_source: Option<String>,
    /// How long an acknowledgement may take.
    pub timeout: Duration,
}

impl Default for EventProducerOptions {
    fn default() -> Self {
        let timeout = Duration::from_secs(30);
        Self { version: EventVersion::V2, topic_prefix: String::new(), cloud_source: None, timeout }
    }
}

/// Why an event was not sent, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    #[error("the Kafka settings are not accepted: {0}")]
    Settings(KafkaError),
    #[error("the event cannot be written: {0}")]
    Unwritable(String),
    #[error("{topic}: the event was not acknowledged: {error}")]
    Unacknowledged { topic: String, error: KafkaError },
}

/// Where an event stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    pub id: Id,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

/// An event that was written before, such as a row of an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingEvent<'a> {
    /// The name of its event, which with the prefix is its topic.
    pub event_type: &'a str,
    pub key: &'a str,
    pub id: &'a str,
    pub payload: &'a [u8],
}

/// Sends events to their topics.
#[derive(Clone)]
pub struct EventProducer {
    producer: FutureProducer,
    options: EventProducerOptions,
}

impl EventProducer {
    /// Makes a producer of what a client needs: `bootstrap.servers`, security. Nothing is connected yet.
    ///
    /// # Errors
    /// The settings are not accepted.
    pub fn new(client: &ClientConfig, options: EventProducerOptions) -> Result<Self, ProducerError> {
        let mut config = client.clone();
        config
            .set("enable.idempotence", "true")
            // A subject's events go where those of producers in other languages go.
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", options.timeout.as_millis().to_string());
        let unknown_topic = (options.timeout / 2).min(UNKNOWN_TOPIC).as_millis().max(1).to_string();
        for (name, value) in [("linger.ms", "5"), ("topic.metadata.propagation.max.ms", &unknown_topic)] {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        let producer = config.create().map_err(ProducerError::Settings)?;
        Ok(Self { producer, options })
    }

    /// Sends an event that happens now, under a new id.
    ///
    /// # Errors
    /// It was not acknowledged in time. It may be in the log all the same; sent again with [`Self::send_event`] under its id, it counts once.
    pub async fn send(&self, data: impl Into<EventData>) -> Result<Produced, ProducerError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_millis()).unwrap_or_default();
        let time = i64::try_from(now).ok().and_then(Timestamp::from_millis);
        let time = time.ok_or_else(|| ProducerError::Unwritable("the clock is beyond the year 9999".to_owned()))?;
        let unwritable = |invalid: Invalid| ProducerError::Unwritable(invalid.to_string());
        let id = Id::new(Uuid::new_v4().to_string()).map_err(unwritable)?;
        self.send_event(&Event { id, version: self.options.version, time, data: data.into() }).await
    }

    /// Sends an event as it is.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_event(&self, event: &Event) -> Result<Produced, ProducerError> {
        let payload = write(event).map_err(|error| ProducerError::Unwritable(error.to_string()))?;
        self.send_payload(event, &payload).await
    }

    /// Sends a payload as it is, which says this event: to its topic, under its key.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_payload(&self, event: &Event, payload: &[u8]) -> Result<Produced, ProducerError> {
        let source = self.options.cloud_source.as_deref();
        let headers = source.map(|source| CloudAttributes::headers(event, source)).unwrap_or_default();
        let (topic, at) = self.put(event.name().as_str(), event.data.key(), payload, &headers).await?;
        Ok(Produced { id: event.id.clone(), topic, partition: at.partition, offset: at.offset })
    }

    /// Sends an event that was written before. Those of one key keep the order in which these calls are first polled.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_outgoing(&self, event: OutgoingEvent<'_>) -> Result<(), ProducerError> {
        let source = self.options.cloud_source.as_deref();
        let headers = source.map(|source| CloudAttributes::headers_without_time(event.id, event.event_type, source));
        self.put(event.event_type, event.key, event.payload, &headers.unwrap_or_default()).await.map(drop)
    }

    async fn put(
        &self,
        event_type: &str,
        key: &str,
        payload: &[u8],
        headers: &[(&str, String)],
    ) -> Result<(String, Delivery), ProducerError> {
        let topic = format!("{}{event_type}", self.options.topic_prefix);
        let mut record = FutureRecord::to(&topic).key(key).payload(payload);
        if !headers.is_empty() {
            let put = |all: OwnedHeaders, (key, value): &(&str, String)| all.insert(Header { key, value: Some(value) });
            record = record.headers(headers.iter().fold(OwnedHeaders::new(), put));
        }
        match self.producer.send(record, self.options.timeout).await {
            Ok(at) => Ok((topic, at)),
            Err((error, _)) => Err(ProducerError::Unacknowledged { topic, error }),
        }
    }
}
