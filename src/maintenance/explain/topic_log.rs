//! The log of one document: how far the group is, the records about it, its dead letters.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::dead_letters::topic_of;
use pipeline::kafka::{StateTopic, Topic, inspect, ranges, read_ranges, read_topic, standings};
use pipeline::offsets::settled::SettledBook;
use pipeline::{Binding, Record};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::{ExplainError, Progress};
use crate::config::Config;
use crate::maintenance::dead_letters::StoredDeadLetter;
use crate::maintenance::jobs::JobBook;
use crate::run::blocking::blocking;

/// How long the brokers have to find the group's coordinator.
const COORDINATOR: Duration = Duration::from_secs(15);
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Progress is told each so many records.
const EACH: u64 = 1_000;

/// The next offset of the group, by topic and partition.
pub(super) type Committed = HashMap<(String, i32), i64>;

/// The topics of a system.
pub(super) struct ExplainLog {
    client: ClientConfig,
    group: String,
    state: StateTopic,
    topics: Vec<Topic>,
    whole: bool,
}

/// What is about the document.
#[derive(Default)]
pub(super) struct Read {
    pub(super) records: Vec<Record>,
    /// Of a redelivery's several the last.
    pub(super) letters: Vec<StoredDeadLetter>,
    /// How letters were dealt with.
    pub(super) settled: SettledBook,
}

impl From<KafkaError> for ExplainError {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error.to_string())
    }
}

impl ExplainLog {
    pub(super) async fn open(config: &Config, names: Vec<String>, group: String) -> Result<Self, ExplainError> {
        let client = config.kafka.client_config();
        let state = StateTopic::new(&client, &config.kafka.state_topic);
        blocking(ExplainError::Kafka, move || {
            let found = inspect(&client, &names).map_err(ExplainError::Kafka)?.topics;
            let topics = found.into_iter().zip(names).map(|(topic, name)| topic.ok_or(ExplainError::NoTopic(name)));
            let topics: Vec<Topic> = topics.collect::<Result<_, _>>()?;
            let mut whole = topics.iter().all(|topic| !topic.compacted);
            for topic in &topics {
                whole &= ranges(&client, &topic.name)?.values().all(|(from, _)| *from == 0);
            }
            Ok(Self { client, group, state, topics, whole })
        })
        .await
    }

    /// Whether every event that ever was is still there.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    pub(super) async fn fetch_committed(&self) -> Result<Committed, ExplainError> {
        let (client, topics, group) = (self.client.clone(), self.topics.clone(), self.group.clone());
        blocking(ExplainError::Kafka, move || {
            let deadline = Instant::now() + COORDINATOR;
            let mut committed = Committed::new();
            for topic in &topics {
                let found = loop {
                    match standings(&client, topic, &group) {
                        Ok(found) => break found,
                        Err(why) if Instant::now() > deadline => return Err(ExplainError::Kafka(why)),
                        Err(_) => std::thread::sleep(ASK_AGAIN),
                    }
                };
                let next = found.into_iter().filter_map(|one| Some((one.at, one.committed?)));
                committed.extend(next.map(|(at, next)| ((at.topic.to_string(), at.partition), next)));
            }
            Ok(committed)
        })
        .await
    }

    /// The jobs that are known.
    pub(super) async fn jobs(&self) -> Result<JobBook, ExplainError> {
        JobBook::fetch(self.state.clone()).await.map_err(ExplainError::Kafka)
    }

    /// Reads everything, and keeps what is about the document.
    pub(super) async fn read(
        &self,
        binding: Arc<dyn Binding>,
        id: &str,
        mut progress: Progress,
    ) -> Result<Read, ExplainError> {
        let (client, topics, group) = (self.client.clone(), self.topics.clone(), self.group.clone());
        let state = self.state.clone();
        let id = id.to_owned();
        blocking(ExplainError::Kafka, move || {
            let mut read = Read::default();
            let mut all = Vec::new();
            for topic in &topics {
                all.push((&topic.name, ranges(&client, &topic.name)?));
            }
            let lengths = all.iter().flat_map(|(_, ranges)| ranges.values()).map(|(from, to)| to - from);
            let offsets = lengths.sum::<i64>().unsigned_abs();
            let mut records = 0;
            for (topic, ranges) in &all {
                read_ranges(&client, topic, ranges, |record| {
                    records += 1;
                    if records % EACH == 0 {
                        progress(records, offsets);
                    }
                    if binding.is_about(&record, &id) {
                        read.records.push(record);
                    }
                })?;
                read_topic(&client, &topic_of(topic), |record| {
                    let ours = |letter: &StoredDeadLetter| letter.system == binding.system() && letter.group == group;
                    let ours = |letter: &StoredDeadLetter| ours(letter) && binding.is_about(&letter.record, &id);
                    read.letters.extend(StoredDeadLetter::read(record).filter(ours));
                })?;
            }
            read.settled = state.read_settled().map_err(|error| ExplainError::Kafka(error.to_string()))?;
            Ok(read)
        })
        .await
    }
}
