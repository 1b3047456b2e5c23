//! Dead-letter topics: created where they are missing, large enough for what the source topic may hold.

use std::collections::HashSet;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use thiserror::Error;

use super::REQUEST;
use super::inspect::metadata;
use crate::dead_letters::topic_of;

/// A letter adds headers to its record; its topic has to take messages larger than the source's by so many bytes.
pub const HEADERS_BYTES: u64 = 64 * 1024;
/// Long enough to notice and mend; letters are data that is nowhere else.
const RETENTION_MS: &str = "2592000000";

/// Why a topic could not be made.
#[derive(Debug, Error)]
pub enum TopicError {
    #[error("{0}; check KAFKA_BOOTSTRAP_SERVERS, and that the brokers run")]
    Away(String),
    #[error("the brokers could not be asked: {0}")]
    Kafka(#[from] KafkaError),
    #[error("the dead-letter topic {topic} could not be created: {code}; create it by hand, or allow it to this user")]
    Refused { topic: String, code: RDKafkaErrorCode },
}

/// Creates the dead-letter topics of these topics where they are missing: one partition, 30 days of retention, and the
/// source's `max.message.bytes` with room for the headers. `replication` is the cluster's default when `None`.
///
/// # Errors
/// When the brokers cannot be reached or refuse.
pub async fn ensure_dead_letter_topics(
    client: &ClientConfig,
    topics: &[String],
    replication: Option<i32>,
) -> Result<(), TopicError> {
    // Whoever may not create topics may still write to those that are there.
    let known = list(client).await?;
    let missing: Vec<(&String, String)> =
        topics.iter().map(|source| (source, topic_of(source))).filter(|(_, topic)| !known.contains(topic)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
    for (source, topic) in missing {
        let bytes =
            (max_message_bytes(&admin, &options, source).await?.unwrap_or(1_048_588) + HEADERS_BYTES).to_string();
        let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(replication.unwrap_or(-1)))
            .set("max.message.bytes", &bytes)
            .set("retention.ms", RETENTION_MS);
        for result in admin.create_topics([&new], &options).await? {
            match result {
                Ok(_) => tracing::info!(topic, "Dead-letter topic created"),
                // By another instance, a moment ago.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(TopicError::Refused { topic, code }),
            }
        }
    }
    Ok(())
}

/// The largest message that a topic takes; `None` where it does not exist or does not tell.
async fn max_message_bytes(
    admin: &AdminClient<DefaultClientContext>,
    options: &AdminOptions,
    topic: &str,
) -> Result<Option<u64>, KafkaError> {
    let found = admin.describe_configs([&ResourceSpecifier::Topic(topic)], options).await?;
    let entries = found.into_iter().filter_map(Result::ok).flat_map(|resource| resource.entries);
    Ok(entries.filter(|entry| entry.name == "max.message.bytes").find_map(|entry| entry.value?.parse().ok()))
}

/// The topics there are.
async fn list(client: &ClientConfig) -> Result<HashSet<String>, TopicError> {
    let client = client.clone();
    // The task does not panic, so it can only fail by being cancelled at the end of the program.
    let asked = tokio::task::spawn_blocking(move || metadata(&client)).await;
    let metadata = asked.unwrap_or_else(|_| Err("stopped".to_owned())).map_err(TopicError::Away)?;
    Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
}
