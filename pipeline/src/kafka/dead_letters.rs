//! The producer of dead letters: idempotent, acknowledged by all in-sync replicas, compressed, size limits at their maximum.
//!
//! A broker judges a batch as it is compressed, and refuses it as a whole. So a batch is bounded by the topic's limit, and of one that
//! is refused each letter is sent again in a batch of its own, whole; only when it is refused alone it goes without what is optional.

use std::collections::HashMap;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};

use super::topics::batch_limit;
use crate::dead_letters::{DeadLetter, DeadLetters, header, topic_of};
use crate::record::Header;
use crate::sink::Failure;

/// The largest batch, before compression; librdkafka's own default.
const BATCH_BYTES: u64 = 1_000_000;

/// Sends letters to `<topic>.dlq`.
pub struct KafkaDeadLetters {
    client: ClientConfig,
    /// Letters of a topic travel together.
    together: Mutex<Way>,
    /// Each letter is a batch.
    alone: Mutex<Way>,
    /// What the topics take, as far as the brokers tell.
    limits: Mutex<HashMap<String, Option<u64>>>,
}

/// A producer, and the bound of its batches.
struct Way {
    producer: FutureProducer,
    config: ClientConfig,
    bytes: u64,
}

impl Way {
    fn new(mut config: ClientConfig, bytes: u64) -> KafkaResult<Self> {
        config.set("batch.size", bytes.to_string());
        Ok(Self { producer: config.create()?, config, bytes })
    }

    /// The producer, with batches of at most so many bytes.
    fn producer_for(&mut self, bytes: u64) -> FutureProducer {
        // After a fatal error an idempotent producer refuses everything; only a new one can go on.
        if (self.bytes > bytes || self.producer.client().fatal_error().is_some())
            && let Ok(new) = Self::new(self.config.clone(), self.bytes.min(bytes))
        {
            *self = new;
        }
        self.producer.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// What a producer of dead letters is made of: each is acknowledged by all replicas, and compressed whatever a user sets.
pub fn letters_client(client: &ClientConfig) -> ClientConfig {
    let mut config = client.clone();
    // Another name of what is set here; which of the two would win is left to chance.
    config.remove("compression.type");
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.codec", "zstd")
        .set("message.max.bytes", "1000000000");
    config
}

/// Headers as librdkafka takes them.
pub fn copy_headers<'h>(headers: impl IntoIterator<Item = &'h Header>) -> OwnedHeaders {
    headers.into_iter().fold(OwnedHeaders::new(), |owned, header| {
        owned.insert(KafkaHeader { key: &header.name, value: header.value.as_deref() })
    })
}

impl KafkaDeadLetters {
    /// `client` has the brokers and their security; what keeps letters safe is set here.
    ///
    /// # Errors
    /// When librdkafka does not accept the configuration.
    pub fn new(client: &ClientConfig) -> KafkaResult<Self> {
        let mut config = letters_client(client);
        config.set("message.timeout.ms", "30000").set("linger.ms", "5");
        let mut alone = config.clone();
        alone.set("batch.num.messages", "1").set("linger.ms", "0");
        Ok(Self {
            client: client.clone(),
            together: Mutex::new(Way::new(config, BATCH_BYTES)?),
            alone: Mutex::new(Way::new(alone, BATCH_BYTES)?),
            limits: Mutex::default(),
        })
    }

    /// The largest batch that all of these letters' topics take.
    async fn batch_bound(&self, letters: &[DeadLetter<'_>]) -> u64 {
        let mut bound = BATCH_BYTES;
        let mut last = None;
        for source in letters.iter().map(|letter| &letter.record.at.topic) {
            if last.replace(source).is_some_and(|last| last == source) {
                continue;
            }
            let topic = topic_of(source);
            let known = lock(&self.limits).get(&topic).copied();
            let limit = match known {
                Some(limit) => limit,
                // Where the brokers do not answer, they are asked again with the next letters.
                None => match batch_limit(&self.client, &topic).await {
                    Ok(limit) => *lock(&self.limits).entry(topic).or_insert(limit),
                    Err(_) => None,
                },
            };
            bound = bound.min(limit.unwrap_or(BATCH_BYTES).max(1));
        }
        bound
    }

    fn enqueue(
        producer: &FutureProducer,
        letter: &DeadLetter<'_>,
        headers: &[Header],
    ) -> Result<DeliveryFuture, KafkaError> {
        let topic = topic_of(&letter.record.at.topic);
        let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&topic).headers(copy_headers(headers));
        record.key = letter.record.key.as_deref();
        record.payload = letter.record.payload.as_deref();
        producer.send_result(record).map_err(|(error, _)| error)
    }

    /// The batch may have been refused for its other letters: so this one alone and whole, then without what is optional.
    async fn deliver_alone(&self, letter: &DeadLetter<'_>) -> Result<(), KafkaError> {
        // The topic takes less than it was known to.
        lock(&self.limits).remove(&topic_of(&letter.record.at.topic));
        let producer = lock(&self.alone).producer_for(BATCH_BYTES);
        let mut headers = letter.headers();
        match await_acknowledgement(Self::enqueue(&producer, letter, &headers)).await {
            Err(error) if too_large(&error) => {
                headers.retain(|header| !header::OPTIONAL.contains(&header.name.as_str()));
                await_acknowledgement(Self::enqueue(&producer, letter, &headers)).await
            }
            answer => answer,
        }
    }
}

#[async_trait]
impl DeadLetters for KafkaDeadLetters {
    async fn send(&self, letters: &[DeadLetter<'_>]) -> Vec<Result<(), Failure>> {
        let bound = self.batch_bound(letters).await;
        let producer = lock(&self.together).producer_for(bound);
        let sent: Vec<_> = letters.iter().map(|letter| Self::enqueue(&producer, letter, &letter.headers())).collect();
        let mut answers = Vec::with_capacity(letters.len());
        for (letter, sent) in letters.iter().zip(sent) {
            let answer = match await_acknowledgement(sent).await {
                Err(error) if too_large(&error) => self.deliver_alone(letter).await,
                answer => answer,
            };
            answers.push(answer.map_err(|error| judge(letter, &error)));
        }
        answers
    }
}

async fn await_acknowledgement(sent: Result<DeliveryFuture, KafkaError>) -> Result<(), KafkaError> {
    // The producer is kept until all answers are in, so the channel cannot be cancelled; if it were, it timed out.
    let cancelled = |_| KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
    let delivered: OwnedDeliveryResult = sent?.await.map_err(cancelled)?;
    delivered.map(|_| ()).map_err(|(error, _)| error)
}

fn too_large(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
}

/// Less than a broker's default of `socket.request.max.bytes`, 100 MiB.
const BROKER_REQUEST_BYTES: usize = 100_000_000;

fn judge(letter: &DeadLetter<'_>, error: &KafkaError) -> Failure {
    let topic = topic_of(&letter.record.at.topic);
    let record = letter.record;
    let size = record.payload.as_ref().map_or(0, |payload| payload.len());
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => Failure::misconfigured(format!(
            "{topic} refuses the letter of {}@{} ({size} bytes before compression) for its size: raise max.message.bytes of {topic}",
            record.at, record.offset,
        )),
        // A broker cuts the connection of whoever sends it more than socket.request.max.bytes.
        _ if size > BROKER_REQUEST_BYTES => Failure::unavailable(format!(
            "the letter of {}@{} ({size} bytes before compression) cannot be written to {topic}: {error}; it may be more than the \
             brokers take: raise their socket.request.max.bytes",
            record.at, record.offset,
        )),
        Some(
            RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::PolicyViolation,
        ) => Failure::misconfigured(format!("dead letters cannot be written to {topic}: {error}")),
        _ => Failure::unavailable(format!("dead letters cannot be written to {topic}: {error}")),
    }
}
