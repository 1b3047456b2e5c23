//! Result events: what became of each operation, on a topic for whoever asked for it. They hold no value of a payload.
//!
//! It guarantees that a batch is done only when the brokers have its events. What is read again is told again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use enrichers::operation::DatabaseOperation;
use pipeline::Record;
use pipeline::kafka::letters_client;
use pipeline::sink::{Failure, Reject, Verdict};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};
use serde::Serialize;

use super::operation::OperationWrite;
use crate::stores::target::SetupError;

/// How long an event is tried before the batch is done anew.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Sends result events.
pub struct OperationResults {
    producer: FutureProducer,
    topic: String,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationOutcome {
    Applied,
    /// It is older than what was written since.
    Superseded,
    DeadLettered,
}

/// What is told of an operation.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationResult<'o> {
    #[serde(skip_serializing_if = "Option::is_none")]
    operation_id: Option<&'o str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    verb: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<&'o str>,
    outcome: OperationOutcome,
    /// It was done before this time: a copy, or what was read again.
    again: bool,
    /// The id that the database made.
    #[serde(skip_serializing_if = "Option::is_none")]
    generated_id: Option<&'o str>,
    /// The class of its letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'o str>,
    topic: &'o str,
    partition: i32,
    offset: i64,
}

/// What is to be told beside the verdicts of a request, by the places of its writes.
#[derive(Debug, Default)]
pub(super) struct ToldOperations {
    /// Those that were marked before.
    pub(super) again: HashMap<usize, Option<String>>,
    /// Ids that the database made.
    pub(super) made: HashMap<usize, String>,
}

impl<'o> OperationResult<'o> {
    /// Of a record that becomes a letter, as far as it can be read.
    pub fn of_letter(record: &'o Record, operation: Option<&'o DatabaseOperation<'_>>, why: &'o Reject) -> Self {
        Self {
            operation_id: operation.and_then(|operation| operation.metadata.operation_id.as_deref()),
            verb: operation.map(|operation| operation.verb.name()),
            entity: operation.map(|operation| operation.entity.as_ref()),
            outcome: OperationOutcome::DeadLettered,
            again: false,
            generated_id: None,
            error: Some(&why.class),
            topic: &record.at.topic,
            partition: record.at.partition,
            offset: record.offset,
        }
    }

    /// Of a write that is done; letters are told when they are sent.
    fn of_write(place: usize, write: &'o OperationWrite, verdict: &Verdict, told: &'o ToldOperations) -> Option<Self> {
        let before = told.again.get(&place);
        let outcome = match verdict {
            Verdict::Applied => OperationOutcome::Applied,
            Verdict::Superseded if before.is_some() => OperationOutcome::Applied,
            Verdict::Superseded => OperationOutcome::Superseded,
            _ => return None,
        };
        let made = before.and_then(Option::as_ref).or_else(|| told.made.get(&place));
        Some(Self {
            operation_id: write.operation_id(),
            verb: Some(write.verb.name()),
            entity: Some(&write.entity),
            outcome,
            again: before.is_some(),
            generated_id: made.map(String::as_str),
            error: None,
            topic: &write.at.topic,
            partition: write.at.partition,
            offset: write.offset,
        })
    }
}

impl OperationResults {
    /// Connects nowhere yet.
    ///
    /// # Errors
    /// A sentence, where librdkafka does not take the configuration.
    pub fn new(client: &ClientConfig, topic: &str) -> Result<Arc<Self>, SetupError> {
        let mut config = letters_client(client);
        // Copies are allowed, and an idempotent producer may end for good.
        config.set("enable.idempotence", "false").set("message.timeout.ms", TIMEOUT.as_millis().to_string());
        config.set("linger.ms", "5").set("batch.size", "200000");
        let producer = config.create().map_err(|error| SetupError::Unusable(format!("Kafka: {error}")))?;
        Ok(Arc::new(Self { producer, topic: topic.to_owned() }))
    }

    /// Sends the events of writes that are done.
    pub(super) async fn tell(
        &self,
        writes: &[&OperationWrite],
        verdicts: &[Verdict],
        told: &ToldOperations,
    ) -> Result<(), Failure> {
        let all = writes.iter().zip(verdicts).enumerate();
        let events = all.filter_map(|(place, (write, verdict))| OperationResult::of_write(place, write, verdict, told));
        self.send(&events.collect::<Vec<_>>()).await
    }

    /// Sends events, and waits until the brokers have each.
    ///
    /// # Errors
    /// Why one of them may not be there.
    pub async fn send(&self, events: &[OperationResult<'_>]) -> Result<(), Failure> {
        let sent: Vec<_> = events.iter().map(|event| self.enqueue(event)).collect();
        let mut failed = None;
        for sent in sent {
            if let Err(error) = await_delivery(sent).await {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), |error| Err(self.judge(&error)))
    }

    fn enqueue(&self, event: &OperationResult<'_>) -> Result<DeliveryFuture, KafkaError> {
        // A struct of texts and numbers is always JSON.
        let payload = serde_json::to_vec(event).unwrap_or_default();
        let mut record: FutureRecord<'_, str, [u8]> = FutureRecord::to(&self.topic).payload(&payload);
        record.key = event.operation_id;
        self.producer.send_result(record).map_err(|(error, _)| error)
    }

    fn judge(&self, error: &KafkaError) -> Failure {
        let why = format!("result events cannot be written to {} (DATABASE_RESULTS_TOPIC): {error}", self.topic);
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::PolicyViolation
                | RDKafkaErrorCode::MessageSizeTooLarge,
            ) => Failure::misconfigured(why),
            _ => Failure::unavailable(why),
        }
    }
}

async fn await_delivery(sent: Result<DeliveryFuture, KafkaError>) -> Result<(), KafkaError> {
    // The producer is kept until all answers are in; if the channel were cancelled, the event timed out.
    let cancelled = |_| KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
    sent?.await.map_err(cancelled)?.map(drop).map_err(|(error, _)| error)
}
