//! Where partitions begin and end and where the group stands, in one request a broker. Each call blocks its thread.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::REQUEST;
use super::consumer::offset_number;
use crate::record::TopicPartition;

/// An offset of each partition that the brokers told.
pub(super) type Offsets = BTreeMap<TopicPartition, i64>;

/// An end of a log.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge {
    /// The first offset that is still there.
    Start,
    /// The offset after the last record that may be read.
    End,
}

impl Edge {
    /// As a timestamp of `ListOffsets`: -2 and -1, which librdkafka passes on (KIP-79).
    fn timestamp(self) -> Offset {
        match self {
            Self::Start => Offset::Beginning,
            Self::End => Offset::End,
        }
    }
}

/// Asks for an end of each log. A partition whose broker does not answer, or refuses, is left out.
///
/// # Errors
/// When no broker answers.
pub(super) fn edges<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
    edge: Edge,
) -> KafkaResult<Offsets> {
    let mut found = Offsets::new();
    let deadline = Instant::now() + REQUEST;
    let asked = ask(consumer, partitions, edge, deadline, &mut found);
    if found.is_empty() { asked.map(|()| found) } else { Ok(found) }
}

/// One partition without a leader fails the request for all, so what fails is asked in halves.
fn ask<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
    edge: Edge,
    deadline: Instant,
    found: &mut Offsets,
) -> KafkaResult<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if partitions.is_empty() {
        return Ok(());
    }
    if left.is_zero() {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut));
    }
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for at in partitions {
        list.add_partition_offset(&at.topic, at.partition, edge.timestamp())?;
    }
    let limit = if partitions.len() > 1 { left / 2 } else { left.min(Duration::from_secs(2)) };
    match consumer.offsets_for_times(list, limit) {
        Ok(answer) => {
            let told = answer.elements().into_iter().filter(|one| one.error().is_ok());
            found.extend(told.filter_map(|one| {
                Some((TopicPartition::new(one.topic(), one.partition()), offset_number(one.offset())?))
            }));
            Ok(())
        }
        Err(error) if partitions.len() == 1 => Err(error),
        Err(_) => {
            let (one, other) = partitions.split_at(partitions.len() / 2);
            let first = ask(consumer, one, edge, deadline, found);
            ask(consumer, other, edge, deadline, found).and(first)
        }
    }
}

/// Where the group stands in a partition, and where its log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartitionOffsets {
    pub committed: Option<i64>,
    pub low: i64,
    pub high: i64,
}

/// Asks for all of that; what is not told in full is left out.
///
/// # Errors
/// When the brokers do not answer.
pub(super) fn standing<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
) -> KafkaResult<BTreeMap<TopicPartition, PartitionOffsets>> {
    let committed = fetch_committed(consumer, partitions)?;
    let lows = edges(consumer, partitions, Edge::Start)?;
    let highs = edges(consumer, partitions, Edge::End)?;
    let found = committed.into_iter().filter_map(|(at, committed)| {
        let (low, high) = (*lows.get(&at)?, *highs.get(&at)?);
        Some((at, PartitionOffsets { committed, low, high }))
    });
    Ok(found.collect())
}

/// Asks what the group has committed; what is not told is left out.
///
/// # Errors
/// When the coordinator does not answer.
pub(super) fn fetch_committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
) -> KafkaResult<BTreeMap<TopicPartition, Option<i64>>> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for at in partitions {
        list.add_partition(&at.topic, at.partition);
    }
    let answer = consumer.committed_offsets(list, REQUEST)?;
    let told = answer.elements().into_iter().filter(|one| one.error().is_ok());
    Ok(told.map(|one| (TopicPartition::new(one.topic(), one.partition()), offset_number(one.offset()))).collect())
}
