//! Reads a topic from its start to its present end, outside of any consumer group.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::REQUEST;
use super::consumer::record_of;
use super::context::Context;
use crate::record::{Record, TopicPartition};

/// Reads every record of a topic, partition by partition in offset order but partitions mixed; blocks the thread.
/// Returns how many there were; 0 for a topic that does not exist.
///
/// # Errors
/// When the brokers cannot be reached, or fail for good.
pub fn read_topic(client: &ClientConfig, topic: &str, mut each: impl FnMut(Record)) -> Result<u64, KafkaError> {
    let mut config = client.clone();
    // The client asks for a name, but with assigned partitions and no commits there is no group.
    config
        .set("group.id", "millrace-reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false");
    let consumer: BaseConsumer<Context> = config.create_with_context(Context::default())?;
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    let mut open: Vec<i32> = found.map(|found| found.partitions().iter().map(|p| p.id()).collect()).unwrap_or_default();
    let mut list = TopicPartitionList::new();
    for partition in &open {
        list.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let mut records = 0;
    while !open.is_empty() {
        match consumer.poll(REQUEST) {
            Some(Ok(message)) => {
                records += 1;
                each(record_of(&message, TopicPartition::new(topic, message.partition())));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => open.retain(|held| *held != partition),
            Some(Err(error)) => return Err(error),
            None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
        }
    }
    Ok(records)
}
