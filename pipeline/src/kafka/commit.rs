//! Commits that wait for the broker's answer, and not for ever: librdkafka has no limit of its own, and a broker that stands
//! still would keep a program from stopping.

use std::cell::Cell;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::call::PendingCall;
use super::context::FeedContext;

/// Commits of what is stored, for revocation and stop: the only ones that the poll thread waits for. At most one at a time.
pub(super) struct Committer {
    consumer: Arc<BaseConsumer<FeedContext>>,
    limit: Duration,
    /// A commit that was given up on.
    unanswered: Cell<Option<PendingCall<KafkaResult<()>>>>,
}

impl Committer {
    /// `limit` is how long the broker is waited for.
    pub(super) fn new(consumer: Arc<BaseConsumer<FeedContext>>, limit: Duration) -> Self {
        Self { consumer, limit, unanswered: Cell::new(None) }
    }

    /// Commits what is stored.
    ///
    /// # Errors
    /// What the broker says; `OperationTimedOut` when it says nothing. The commit may happen all the same then, which does
    /// no harm: what it commits is finished, and a broker takes it from a member alone.
    pub(super) fn commit(&self) -> KafkaResult<()> {
        if let Some(earlier) = self.unanswered.take()
            && earlier.wait(self.limit).is_pending()
        {
            self.unanswered.set(Some(earlier));
            return Err(silent());
        }
        let consumer = self.consumer.clone();
        let call = PendingCall::begin("commit", move || commit_stored(&consumer));
        match call.wait(self.limit) {
            Poll::Ready(Some(committed)) => committed,
            Poll::Ready(None) => Err(silent()),
            Poll::Pending => {
                self.unanswered.set(Some(call));
                Err(silent())
            }
        }
    }
}

/// Commits what is stored, and waits; nothing new to commit is no error.
pub(super) fn commit_stored(consumer: &BaseConsumer<FeedContext>) -> KafkaResult<()> {
    match consumer.commit_consumer_state(CommitMode::Sync) {
        Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
        committed => committed,
    }
}

/// Commits these offsets, and waits.
pub(super) fn offsets(consumer: &BaseConsumer<FeedContext>, offsets: &TopicPartitionList) -> KafkaResult<()> {
    consumer.commit(offsets, CommitMode::Sync)
}

fn silent() -> KafkaError {
    KafkaError::ConsumerCommit(RDKafkaErrorCode::OperationTimedOut)
}
