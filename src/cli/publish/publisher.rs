//! The producer: makes the topic when it is missing, sends, and waits for every acknowledgement.
//!
//! It guarantees order within a key, across retries, and that a message which did not arrive is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pipeline::kafka::fit_batch;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::super::{CommandFailure, block_on};
use crate::config::{Config, Kafka};
use crate::synthetic::SyntheticEvent;

/// How long brokers may take to answer at all.
const CONNECT: Duration = Duration::from_secs(8);
/// How long a message may take to be acknowledged.
pub(in crate::cli) const DELIVERY: Duration = Duration::from_secs(60);

/// What was delivered and what was not; shared with librdkafka's callbacks.
#[derive(Clone, Default)]
struct Deliveries(Arc<PublishTally>);

#[derive(Default)]
struct PublishTally {
    delivered: AtomicU64,
    failed: AtomicU64,
    /// The first message that failed.
    failure: Mutex<Option<KafkaError>>,
    /// What the client said last of its connections.
    trouble: Mutex<Option<String>>,
}

impl ClientContext for Deliveries {
    // One line at the end says it all; the client's own lines are for whoever asks.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // That all brokers are down says less than why the last one is.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            // How often and in which state says nothing to a person.
            let reason = reason.split(" (after ").next().unwrap_or(reason);
            *self.0.trouble.lock() = Some(reason.to_owned());
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.0.delivered.fetch_add(1, Ordering::Relaxed),
            Err((error, _)) => {
                let mut failure = self.0.failure.lock();
                failure.get_or_insert_with(|| error.clone());
                self.0.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

/// librdkafka's own default, before compression.
const BATCH_BYTES: u64 = 1_000_000;

/// Has every event delivered once and in the order of its key, to the partition that the other producers choose.
pub(in crate::cli) fn set_delivery(client: &mut ClientConfig) {
    client.set("enable.idempotence", "true");
    // A user's events go where those of the other producers go.
    client.set("partitioner", "murmur2_random");
    client.set("message.timeout.ms", DELIVERY.as_millis().to_string());
}

/// A producer that tells this of its deliveries.
pub(in crate::cli) fn producer<C: ProducerContext + 'static>(
    config: &ClientConfig,
    deliveries: C,
) -> Result<ThreadedProducer<C>, CommandFailure> {
    ThreadedProducer::from_config_and_context(config, deliveries)
        .map_err(|error| CommandFailure::config(format!("the Kafka settings are not accepted: {error}")))
}

/// A producer for some topics; what is sent without a topic goes to the first.
pub(in crate::cli) struct Publisher<'a> {
    topics: Vec<&'a str>,
    kafka: &'a Kafka,
    client: ClientConfig,
    tuned: ClientConfig,
    producer: ThreadedProducer<Deliveries>,
    deliveries: Deliveries,
}

impl<'a> Publisher<'a> {
    pub(in crate::cli) fn connect(config: &'a Config, topic: &'a str) -> Result<Self, CommandFailure> {
        Self::connect_to(config, vec![topic])
    }

    pub(in crate::cli) fn connect_to(config: &'a Config, topics: Vec<&'a str>) -> Result<Self, CommandFailure> {
        let client = config.kafka.client_config();
        let mut tuned = client.clone();
        for (name, value) in [
            ("linger.ms", "20"),
            ("compression.codec", "lz4"),
            ("batch.num.messages", "10000"),
            ("queue.buffering.max.kbytes", "65536"),
        ] {
            if tuned.get(name).is_none() {
                tuned.set(name, value);
            }
        }
        set_delivery(&mut tuned);
        let deliveries = Deliveries::default();
        let producer = producer(&tuned, deliveries.clone())?;
        Ok(Self { topics, kafka: &config.kafka, client, tuned, producer, deliveries })
    }

    /// Bounds batches by what the topics take, or messages that fit would be refused with the batch that they travel in.
    fn fit(&mut self) -> Result<(), CommandFailure> {
        let bytes = self.tuned.get("batch.size").and_then(|text| text.parse().ok()).unwrap_or(BATCH_BYTES);
        let fits = self.topics.iter().map(|topic| fit_batch(&self.client, topic, bytes)).min().unwrap_or(bytes);
        if fits < bytes {
            self.tuned.set("batch.size", fits.to_string());
            self.producer = producer(&self.tuned, self.deliveries.clone())?;
        }
        Ok(())
    }

    /// Creates the topics that are missing; to be called before anything is sent.
    pub(in crate::cli) fn ensure_topics(
        &mut self,
        partitions: i32,
        replication: Option<u16>,
    ) -> Result<(), CommandFailure> {
        let metadata =
            self.producer.client().fetch_metadata(None, CONNECT).map_err(|error| self.unreachable(&error))?;
        let there = |name: &str| metadata.topics().iter().any(|topic| topic.name() == name);
        let missing: Vec<&str> = self.topics.iter().copied().filter(|name| !there(name)).collect();
        if missing.len() < self.topics.len() {
            self.fit()?;
        }
        if missing.is_empty() {
            return Ok(());
        }
        let copies = || TopicReplication::Fixed(replication.map_or(-1, i32::from));
        let admin: AdminClient<Deliveries> =
            AdminClient::from_config_and_context(&self.client, self.deliveries.clone())
                .map_err(|error| CommandFailure::config(format!("the Kafka settings are not accepted: {error}")))?;
        let options = AdminOptions::new().request_timeout(Some(CONNECT)).operation_timeout(Some(CONNECT));
        let topics: Vec<NewTopic<'_>> =
            missing.iter().map(|topic| NewTopic::new(topic, partitions, copies())).collect();
        let created = block_on(async { Ok(admin.create_topics(&topics, &options).await) })?;
        let failure = |topic: &str, why: &str| {
            let advice = "create it, or allow this client to (TOPIC_REPLICATION sets its copies)";
            let servers = &self.kafka.bootstrap_servers;
            CommandFailure::unavailable(format!("cannot create the topic {topic} at {servers}: {why}; {advice}"))
        };
        let created = created.map_err(|error| failure(&missing.join(", "), &error.to_string()))?;
        if created.len() < missing.len() {
            return Err(failure(&missing.join(", "), "the brokers did not say why"));
        }
        let refused = created.into_iter().filter_map(Result::err);
        let refused = refused.filter(|(_, code)| *code != RDKafkaErrorCode::TopicAlreadyExists);
        refused.map(|(topic, code)| Err(failure(&topic, &code.to_string()))).next().unwrap_or(Ok(()))
    }

    pub(in crate::cli) fn send(&self, event: &SyntheticEvent) -> Result<(), CommandFailure> {
        self.put(&event.key, event.payload.as_deref())
    }

    /// Sends one message; without a payload it is a null.
    pub(in crate::cli) fn put(&self, key: &str, payload: Option<&str>) -> Result<(), CommandFailure> {
        self.put_to(self.topics.first().copied().unwrap_or_default(), key, payload)
    }

    /// As [`Self::put`], to one of its topics.
    pub(in crate::cli) fn put_to(&self, topic: &str, key: &str, payload: Option<&str>) -> Result<(), CommandFailure> {
        let mut record: BaseRecord<'_, str, str> = BaseRecord::to(topic).key(key);
        record.payload = payload;
        loop {
            if self.deliveries.0.failed.load(Ordering::Relaxed) > 0 {
                return self.finish(0);
            }
            record = match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => record,
                Err((error, _)) => return Err(self.delivery_failure(1, &error)),
            };
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for every acknowledgement.
    pub(in crate::cli) fn finish(&self, records: u64) -> Result<(), CommandFailure> {
        let flushed = self.producer.flush(DELIVERY + CONNECT);
        let failure = self.deliveries.0.failure.lock().clone();
        let failed = self.deliveries.0.failed.load(Ordering::Relaxed);
        if let Some(error) = failure.or_else(|| flushed.err()) {
            let missing = records.saturating_sub(self.deliveries.0.delivered.load(Ordering::Relaxed));
            return Err(self.delivery_failure(missing.max(failed), &error));
        }
        // The last report may still be on its way through the polling thread.
        let waited = Instant::now();
        while self.deliveries.0.delivered.load(Ordering::Relaxed) < records {
            if waited.elapsed() > CONNECT {
                let missing = records - self.deliveries.0.delivered.load(Ordering::Relaxed);
                return Err(CommandFailure::again(format!(
                    "{missing} messages were not acknowledged by {}",
                    self.kafka.bootstrap_servers
                )));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn unreachable(&self, error: &KafkaError) -> CommandFailure {
        let trouble = self.deliveries.0.trouble.lock().clone();
        let why = trouble.unwrap_or_else(|| error.to_string());
        let advice = self.kafka.advice(&why);
        CommandFailure::unavailable(format!("cannot reach Kafka at {}: {why}; {advice}", self.kafka.bootstrap_servers))
    }

    fn delivery_failure(&self, count: u64, error: &KafkaError) -> CommandFailure {
        let message = format!("{count} messages were not delivered to {}: {error}", self.kafka.bootstrap_servers);
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::MessageTimedOut
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure,
            ) => CommandFailure::unavailable(message),
            _ => CommandFailure::again(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;
    use crate::cli::CommandExit;
    use crate::synthetic::GeneratorOptions;

    fn config(servers: &str) -> Config {
        Config::from_variables([("KAFKA_BOOTSTRAP_SERVERS".to_owned(), servers.to_owned())]).unwrap()
    }

    fn publish(config: &Config) -> Result<(), CommandFailure> {
        let options = GeneratorOptions { count: 300, null_ratio: 0.1, ..GeneratorOptions::new(1, Utc::now()) };
        let mut publisher = Publisher::connect(config, "events")?;
        publisher.ensure_topics(1, None)?;
        options.events().unwrap().try_for_each(|event| publisher.send(&event))?;
        publisher.finish(options.counts().unwrap().records())
    }

    #[test]
    fn every_message_is_acknowledged() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("events", 3, 1).unwrap();
        publish(&config(&cluster.bootstrap_servers())).unwrap();
    }

    #[test]
    fn messages_that_are_refused_are_counted() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("events", 3, 1).unwrap();
        let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 1];
        cluster.request_errors(RDKafkaApiKey::Produce, &refused);
        let failure = publish(&config(&cluster.bootstrap_servers())).unwrap_err();
        assert_eq!(failure.code, CommandExit::Again);
        assert!(failure.message.contains(" messages were not delivered to 127.0.0.1:"), "{failure}");
    }
}
