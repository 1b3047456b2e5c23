//! Where the group stands in the partitions that it gave us, asked off the poll thread.
//!
//! An assignment is taken in two steps: the question, and then, with the answer or after a limit, the word to librdkafka,
//! which waits for it and goes on with its heartbeats. What was not told in time is asked again until it is, and until then
//! nothing of the partition is committed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::assignment::{Assignment, partitions_of};
use super::call::{PendingCall, Question};
use super::commit::offsets;
use super::context::FeedContext;
use super::offsets::{PartitionOffsets, standing};
use crate::record::{Epoch, TopicPartition};

/// How long after an answer the brokers are asked again.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) type Starts = BTreeMap<TopicPartition, PartitionOffsets>;

/// Partitions that the group gave us, and that are not ours to read yet.
#[derive(Debug)]
pub(super) struct Opening {
    pub list: TopicPartitionList,
    call: Option<PendingCall<KafkaResult<Starts>>>,
    by: Instant,
}

impl Opening {
    /// Asks where the group stands; the answer is waited for no longer than `limit`.
    pub(super) fn ask(consumer: &Arc<BaseConsumer<FeedContext>>, list: TopicPartitionList, limit: Duration) -> Self {
        let (partitions, consumer) = (partitions_of(&list, &[]), consumer.clone());
        let call =
            (!partitions.is_empty()).then(|| PendingCall::begin("starts", move || standing(&consumer, &partitions)));
        Self { list, call, by: Instant::now() + limit }
    }

    /// What is known, once that is all there will be.
    pub(super) fn find_starts(&self) -> Option<Starts> {
        let Some(call) = &self.call else { return Some(Starts::new()) };
        match call.look() {
            std::task::Poll::Ready(answer) => Some(starts_of(answer)),
            std::task::Poll::Pending => (self.by <= Instant::now()).then(Starts::new),
        }
    }
}

fn starts_of(answer: Option<KafkaResult<Starts>>) -> Starts {
    match answer {
        Some(Ok(starts)) => starts,
        Some(Err(error)) => {
            tracing::warn!(%error, "Where the group stands could not be asked for; nothing is committed until it is known");
            Starts::new()
        }
        None => Starts::new(),
    }
}

/// Starts that are not known yet, and offsets of logs that are gone.
#[derive(Debug)]
pub(super) struct Late {
    starts: Question<KafkaResult<Starts>>,
    asked: Vec<(TopicPartition, Epoch)>,
    back: Question<KafkaResult<()>>,
    taken: Vec<(TopicPartition, Epoch)>,
}

impl Late {
    pub(super) fn new() -> Self {
        Self { starts: Question::new("starts"), asked: Vec::new(), back: Question::new("take back"), taken: Vec::new() }
    }

    /// Goes on with both; true when something became known.
    pub(super) fn look(&mut self, consumer: &Arc<BaseConsumer<FeedContext>>, assignment: &mut Assignment) -> bool {
        self.look_at_starts(consumer, assignment) | self.take_back(consumer, assignment)
    }

    fn look_at_starts(&mut self, consumer: &Arc<BaseConsumer<FeedContext>>, assignment: &mut Assignment) -> bool {
        let mut news = false;
        if let Some((answer, _)) = self.starts.take(AGAIN) {
            let starts = starts_of(answer);
            for (at, epoch) in self.asked.drain(..) {
                if let (Some(held), Some(found)) = (assignment.under(&at, epoch), starts.get(&at)) {
                    begin(held, found);
                    news = true;
                }
            }
        }
        if self.starts.is_free() {
            let unknown = assignment.iter().filter(|held| held.start.is_none());
            self.asked = unknown.map(|held| (held.at.clone(), held.epoch)).collect();
            if !self.asked.is_empty() {
                let partitions: Vec<TopicPartition> = self.asked.iter().map(|(at, _)| at.clone()).collect();
                let consumer = consumer.clone();
                self.starts.ask(move || standing(&consumer, &partitions));
            }
        }
        news
    }

    fn take_back(&mut self, consumer: &Arc<BaseConsumer<FeedContext>>, assignment: &mut Assignment) -> bool {
        let mut news = false;
        if let Some((answer, _)) = self.back.take(AGAIN) {
            if let Some(Err(error)) = &answer {
                tracing::warn!(%error, "The offsets of the old log could not be taken back yet");
            }
            for (at, epoch) in self.taken.drain(..) {
                if let (Some(Ok(())), Some(held)) = (&answer, assignment.under(&at, epoch)) {
                    held.taking_back = false;
                    news = true;
                }
            }
        }
        if self.back.is_free() {
            let mut list = TopicPartitionList::new();
            for held in assignment.iter().filter(|held| held.taking_back) {
                let Some(start) = held.start else { continue };
                if list.add_partition_offset(&held.at.topic, held.at.partition, Offset::Offset(start)).is_ok() {
                    self.taken.push((held.at.clone(), held.epoch));
                }
            }
            if list.count() > 0 {
                let consumer = consumer.clone();
                self.back.ask(move || offsets(&consumer, &list));
            }
        }
        news
    }
}

/// Takes in where the group stands; gives the offset to read from instead when the group's belongs to a log that is gone.
pub(super) fn begin(held: &mut super::assignment::Assigned, found: &PartitionOffsets) -> Option<i64> {
    let anew = held.begin(found);
    if anew.is_some() {
        let (topic, partition) = (&*held.at.topic, held.at.partition);
        let (committed, log_end) = (found.committed, found.high);
        tracing::error!(
            topic,
            partition,
            committed,
            log_end,
            "The log ends before the committed offset: the topic was made anew; reading it from its start"
        );
    }
    anew
}
