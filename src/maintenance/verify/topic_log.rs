//! The log: its ends, its records as what they say of documents, its dead letters.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::dead_letters::topic_of;
use pipeline::kafka::{Ranges, StateTopic, Topic, inspect, ranges, read_ranges, read_topic, standings};
use pipeline::system::Decoded;
use pipeline::{Binding, Record};
use rdkafka::ClientConfig;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::compare::LogPosition;
use super::reading::{Letters, Reading};
use super::spill::Buckets;
use super::{Listener, VerifyError, VerifyReport, VerifyStep, note};
use crate::config::Config;
use crate::maintenance::dead_letters::StoredDeadLetter;
use crate::maintenance::jobs::JobBook;
use crate::run::blocking::blocking;

/// Records that are enriched together.
const CHUNK: usize = 1_000;
/// How often the group is asked how far it is.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A task that reads, and what it has read: the number of a topic, and some of its records.
pub(in crate::maintenance) type RecordChunks = (JoinHandle<Result<(), VerifyError>>, mpsc::Receiver<(u8, Vec<Record>)>);

/// The topics of a system, up to an end that was seen.
pub(in crate::maintenance) struct VerifyLog {
    client: ClientConfig,
    group: String,
    topics: Vec<(Topic, Ranges)>,
    whole: bool,
}

impl VerifyLog {
    /// Takes the ends of the topics. Of several topics those that do not exist hold nothing.
    pub(in crate::maintenance) async fn open(
        client: ClientConfig,
        names: Vec<String>,
        group: String,
    ) -> Result<Self, VerifyError> {
        blocking(VerifyError::Kafka, move || {
            let found = inspect(&client, &names).map_err(VerifyError::Kafka)?.topics;
            let mut topics = Vec::new();
            let several = names.len() > 1 && found.iter().any(Option::is_some);
            for (topic, name) in found.into_iter().zip(names) {
                if topic.is_none() && several {
                    continue;
                }
                let topic = topic.ok_or(VerifyError::NoTopic(name))?;
                let ranges = ranges(&client, &topic.name)?;
                topics.push((topic, ranges));
            }
            let begins = topics.iter().flat_map(|(_, ranges)| ranges.values()).all(|(from, _)| *from == 0);
            let whole = begins && topics.iter().all(|(topic, _)| !topic.compacted);
            Ok(Self { client, group, topics, whole })
        })
        .await
    }

    /// Whether every event that ever was is still there.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The jobs that are known.
    pub(super) async fn jobs(&self, config: &Config) -> Result<JobBook, VerifyError> {
        let state = StateTopic::new(&self.client, &config.kafka.state_topic);
        JobBook::fetch(state).await.map_err(VerifyError::Kafka)
    }

    pub(super) fn offsets(&self) -> u64 {
        let lengths = self.topics.iter().flat_map(|(_, ranges)| ranges.values()).map(|(from, to)| to - from);
        lengths.sum::<i64>().unsigned_abs()
    }

    /// Waits until the group has committed up to the ends.
    pub(super) async fn await_committed(&self, wait: Duration) -> Result<(), VerifyError> {
        let deadline = Instant::now() + wait;
        loop {
            // The brokers may have to find the group's coordinator first.
            let behind = match self.lag().await {
                Ok(0) => return Ok(()),
                Ok(lag) => VerifyError::Behind { group: self.group.clone(), lag },
                Err(error) => error,
            };
            if Instant::now() > deadline {
                return Err(behind);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Records below the ends that the group has not committed.
    async fn lag(&self) -> Result<i64, VerifyError> {
        let (client, topics, group) = (self.client.clone(), self.topics.clone(), self.group.clone());
        blocking(VerifyError::Kafka, move || {
            let mut lag = 0;
            for (topic, ranges) in &topics {
                for standing in standings(&client, topic, &group).map_err(VerifyError::Kafka)? {
                    let (from, to) = ranges.get(&standing.at.partition).copied().unwrap_or_default();
                    lag += (to - standing.committed.unwrap_or(from).max(from)).max(0);
                }
            }
            Ok(lag)
        })
        .await
    }

    /// Goes on from the ends to where they are now.
    pub(super) async fn go_on(&mut self) -> Result<(), VerifyError> {
        let (client, mut topics) = (self.client.clone(), self.topics.clone());
        let begins;
        (self.topics, begins) = blocking(VerifyError::Kafka, move || {
            let mut begins = true;
            for (topic, known) in &mut topics {
                let now = ranges(&client, &topic.name)?;
                begins &= now.values().all(|(from, _)| *from == 0);
                let later =
                    |(id, (from, to)): (i32, (i64, i64))| (id, (known.get(&id).map_or(from, |(_, end)| *end), to));
                *known = now.into_iter().map(later).collect();
            }
            Ok((topics, begins))
        })
        .await?;
        // Retention goes on while this reads.
        self.whole &= begins;
        Ok(())
    }

    /// The coordinates of the system's dead letters.
    pub(super) async fn letters(&self, system: &'static str) -> Result<Letters, VerifyError> {
        let (client, group) = (self.client.clone(), self.group.clone());
        let topics: Vec<String> = self.topics.iter().map(|(topic, _)| topic_of(&topic.name)).collect();
        blocking(VerifyError::Kafka, move || {
            let mut letters = Letters::new();
            for topic in topics {
                read_topic(&client, &topic, |letter| {
                    let ours = |letter: &StoredDeadLetter| letter.system == system && letter.group == group;
                    let letter = StoredDeadLetter::read(letter).filter(ours).map(|letter| letter.record);
                    letters.extend(letter.map(|dead| (dead.at.topic.to_string(), dead.at.partition, dead.offset)));
                })?;
            }
            Ok(letters)
        })
        .await
    }

    /// Whether every letter that ever was is still there.
    pub(super) async fn has_all_letters(&self) -> Result<bool, VerifyError> {
        let client = self.client.clone();
        let topics: Vec<String> = self.topics.iter().map(|(topic, _)| topic_of(&topic.name)).collect();
        blocking(VerifyError::Kafka, move || {
            let mut all = true;
            for topic in topics {
                all &= ranges(&client, &topic)?.values().all(|(from, _)| *from == 0);
            }
            Ok(all)
        })
        .await
    }

    /// Reads what lies in the ranges, some records of a topic at a time, with the number of the topic.
    pub(in crate::maintenance) fn chunks(&self) -> RecordChunks {
        let (sender, chunks) = mpsc::channel(2);
        let (client, topics) = (self.client.clone(), self.topics.clone());
        let fetching = tokio::task::spawn_blocking(move || {
            for (number, (topic, ranges)) in (0_u8..).zip(&topics) {
                let mut chunk = Vec::with_capacity(CHUNK);
                read_ranges(&client, &topic.name, ranges, |record| {
                    chunk.push(record);
                    if chunk.len() == CHUNK {
                        // Nobody listens any more: the other end says why.
                        sender.blocking_send((number, std::mem::take(&mut chunk))).ok();
                    }
                })?;
                sender.blocking_send((number, chunk)).ok();
            }
            Ok::<_, VerifyError>(())
        });
        (fetching, chunks)
    }

    /// Reads what lies in the ranges, puts what it says of documents into the buckets, and reports what is misread; gives the
    /// number of records.
    pub(super) async fn read(
        &self,
        reading: &Reading<'_>,
        buckets: &mut Buckets,
        report: &mut VerifyReport,
        listener: &mut dyn Listener,
    ) -> Result<u64, VerifyError> {
        let (fetching, mut chunks) = self.chunks();
        let mut records = 0;
        while let Some((topic, chunk)) = chunks.recv().await {
            records += chunk.len() as u64;
            for misread in reading.put(topic, &chunk, buckets).await? {
                note(report, listener, misread);
            }
            if !reading.optional {
                listener.at(VerifyStep::Log(records, self.offsets()));
            }
        }
        fetching.await.map_err(|error| VerifyError::Kafka(error.to_string()))??;
        Ok(records)
    }

    /// The records in the ranges that are about these documents: document, version, and where each stands, in their order.
    pub(super) async fn about(
        &self,
        binding: Arc<dyn Binding>,
        documents: Arc<HashSet<String>>,
    ) -> Result<Vec<(String, i64, LogPosition)>, VerifyError> {
        let (client, topics) = (self.client.clone(), self.topics.clone());
        blocking(VerifyError::Kafka, move || {
            let mut found = Vec::new();
            for (number, (topic, ranges)) in (0_u8..).zip(&topics) {
                read_ranges(&client, &topic.name, ranges, |record| {
                    let at = LogPosition { topic: number, partition: record.at.partition, offset: record.offset };
                    let events = binding.decode(std::slice::from_ref(&record));
                    if let [Decoded::Event(identity, ())] = events.as_slice()
                        && documents.contains(&*identity.document)
                    {
                        found.push((identity.document.clone().into_owned(), identity.version, at));
                    }
                })?;
            }
            Ok(found)
        })
        .await
    }

    /// The records at these places.
    pub(super) async fn fetch(&self, places: HashSet<(u8, i32, i64)>) -> Result<Vec<Record>, VerifyError> {
        let (client, topics) = (self.client.clone(), self.topics.clone());
        blocking(VerifyError::Kafka, move || {
            let mut records = Vec::with_capacity(places.len());
            for (number, (topic, _)) in (0_u8..).zip(&topics) {
                let mut wanted: Ranges = BTreeMap::new();
                for (_, partition, offset) in places.iter().filter(|(topic, ..)| *topic == number) {
                    let range = wanted.entry(*partition).or_insert((*offset, offset + 1));
                    *range = (range.0.min(*offset), range.1.max(offset + 1));
                }
                read_ranges(&client, &topic.name, &wanted, |record| {
                    if places.contains(&(number, record.at.partition, record.offset)) {
                        records.push(record);
                    }
                })?;
            }
            Ok(records)
        })
        .await
    }
}
