//! Gaps are explained, or written down as losses: asked and written off the poll thread, for all partitions at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaResult;

use super::assignment::Assignment;
use super::call::Question;
use super::context::FeedContext;
use super::gaps;
use super::offsets::{Edge, Offsets, edges};
use super::state::{StateError, StateTopic};
use crate::record::{Epoch, TopicPartition};
use crate::state::Loss;
use crate::status::Status;

/// How long after an answer the log's starts are asked for again, which bounds what gaps cost in a log that is full of them.
const AGAIN: Duration = Duration::from_millis(250);

type PerPartition<T> = Vec<(TopicPartition, Epoch, T)>;

/// What is open of one consumer.
pub(super) struct Losses {
    system: &'static str,
    group: String,
    state: StateTopic,
    status: Arc<Status>,
    starts: Question<KafkaResult<Offsets>>,
    asked: PerPartition<()>,
    written: Question<Result<Vec<u64>, StateError>>,
    writing: PerPartition<gaps::LostRange>,
}

impl Losses {
    pub(super) fn new(system: &'static str, group: &str, state: StateTopic, status: Arc<Status>) -> Self {
        Self {
            system,
            group: group.to_owned(),
            state,
            status,
            starts: Question::new("log starts"),
            asked: Vec::new(),
            written: Question::new("losses"),
            writing: Vec::new(),
        }
    }

    /// Goes on with what is open; true when a gap was explained or a loss written down.
    pub(super) fn look(&mut self, consumer: &Arc<BaseConsumer<FeedContext>>, assignment: &mut Assignment) -> bool {
        let explained = self.take_starts(assignment);
        let written = self.take_written(assignment);
        if self.starts.is_free() {
            self.ask(consumer, assignment);
        }
        if self.written.is_free() {
            self.write(assignment);
        }
        explained || written
    }

    fn take_starts(&mut self, assignment: &mut Assignment) -> bool {
        let Some((answer, _)) = self.starts.take(AGAIN) else { return false };
        let starts = match answer {
            Some(Ok(starts)) => starts,
            Some(Err(error)) => {
                tracing::warn!(%error, "The starts of the logs could not be asked for; a gap keeps the commit waiting");
                Offsets::new()
            }
            None => Offsets::new(),
        };
        for (at, epoch, ()) in self.asked.drain(..) {
            let Some(held) = assignment.under(&at, epoch) else { continue };
            match starts.get(&at) {
                Some(start) => held.gaps.answer(*start),
                None => held.gaps.note_unanswered(),
            }
        }
        !starts.is_empty()
    }

    fn ask(&mut self, consumer: &Arc<BaseConsumer<FeedContext>>, assignment: &mut Assignment) {
        for held in assignment.iter_mut().filter(|held| held.start.is_some() && held.gaps.is_unasked()) {
            held.gaps.ask();
            self.asked.push((held.at.clone(), held.epoch, ()));
        }
        if !self.asked.is_empty() {
            let partitions: Vec<TopicPartition> = self.asked.iter().map(|(at, ..)| at.clone()).collect();
            let consumer = consumer.clone();
            self.starts.ask(move || edges(&consumer, &partitions, Edge::Start));
        }
    }

    fn write(&mut self, assignment: &Assignment) {
        for held in assignment.iter() {
            self.writing.extend(held.gaps.losses().iter().map(|loss| (held.at.clone(), held.epoch, *loss)));
        }
        if self.writing.is_empty() {
            return;
        }
        let of = |(at, _, loss): &(TopicPartition, Epoch, gaps::LostRange)| {
            Loss::new(&self.group, at, loss.first, loss.next, loss.lost.unsigned_abs())
        };
        let losses: Vec<Loss> = self.writing.iter().map(of).collect();
        let state = self.state.clone();
        self.written.ask(move || state.write_losses(&losses));
    }

    fn take_written(&mut self, assignment: &mut Assignment) -> bool {
        let Some((answer, _)) = self.written.take(Duration::from_secs(1)) else { return false };
        let writing = std::mem::take(&mut self.writing);
        let new = match answer {
            Some(Ok(new)) => new,
            Some(Err(error)) => {
                self.status.raise("state", format!("records were lost, and that cannot be written down: {error}"));
                return false;
            }
            None => return false,
        };
        self.status.clear("state");
        let mut sums = BTreeMap::<String, u64>::new();
        for ((at, epoch, loss), lost) in writing.into_iter().zip(new) {
            let (topic, partition, first, next) = (&*at.topic, at.partition, loss.first, loss.next);
            if lost > 0 {
                metrics::counter!("millrace_lost_to_retention_total", "system" => self.system).increment(lost);
                tracing::error!(topic, partition, first, next, lost, "Records were lost to retention");
                *sums.entry(format!("{at}")).or_default() += lost;
            } else {
                tracing::warn!(topic, partition, first, next, "Records were lost to retention, which is known already");
            }
            if let Some(held) = assignment.under(&at, epoch) {
                held.gaps.note_written(&loss);
            }
        }
        // Red at once; whoever follows the state topic goes on from here.
        for (at, lost) in sums {
            self.status
                .raise("retention", format!("{lost} records of {at} were deleted by retention before they were read"));
        }
        true
    }
}
