//! Reads topics outside of any consumer group as they grow.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::REQUEST;
use super::context::FeedContext;
use super::fetched_message::record_of;
use super::offsets::{Edge, edges};
use super::read::reader;
use super::topics::fit_largest_message;
use crate::record::{Record, TopicPartition};

/// How often new topics and partitions are looked for.
const LOOK: Duration = Duration::from_secs(10);
/// How long a poll waits for a record.
const POLL: Duration = Duration::from_millis(500);

/// Where the reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowFrom {
    Start,
    End,
}

/// Hands on every record of these topics as it comes, until told to stop; blocks the thread. A topic or partition that appears
/// later is read from its start. `following` hears how many partitions are read, once their places are known and whenever
/// there are more.
///
/// # Errors
/// When the brokers cannot be reached at the start, or the client fails for good.
pub fn follow(
    client: &ClientConfig,
    topics: &[String],
    from: FollowFrom,
    following: impl Fn(usize),
    mut each: impl FnMut(Record) -> ControlFlow<()>,
) -> Result<(), KafkaError> {
    let consumer = reader(fit_largest_message(client, topics))?;
    let mut taken = BTreeSet::new();
    take(&consumer, partitions(&consumer, topics)?, from, &mut taken)?;
    following(taken.len());
    let mut looked = Instant::now();
    loop {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                let topic: Arc<str> = message.topic().into();
                if each(record_of(&message, TopicPartition::new(topic, message.partition()))).is_break() {
                    return Ok(());
                }
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error),
            // The end of a partition, or a broker that is away for a while.
            Some(Err(_)) | None => {}
        }
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            let before = taken.len();
            // Whoever does not answer now is asked again.
            if let Ok(found) = partitions(&consumer, topics) {
                take(&consumer, found, FollowFrom::Start, &mut taken)?;
            }
            if taken.len() > before {
                following(taken.len());
            }
        }
    }
}

/// The partitions of those topics that there are. Asking for one by name could make some brokers create it.
fn partitions(consumer: &BaseConsumer<FeedContext>, topics: &[String]) -> Result<Vec<TopicPartition>, KafkaError> {
    let metadata = consumer.fetch_metadata(None, REQUEST)?;
    let wanted = metadata.topics().iter().filter(|topic| topics.iter().any(|name| name == topic.name()));
    let partitions = wanted.flat_map(|topic| {
        let name: Arc<str> = topic.name().into();
        topic.partitions().iter().map(move |partition| TopicPartition::new(name.clone(), partition.id()))
    });
    Ok(partitions.collect())
}

/// Begins to read the partitions that are not read yet.
fn take(
    consumer: &BaseConsumer<FeedContext>,
    found: Vec<TopicPartition>,
    from: FollowFrom,
    taken: &mut BTreeSet<TopicPartition>,
) -> Result<(), KafkaError> {
    let new: Vec<TopicPartition> = found.into_iter().filter(|at| !taken.contains(at)).collect();
    if new.is_empty() {
        return Ok(());
    }
    // The end as it is now: the client would ask for it later, and miss what comes in between.
    let ends = match from {
        FollowFrom::Start => None,
        FollowFrom::End => Some(edges(consumer, &new, Edge::End)?),
    };
    let mut list = TopicPartitionList::with_capacity(new.len());
    for at in &new {
        let offset = match &ends {
            None => Offset::Beginning,
            Some(ends) => {
                let untold = KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable);
                Offset::Offset(*ends.get(at).ok_or(untold)?)
            }
        };
        list.add_partition_offset(&at.topic, at.partition, offset)?;
    }
    consumer.incremental_assign(&list)?;
    taken.extend(new);
    Ok(())
}
