//! A consumer that only asks, and the metadata of the brokers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::{ClientConfig, ClientContext};

use super::context::trouble;
use super::{NO_SESSION, REQUEST};

/// How long brokers have after the client said that something is wrong.
const PATIENCE: Duration = Duration::from_secs(3);

/// Keeps what the client says of its connections; the error that a call ends with is only that time was up.
#[derive(Clone, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    fn is_known(&self) -> bool {
        self.0.lock().is_some()
    }

    pub(super) fn why(&self, error: &KafkaError) -> String {
        let said = self.0.lock().clone();
        said.unwrap_or_else(|| error.to_string())
    }
}

impl ClientContext for Trouble {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(trouble) = trouble(&error, reason) {
            *self.0.lock() = Some(trouble);
        }
    }
}

impl ConsumerContext for Trouble {}

pub(super) fn consumer(client: &ClientConfig, group: &str) -> Result<(BaseConsumer<Trouble>, Trouble), String> {
    let trouble = Trouble::default();
    let mut config = client.clone();
    config.set("group.id", group).set("allow.auto.create.topics", "false").set("enable.auto.commit", "false");
    config.set("session.timeout.ms", NO_SESSION);
    let consumer =
        BaseConsumer::from_config_and_context(&config, trouble.clone()).map_err(|error| error.to_string())?;
    Ok((consumer, trouble))
}

/// Asks for the brokers and all topics; asking for one by name could make some brokers create it. Blocks the thread for
/// some seconds at most.
pub(super) fn metadata(client: &ClientConfig) -> Result<Metadata, String> {
    let (consumer, trouble) = consumer(client, "millrace-inspector")?;
    let mut deadline = Instant::now() + REQUEST;
    loop {
        match consumer.fetch_metadata(None, Duration::from_secs(1)) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => {
                // Serves the connection's troubles, which no other call does.
                drop(consumer.poll(Duration::from_millis(10)));
                if Instant::now() > deadline {
                    return Err(trouble.why(&error));
                }
                deadline = deadline.min(Instant::now() + if trouble.is_known() { PATIENCE } else { REQUEST });
            }
        }
    }
}
