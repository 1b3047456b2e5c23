//! The end of the log as it was when a `--once` run began, and whether the group has got there. Brokers are asked off the
//! poll thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaRespErr;

use super::REQUEST;
use super::assignment::Assignment;
use super::call::Question;
use super::commit::commit_stored;
use super::context::FeedContext;
use super::offsets::{Edge, Offsets, edges, fetch_committed};
use crate::record::TopicPartition;

/// How often it is looked whether the end is there.
const LOOK: Duration = Duration::from_millis(250);

/// What a run to the end is after.
#[derive(Debug)]
pub(super) struct Goal {
    topics: Vec<String>,
    ends: Option<Arc<Offsets>>,
    asked: Question<KafkaResult<Option<Offsets>>>,
    covered: Question<KafkaResult<bool>>,
    pub reached: bool,
}

impl Goal {
    pub(super) fn new(topics: &[String]) -> Self {
        let (asked, covered) = (Question::new("ends"), Question::new("covered"));
        Self { topics: topics.to_vec(), ends: None, asked, covered, reached: false }
    }

    /// Looks now and then; true once the end is reached. The group is only asked when our own part is done, after it was
    /// told of it.
    ///
    /// # Errors
    /// When the brokers do not answer; they are asked again.
    pub(super) fn look(
        &mut self,
        consumer: &Arc<BaseConsumer<FeedContext>>,
        assignment: &Assignment,
    ) -> KafkaResult<bool> {
        // Before the first assignment what is committed may belong to a log that is gone.
        if !assignment.has_begun() {
            return Ok(false);
        }
        if let Some((Some(ends), _)) = self.asked.take(LOOK) {
            self.ends = ends?.map(Arc::new);
        }
        if let Some((Some(covered), _)) = self.covered.take(LOOK) {
            self.reached = covered?;
        }
        let consumer = consumer.clone();
        match &self.ends {
            None if self.asked.is_free() => {
                let topics = self.topics.clone();
                self.asked.ask(move || ends(&consumer, &topics));
            }
            Some(ends) if self.covered.is_free() && has_reached(ends, assignment) => {
                let ends = ends.clone();
                self.covered.ask(move || commit_stored(&consumer).and_then(|()| covers(&consumer, &ends)));
            }
            _ => {}
        }
        Ok(self.reached)
    }
}

/// For each partition that holds anything, where its log ends; `None` while none of the topics exists or an end is not told. A
/// topic that does not exist holds nothing, so it holds up none of the others.
fn ends(consumer: &BaseConsumer<FeedContext>, topics: &[String]) -> KafkaResult<Option<Offsets>> {
    let mut partitions = Vec::new();
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), REQUEST)?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { continue };
        match found.error() {
            Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => continue,
            None if !found.partitions().is_empty() => {}
            _ => return Ok(None),
        }
        partitions.extend(found.partitions().iter().map(|one| TopicPartition::new(topic.as_str(), one.id())));
    }
    let (lows, highs) = (edges(consumer, &partitions, Edge::Start)?, edges(consumer, &partitions, Edge::End)?);
    if partitions.is_empty() || partitions.iter().any(|at| !lows.contains_key(at) || !highs.contains_key(at)) {
        return Ok(None);
    }
    Ok(Some(highs.into_iter().filter(|(at, high)| lows.get(at).is_some_and(|low| high > low)).collect()))
}

/// Whether everything of the partitions assigned here is finished up to its end.
fn has_reached(ends: &Offsets, assignment: &Assignment) -> bool {
    assignment.iter().all(|held| {
        let next = held.finished.or(held.start);
        next.is_some() && ends.get(&held.at).is_none_or(|end| next >= Some(*end)) && held.gaps.limit().is_none()
    })
}

/// Whether what the group has committed covers every end: the group's, so that several members end together.
fn covers(consumer: &BaseConsumer<FeedContext>, ends: &Offsets) -> KafkaResult<bool> {
    let partitions: Vec<TopicPartition> = ends.keys().cloned().collect();
    let committed: BTreeMap<_, _> = fetch_committed(consumer, &partitions)?;
    Ok(ends.iter().all(|(at, end)| committed.get(at).is_some_and(|next| *next >= Some(*end))))
}
