//! The state topic: compacted, one partition. Read as a whole, written with the word of all replicas, and followed.
//!
//! Reading and writing block the thread that asks; following has a thread of its own. It guarantees that what was written
//! is known to whoever reads afterwards.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::REQUEST;
use super::read::{read_topic, reader};
use super::topics::{TopicError, list};
use crate::offsets::settled::SettledBook;
use crate::state::{Loss, LossBook, StateEntry, acknowledge};

/// Why the state topic could not be read or written.
#[derive(Debug, Error)]
pub enum StateError {
    #[error("{topic} cannot be read ({error})")]
    Read { topic: String, error: KafkaError },
    #[error("{topic} cannot be written ({error})")]
    Write { topic: String, error: KafkaError },
    #[error("an entry of {0} cannot be made, which is a bug")]
    Entry(String),
}

/// Reads and writes the state topic.
#[derive(Clone)]
pub struct StateTopic {
    client: ClientConfig,
    topic: String,
}

impl StateTopic {
    pub fn new(client: &ClientConfig, topic: &str) -> Self {
        Self { client: client.clone(), topic: topic.to_owned() }
    }

    /// Creates the topic where it is missing: one partition, compacted. `replication` is the cluster's default when `None`.
    ///
    /// # Errors
    /// When the brokers cannot be reached or refuse.
    pub async fn ensure(&self, replication: Option<i32>) -> Result<(), TopicError> {
        // Whoever may not create topics may still use one that is there.
        let known: HashSet<String> = list(&self.client).await?;
        if known.contains(&self.topic) {
            return Ok(());
        }
        let admin: AdminClient<DefaultClientContext> = self.client.create()?;
        let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
        let new = NewTopic::new(&self.topic, 1, TopicReplication::Fixed(replication.unwrap_or(-1)))
            .set("cleanup.policy", "compact");
        for result in admin.create_topics([&new], &options).await? {
            match result {
                Ok(topic) => tracing::info!(topic, "State topic created"),
                // By another instance, a moment ago.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(TopicError::StateRefused { topic, code }),
            }
        }
        Ok(())
    }

    /// Everything that the topic tells of losses, to its present end. Blocks the thread.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub fn losses(&self) -> Result<LossBook, StateError> {
        let mut book = LossBook::default();
        self.read(|key, value| book.apply(key, value)).map(|()| book)
    }

    /// The letters that the topic tells to be dealt with, to its present end. Blocks the thread.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub fn read_settled(&self) -> Result<SettledBook, StateError> {
        let mut book = SettledBook::default();
        self.read(|key, value| book.apply(key, value)).map(|()| book)
    }

    /// Gives the key and the value of every entry, to the present end; an error of the visitor is logged. Blocks the thread.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub fn read(
        &self,
        mut apply: impl FnMut(Option<&Bytes>, Option<&Bytes>) -> Result<(), String>,
    ) -> Result<(), StateError> {
        let each = |record: crate::Record| self.note(apply(record.key.as_ref(), record.payload.as_ref()));
        let read = read_topic(&self.client, &self.topic, each);
        read.map(|_| ()).map_err(|error| StateError::Read { topic: self.topic.clone(), error })
    }

    fn note(&self, applied: Result<(), String>) {
        if let Err(why) = applied {
            tracing::warn!(topic = self.topic, why, "An entry of the state topic cannot be read");
        }
    }

    /// Writes down what is new of these losses; gives for each how many records nobody has counted before. Blocks the thread.
    ///
    /// # Errors
    /// When the brokers do not answer; it may be written all the same.
    pub(crate) fn write_losses(&self, losses: &[Loss]) -> Result<Vec<u64>, StateError> {
        // Another member may have found the same and died before its commit.
        let book = self.losses()?;
        let (mut entries, mut new) = (Vec::new(), Vec::new());
        for loss in losses {
            let (entry, counted) = book.record(loss).map_err(|_| StateError::Entry(self.topic.clone()))?;
            entries.extend(entry);
            new.push(counted);
        }
        self.write(&entries)?;
        Ok(new)
    }

    /// Acknowledges losses. Blocks the thread.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub fn acknowledge(&self, losses: &[Loss]) -> Result<(), StateError> {
        let entries: Result<Vec<StateEntry>, _> = losses.iter().map(acknowledge).collect();
        self.write(&entries.map_err(|_| StateError::Entry(self.topic.clone()))?)
    }

    /// Writes entries and waits until all replicas that are in sync have them. Blocks the thread.
    ///
    /// # Errors
    /// When the brokers refuse or do not answer.
    pub fn write(&self, entries: &[StateEntry]) -> Result<(), StateError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.produce(entries).map_err(|error| StateError::Write { topic: self.topic.clone(), error })
    }

    fn produce(&self, entries: &[StateEntry]) -> KafkaResult<()> {
        let mut config = self.client.clone();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("message.timeout.ms", REQUEST.as_millis().to_string());
        let heard = Heard::default();
        let producer: ThreadedProducer<Heard> = config.create_with_context(heard.clone())?;
        for StateEntry { key, value } in entries {
            let mut record: BaseRecord<'_, str, str> = BaseRecord::to(&self.topic).partition(0).key(key);
            record.payload = value.as_deref();
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(REQUEST + Duration::from_secs(1))?;
        let failed = heard.0.lock().take();
        failed.map_or(Ok(()), Err)
    }

    /// Follows the topic on a thread of its own until the token is cancelled: `changed` is told at the present end, and
    /// after each change; `trouble` is told why it cannot be read.
    ///
    /// # Errors
    /// When there is no thread for it, or no client.
    pub(super) fn follow(
        self,
        stop: CancellationToken,
        changed: impl Fn(&LossBook) + Send + 'static,
        trouble: impl Fn(String) + Send + 'static,
    ) -> KafkaResult<()> {
        let consumer = reader(self.client.clone())?;
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(&self.topic, 0, Offset::Beginning)?;
        consumer.assign(&from)?;
        let follow = move || {
            let (mut book, mut at_end) = (LossBook::default(), false);
            while !stop.is_cancelled() {
                match consumer.poll(Duration::from_millis(500)) {
                    Some(Ok(message)) => {
                        let owned = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
                        self.note(book.apply(owned(message.key()).as_ref(), owned(message.payload()).as_ref()));
                        if at_end {
                            changed(&book);
                        }
                    }
                    Some(Err(KafkaError::PartitionEOF(_))) => {
                        at_end = true;
                        changed(&book);
                    }
                    Some(Err(error)) if lasting(&error) => {
                        trouble(format!(
                            "{} cannot be read ({error}): check that it exists and may be read",
                            self.topic
                        ));
                    }
                    // The connection comes back by itself.
                    Some(Err(_)) | None => {}
                }
            }
        };
        let begun = std::thread::Builder::new().name("state".into()).spawn(follow);
        begun.map(|_| ()).map_err(|_| KafkaError::Canceled)
    }
}

/// What does not pass by itself.
fn lasting(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
        )
    )
}

/// Keeps the first failure of a delivery.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Option<KafkaError>>>);

impl ClientContext for Heard {}

impl ProducerContext for Heard {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {
        if let Err((error, _)) = result {
            self.0.lock().get_or_insert(error.clone());
        }
    }
}
