//! Rights that the brokers refuse: to read a topic, to be in the group, to commit.
//!
//! librdkafka says each of them once and then tries on in silence. So a refusal stands until the same right was seen granted:
//! the end of a partition read, the group steady, a commit taken.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::REQUEST;
use super::assignment::Assignment;
use super::call::Question;
use super::context::FeedContext;
use super::read::reader;
use crate::record::TopicPartition;
use crate::status::Status;

const SOURCE: &str = "authorization";
/// How often a refused right is tried.
const AGAIN: Duration = Duration::from_secs(5);

/// Watches one consumer.
#[derive(Debug)]
pub(super) struct Rights {
    client: ClientConfig,
    topics: String,
    group: String,
    session: Duration,
    read: bool,
    joined: bool,
    proof: Question<KafkaResult<()>>,
    /// Since when every commit failed.
    uncommitted: Option<Instant>,
}

/// Who raises the reason.
#[derive(Clone, Copy, Debug)]
enum Right {
    Read = 1,
    Join = 2,
    Commit = 3,
}

impl Rights {
    pub(super) fn new(client: &ClientConfig, topics: &[String], group: &str, session: Duration) -> Self {
        Self {
            client: client.clone(),
            topics: topics.join(", "),
            group: group.to_owned(),
            session,
            read: true,
            joined: true,
            proof: Question::new("rights"),
            uncommitted: None,
        }
    }

    /// Hears an error of the consumer. Returns whether it is a refused right.
    pub(super) fn hear(&mut self, error: &KafkaError, status: &Status) -> bool {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                self.read = false;
                let why =
                    format!("the brokers do not let this user read {}: it needs READ and DESCRIBE on it", self.topics);
                status.raise_by(Right::Read as u64, SOURCE, why);
            }
            Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {
                self.joined = false;
                status.raise_by(Right::Join as u64, SOURCE, self.not_in_group());
            }
            _ => return false,
        }
        true
    }

    fn not_in_group(&self) -> String {
        format!("the brokers do not let this user be in the group {}: it needs READ on it", self.group)
    }

    /// Looks for proofs, about each second: whether the group is steady, and how the last commit ended.
    pub(super) fn look(
        &mut self,
        assignment: &Assignment,
        steady: bool,
        commit: Option<KafkaResult<()>>,
        status: &Status,
    ) {
        if !self.joined && steady {
            self.joined = true;
            status.clear_by(Right::Join as u64, SOURCE);
        }
        if let Some(commit) = commit {
            self.hear_commit(commit, status);
        }
        if let Some((Some(Ok(())), _)) = self.proof.take(AGAIN)
            && !self.read
        {
            self.read = true;
            status.clear_by(Right::Read as u64, SOURCE);
        }
        if !self.read && self.proof.is_free() && assignment.iter().next().is_some() {
            let (client, partitions) = (self.client.clone(), assignment.partitions());
            self.proof.ask(move || check_readable(client, &partitions));
        }
    }

    fn hear_commit(&mut self, commit: KafkaResult<()>, status: &Status) {
        let Err(error) = commit else {
            self.uncommitted = None;
            status.clear_by(Right::Commit as u64, SOURCE);
            status.clear("commit");
            return;
        };
        let since = *self.uncommitted.get_or_insert_with(Instant::now);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {
                status.raise_by(Right::Commit as u64, SOURCE, self.not_in_group());
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                let why = format!(
                    "the brokers do not let this user commit what it read of {}: it needs READ on it",
                    self.topics
                );
                status.raise_by(Right::Commit as u64, SOURCE, why);
            }
            // A rebalance fails a commit or two, and so does a broker that goes away.
            _ if since.elapsed() > self.session => {
                status.raise("commit", format!("offsets cannot be committed: {error}"));
            }
            _ => {}
        }
    }

    /// Commits of an earlier assignment say nothing of this one.
    pub(super) fn on_assign(&mut self, status: &Status) {
        self.uncommitted = None;
        status.clear("commit");
    }
}

/// Reads the end of each partition, outside of any group; blocks its thread.
fn check_readable(client: ClientConfig, partitions: &[TopicPartition]) -> KafkaResult<()> {
    let consumer: BaseConsumer<FeedContext> = reader(client)?;
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for at in partitions {
        list.add_partition_offset(&at.topic, at.partition, Offset::End)?;
    }
    consumer.assign(&list)?;
    let mut open = partitions.len();
    while open > 0 {
        match consumer.poll(REQUEST) {
            // A record that came meanwhile.
            Some(Ok(_)) => {}
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => return Err(error),
            None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
        }
    }
    Ok(())
}
