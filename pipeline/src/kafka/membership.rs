//! Whether the group still counts this process as a member, asked after a sleep longer than the session.
//!
//! A commit is only taken from a member, so a position that the group knows already is committed once more, off the poll
//! thread. While no position is known there is nothing to ask with: membership stays open until one is. That a commit has
//! nothing to say (`NoOffset`) says nothing about membership.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaResult;

use super::assignment::Assignment;
use super::call::Question;
use super::commit::offsets;
use super::context::FeedContext;

/// How long after an answer the group is asked again.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct GroupMembership {
    session: Duration,
    word: Question<KafkaResult<()>>,
}

impl GroupMembership {
    pub(super) fn new(session: Duration) -> Self {
        Self { session, word: Question::new("membership") }
    }

    /// Whether the group's word is there; asks for it where it is not.
    pub(super) fn confirm(&mut self, consumer: &Arc<BaseConsumer<FeedContext>>, assignment: &Assignment) -> bool {
        match self.word.take(AGAIN) {
            // An answer to a question from before another sleep says nothing.
            Some((Some(Ok(())), asked)) if asked.elapsed() < self.session => {
                tracing::info!("Still a member of the group after a sleep longer than its session");
                return true;
            }
            Some((Some(Err(error)), _)) => {
                tracing::warn!(%error, "Slept longer than the session lasts; waiting for the group's word");
            }
            _ => {}
        }
        if self.word.is_free() {
            let positions = assignment.positions();
            if positions.count() > 0 {
                let consumer = consumer.clone();
                self.word.ask(move || offsets(&consumer, &positions));
            }
        }
        false
    }
}
