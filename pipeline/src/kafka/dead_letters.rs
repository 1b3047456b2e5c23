//! The producer of dead letters: idempotent, acknowledged by all in-sync replicas, size limits at their maximum.

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};

use crate::dead_letters::{DeadLetters, Letter, header, topic_of};
use crate::record::Header;
use crate::sink::{Answer, Failure};

/// Sends letters to `<topic>.dlq`.
pub struct KafkaDeadLetters {
    config: ClientConfig,
    producer: Mutex<FutureProducer>,
}

impl KafkaDeadLetters {
    /// `client` has the brokers and their security; what keeps letters safe is set here.
    ///
    /// # Errors
    /// When librdkafka does not accept the configuration.
    pub fn new(client: &ClientConfig) -> KafkaResult<Self> {
        let mut config = client.clone();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.max.bytes", "1000000000")
            .set("message.timeout.ms", "30000")
            .set("linger.ms", "5");
        let producer = Mutex::new(config.create()?);
        Ok(Self { config, producer })
    }

    fn producer(&self) -> FutureProducer {
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        // After a fatal error an idempotent producer refuses everything; only a new one can go on.
        if producer.client().fatal_error().is_some()
            && let Ok(new) = self.config.create()
        {
            *producer = new;
        }
        producer.clone()
    }

    fn enqueue(
        producer: &FutureProducer,
        letter: &Letter<'_>,
        headers: &[Header],
    ) -> Result<DeliveryFuture, KafkaError> {
        let topic = topic_of(&letter.record.at.topic);
        let owned = headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |owned, header| {
            owned.insert(KafkaHeader { key: &header.name, value: header.value.as_deref() })
        });
        let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&topic).headers(owned);
        record.key = letter.record.key.as_deref();
        record.payload = letter.record.payload.as_deref();
        producer.send_result(record).map_err(|(error, _)| error)
    }

    async fn deliver(&self, letters: &[Letter<'_>]) -> Vec<Result<(), Failure>> {
        let producer = self.producer();
        let sent: Vec<_> = letters.iter().map(|letter| Self::enqueue(&producer, letter, &letter.headers())).collect();
        let mut answers = Vec::with_capacity(letters.len());
        for (letter, sent) in letters.iter().zip(sent) {
            let answer = match acknowledged(sent).await {
                Err(error) if too_large(&error) => {
                    let mut headers = letter.headers();
                    headers.retain(|header| !header::OPTIONAL.contains(&header.name.as_str()));
                    acknowledged(Self::enqueue(&producer, letter, &headers)).await
                }
                answer => answer,
            };
            answers.push(answer.map_err(|error| judge(letter, &error)));
        }
        answers
    }
}

impl DeadLetters for KafkaDeadLetters {
    fn send<'a>(&'a self, letters: &'a [Letter<'a>]) -> Answer<'a, Vec<Result<(), Failure>>> {
        Box::pin(self.deliver(letters))
    }
}

async fn acknowledged(sent: Result<DeliveryFuture, KafkaError>) -> Result<(), KafkaError> {
    // The producer is kept until all answers are in, so the channel cannot be cancelled; if it were, it timed out.
    let cancelled = |_| KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
    let delivered: OwnedDeliveryResult = sent?.await.map_err(cancelled)?;
    delivered.map(|_| ()).map_err(|(error, _)| error)
}

fn too_large(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
}

fn judge(letter: &Letter<'_>, error: &KafkaError) -> Failure {
    let topic = topic_of(&letter.record.at.topic);
    let record = letter.record;
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => Failure::misconfigured(format!(
            "{topic} refuses the letter of {}@{} ({} bytes) for its size: raise max.message.bytes of {topic}",
            record.at,
            record.offset,
            record.payload.as_ref().map_or(0, |payload| payload.len())
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
