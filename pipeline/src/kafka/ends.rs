//! The end of the log as it was when a `--once` run began, and whether the group has got there.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::REQUEST;
use super::assignment::Assignment;
use super::context::Context;

/// How often it is looked whether the end is there.
const LOOK: Duration = Duration::from_millis(250);

/// What a run to the end is after.
#[derive(Debug)]
pub(super) struct Goal {
    topics: Vec<String>,
    ends: Option<Ends>,
    looked: Instant,
    pub reached: bool,
}

impl Goal {
    pub(super) fn new(topics: &[String]) -> Self {
        Self { topics: topics.to_vec(), ends: None, looked: Instant::now(), reached: false }
    }

    /// Looks now and then; true once the end is reached. The brokers are only asked when our own part is done, after
    /// `commit` has told them of it.
    pub(super) fn look(
        &mut self,
        consumer: &BaseConsumer<Context>,
        assignment: &Assignment,
        commit: impl FnOnce(),
    ) -> KafkaResult<bool> {
        // Before the first assignment what is committed may belong to a log that is gone.
        if self.looked.elapsed() < LOOK || !assignment.begun() {
            return Ok(false);
        }
        self.looked = Instant::now();
        match &self.ends {
            None => self.ends = Ends::take(consumer, &self.topics)?,
            Some(ends) if ends.reached(assignment) => {
                commit();
                self.reached = ends.covered(consumer)?;
            }
            Some(_) => {}
        }
        Ok(self.reached)
    }
}

/// For each partition that held anything, where its log ended.
#[derive(Debug)]
struct Ends {
    ends: Vec<(String, i32, i64)>,
}

impl Ends {
    /// Asks the brokers; `None` while a topic does not exist.
    fn take(consumer: &BaseConsumer<Context>, topics: &[String]) -> KafkaResult<Option<Self>> {
        let mut ends = Vec::new();
        for topic in topics {
            let metadata = consumer.fetch_metadata(Some(topic), REQUEST)?;
            let Some(found) = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none())
            else {
                return Ok(None);
            };
            if found.partitions().is_empty() {
                return Ok(None);
            }
            for partition in found.partitions() {
                let (low, high) = consumer.fetch_watermarks(topic, partition.id(), REQUEST)?;
                if high > low {
                    ends.push((topic.clone(), partition.id(), high));
                }
            }
        }
        Ok(Some(Self { ends }))
    }

    /// Whether everything of the partitions assigned here is finished up to its end.
    fn reached(&self, assignment: &Assignment) -> bool {
        assignment.iter().all(|held| {
            let is = |(topic, partition, _): &&(String, i32, i64)| {
                *topic == *held.at.topic && *partition == held.at.partition
            };
            self.ends.iter().find(is).is_none_or(|(_, _, end)| held.finished.or(held.start) >= Some(*end))
        })
    }

    /// Whether what the group has committed covers every end: the group's, so that several members end together.
    fn covered(&self, consumer: &BaseConsumer<Context>) -> KafkaResult<bool> {
        if self.ends.is_empty() {
            return Ok(true);
        }
        let mut asked = TopicPartitionList::with_capacity(self.ends.len());
        for (topic, partition, _) in &self.ends {
            asked.add_partition(topic, *partition);
        }
        let committed = consumer.committed_offsets(asked, REQUEST)?;
        Ok(self.ends.iter().all(|(topic, partition, end)| {
            let found = committed.find_partition(topic, *partition);
            found.is_some_and(|found| matches!(found.offset(), Offset::Offset(next) if next >= *end))
        }))
    }
}
