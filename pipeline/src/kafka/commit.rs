//! Commits that wait for the broker's answer, and not for ever: librdkafka has no limit of its own, and a broker that stands
//! still would keep a program from stopping.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::context::Context;

/// Commits for one consumer, at most one at a time.
pub(super) struct Committer {
    consumer: Arc<BaseConsumer<Context>>,
    limit: Duration,
    /// A commit that was given up on.
    unanswered: Cell<Option<Receiver<KafkaResult<()>>>>,
}

impl Committer {
    /// `limit` is how long the broker is waited for.
    pub(super) fn new(consumer: Arc<BaseConsumer<Context>>, limit: Duration) -> Self {
        Self { consumer, limit, unanswered: Cell::new(None) }
    }

    /// Commits these offsets, or what is stored when there are none.
    ///
    /// # Errors
    /// What the broker says; `OperationTimedOut` when it says nothing. The commit may happen all the same then, which does
    /// no harm: what it commits is finished, and a broker takes it from a member alone.
    pub(super) fn commit(&self, offsets: Option<TopicPartitionList>) -> KafkaResult<()> {
        if let Some(earlier) = self.unanswered.take() {
            self.wait(earlier).ok();
            if let Some(earlier) = self.unanswered.take() {
                self.unanswered.set(Some(earlier));
                return Err(silent());
            }
        }
        let (done, answer) = channel();
        let consumer = self.consumer.clone();
        let commit = move || {
            let committed = match offsets {
                Some(offsets) => consumer.commit(&offsets, CommitMode::Sync),
                None => consumer.commit_consumer_state(CommitMode::Sync),
            };
            // Nobody waits any more when it took too long.
            done.send(committed).ok();
        };
        std::thread::Builder::new().name("commit".into()).spawn(commit).map_err(|_| silent())?;
        self.wait(answer)
    }

    fn wait(&self, answer: Receiver<KafkaResult<()>>) -> KafkaResult<()> {
        match answer.recv_timeout(self.limit) {
            Ok(committed) => committed,
            Err(_) => {
                self.unanswered.set(Some(answer));
                Err(silent())
            }
        }
    }
}

fn silent() -> KafkaError {
    KafkaError::ConsumerCommit(RDKafkaErrorCode::OperationTimedOut)
}
