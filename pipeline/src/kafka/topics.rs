//! Dead-letter topics: created where they are missing, large enough for what the source topic may hold; and the receive limit
//! that fits a topic. All sizes here are of batches as they are compressed, which is what brokers compare.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use thiserror::Error;

use super::REQUEST;
use super::ask::metadata;
use crate::dead_letters::topic_of;

/// A letter adds headers to its record, which count for more than the record where records are small.
const HEADERS_BYTES: u64 = 64 * 1024;
/// What Kafka takes where nothing was set.
const DEFAULT_BYTES: u64 = 1_048_588;
/// Kafka keeps sizes in 32 bits.
const LARGEST_BYTES: u64 = 2_147_483_647;
/// librdkafka's own limit of an answer, which holds for a batch after decompression as well.
const RECEIVE_BYTES: u64 = 100_000_000;
/// What an answer holds besides its largest batch.
const ANSWER_BYTES: u64 = 1024 * 1024;
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
    #[error(
        "the state topic {topic} could not be created: {code}; create it by hand (one partition, cleanup.policy=compact), or allow it to this user"
    )]
    StateRefused { topic: String, code: RDKafkaErrorCode },
}

/// The `max.message.bytes` of the dead-letter topic of a topic that takes messages of `source` bytes. Both are compared with
/// batches as they are compressed. A letter is one record compressed anew, with headers, where the source's batch may have been
/// compressed better: by another level, or together with its like.
pub fn letter_bytes(source: u64) -> u64 {
    (source.saturating_mul(2)).max(source.saturating_add(HEADERS_BYTES)).min(LARGEST_BYTES)
}

/// Creates the dead-letter topics of these topics where they are missing: one partition, 30 days of retention, and room for
/// every letter. A smaller limit of one that is there is raised, where this user may. `replication` is the cluster's
/// default when `None`.
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
    let admin = Admin::new(client)?;
    for source in topics {
        let topic = topic_of(source);
        let takes = max_message_bytes(&admin.settings(source).await);
        if known.contains(&topic) {
            if let Some(takes) = takes {
                admin.raise(&topic, letter_bytes(takes)).await;
            }
        } else {
            admin.create(&topic, letter_bytes(takes.unwrap_or(DEFAULT_BYTES)), replication).await?;
        }
    }
    Ok(())
}

/// The client with a receive limit that fits the largest message of these topics; a higher one that a user set stays. Blocks the
/// thread for some seconds at most. What the brokers do not tell changes nothing.
pub fn fit_largest_message(client: &ClientConfig, topics: &[String]) -> ClientConfig {
    let largest = topics.iter().filter_map(|topic| max_message_bytes(&settings(client, topic))).max().unwrap_or(0);
    let set = client.get("receive.message.max.bytes").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut config = client.clone();
    // What is asked for at once needs no raising: a broker sends the first batch whatever its size.
    config.set("receive.message.max.bytes", receive_bytes(largest).max(set).to_string());
    config
}

fn receive_bytes(largest: u64) -> u64 {
    largest.saturating_add(ANSWER_BYTES).clamp(RECEIVE_BYTES, LARGEST_BYTES)
}

/// The largest batch for a producer of a topic, of at most so many bytes: the brokers refuse a batch as a whole. Blocks the
/// thread for some seconds at most.
pub fn fit_batch(client: &ClientConfig, topic: &str, bytes: u64) -> u64 {
    max_message_bytes(&settings(client, topic)).map_or(bytes, |limit| limit.clamp(1, bytes))
}

/// What a topic takes at once; `None` where it does not tell.
pub(super) async fn batch_limit(client: &ClientConfig, topic: &str) -> Result<Option<u64>, KafkaError> {
    Ok(max_message_bytes(&Admin::new(client)?.settings(topic).await))
}

/// How long the brokers have to describe a topic. A broker that cannot says nothing at all.
const DESCRIBE: Duration = Duration::from_secs(3);
/// How long such brokers are not asked again.
const MUTE: Duration = Duration::from_secs(60);
/// Brokers that described no topic when they were asked last, by their address.
static MUTE_BROKERS: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());

struct Admin {
    client: AdminClient<DefaultClientContext>,
    options: AdminOptions,
    brokers: String,
}

impl Admin {
    fn new(client: &ClientConfig) -> Result<Self, KafkaError> {
        let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
        let brokers = client.get("bootstrap.servers").unwrap_or_default().to_owned();
        Ok(Self { client: client.create()?, options, brokers })
    }

    /// The settings of a topic; none where it does not exist or the brokers do not tell.
    async fn settings(&self, topic: &str) -> Vec<ConfigEntry> {
        let mute = || MUTE_BROKERS.lock();
        if mute().get(&self.brokers).is_some_and(|since| since.elapsed() < MUTE) {
            return Vec::new();
        }
        let options = AdminOptions::new().request_timeout(Some(DESCRIBE)).operation_timeout(Some(DESCRIBE));
        match self.client.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await {
            Ok(found) => found.into_iter().filter_map(Result::ok).flat_map(|resource| resource.entries).collect(),
            Err(error) => {
                tracing::debug!(%error, topic, "The brokers do not tell the settings of a topic");
                mute().insert(self.brokers.clone(), Instant::now());
                Vec::new()
            }
        }
    }

    async fn create(&self, topic: &str, bytes: u64, replication: Option<i32>) -> Result<(), TopicError> {
        let bytes = bytes.to_string();
        let new = NewTopic::new(topic, 1, TopicReplication::Fixed(replication.unwrap_or(-1)))
            .set("max.message.bytes", &bytes)
            .set("retention.ms", RETENTION_MS);
        for result in self.client.create_topics([&new], &self.options).await? {
            match result {
                Ok(_) => tracing::info!(topic, "Dead-letter topic created"),
                // By another instance, a moment ago.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(TopicError::Refused { topic, code }),
            }
        }
        Ok(())
    }

    /// Raises the limit of a topic. That it may not is no error: most letters fit, and one that does not says so.
    async fn raise(&self, topic: &str, needs: u64) {
        let settings = self.settings(topic).await;
        let Some(takes) = max_message_bytes(&settings).filter(|takes| *takes < needs) else { return };
        let bytes = needs.to_string();
        // The request replaces all that was set for the topic, so what stands there goes with it.
        let own = settings.iter().filter(|entry| matches!(entry.source, ConfigSource::DynamicTopic));
        let kept = own.filter(|entry| entry.name != MAX_MESSAGE_BYTES);
        let kept: Vec<(&str, &str)> = kept.filter_map(|entry| Some((&*entry.name, entry.value.as_deref()?))).collect();
        let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(MAX_MESSAGE_BYTES, &bytes);
        let change = kept.into_iter().fold(change, |change, (name, value)| change.set(name, value));
        let refused = match self.client.alter_configs([&change], &self.options).await {
            Ok(results) => results.into_iter().find_map(Result::err).map(|(_, code)| code.to_string()),
            Err(error) => Some(error.to_string()),
        };
        match refused {
            None => tracing::info!(topic, from = takes, to = needs, "Size limit of the dead-letter topic raised"),
            Some(why) => tracing::warn!(
                topic,
                takes,
                needs,
                why,
                "The dead-letter topic has no room for every letter, and its limit could not be raised: raise its max.message.bytes by hand"
            ),
        }
    }
}

/// The settings of a topic; none where it does not exist or the brokers do not tell. Blocks the thread for some seconds at most.
pub(super) fn settings(client: &ClientConfig, topic: &str) -> Vec<ConfigEntry> {
    // A runtime of its own: the caller's thread is a blocking one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = |runtime: tokio::runtime::Runtime| Some(runtime.block_on(Admin::new(client).ok()?.settings(topic)));
    runtime.ok().and_then(asked).unwrap_or_default()
}

const MAX_MESSAGE_BYTES: &str = "max.message.bytes";

/// The largest batch that a topic with these settings takes, as it is compressed.
pub(super) fn max_message_bytes(settings: &[ConfigEntry]) -> Option<u64> {
    settings.iter().filter(|entry| entry.name == MAX_MESSAGE_BYTES).find_map(|entry| entry.value.as_ref()?.parse().ok())
}

/// The topics there are.
pub(super) async fn list(client: &ClientConfig) -> Result<HashSet<String>, TopicError> {
    let client = client.clone();
    // The task does not panic, so it can only fail by being cancelled at the end of the program.
    let asked = tokio::task::spawn_blocking(move || metadata(&client)).await;
    let metadata = asked.unwrap_or_else(|_| Err("stopped".to_owned())).map_err(TopicError::Away)?;
    Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_has_twice_the_room_and_its_headers_fit() {
        assert_eq!(letter_bytes(1_048_588), 2_097_176);
        assert_eq!(letter_bytes(1_000), 1_000 + HEADERS_BYTES);
        assert_eq!(letter_bytes(2_000_000_000), LARGEST_BYTES);
    }

    #[test]
    fn the_receive_limit_fits_the_topic_and_stays_within_librdkafkas() {
        assert_eq!(receive_bytes(0), RECEIVE_BYTES);
        assert_eq!(receive_bytes(200_000_000), 200_000_000 + ANSWER_BYTES);
        assert_eq!(receive_bytes(LARGEST_BYTES), LARGEST_BYTES);
    }
}
