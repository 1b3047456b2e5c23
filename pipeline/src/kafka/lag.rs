//! How far the group is behind in each partition, and what readiness says where nobody can tell.
//!
//! librdkafka knows the end of a log from what it fetches. It fetches nothing while a partition is paused or its leader is
//! away. So the brokers are asked for the ends as well, off the poll thread. A lag that nobody can tell is called unknown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Statistics;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaResult;

use super::assignment::{Assigned, Assignment, join_names, of};
use super::call::Question;
use super::context::FeedContext;
use super::offsets::{Edge, Offsets, edges};
use crate::record::TopicPartition;
use crate::status::Status;

/// How long after an answer the brokers are asked again.
const AGAIN: Duration = Duration::from_secs(5);
/// An end that was told longer ago says nothing of now.
const FRESH: Duration = Duration::from_secs(30);

/// Watches one consumer.
#[derive(Debug)]
pub(super) struct Lag {
    system: &'static str,
    asked: Question<KafkaResult<Offsets>>,
    /// The end of each log, and when it was asked for.
    ends: BTreeMap<TopicPartition, (i64, Instant)>,
    /// When partitions came last: their ends take a moment to be told.
    since: Instant,
}

impl Lag {
    pub(super) fn new(system: &'static str) -> Self {
        Self { system, asked: Question::new("lag"), ends: BTreeMap::new(), since: Instant::now() }
    }

    /// The records that each partition is behind, in the order of the assignment; `None` where nobody can tell.
    pub(super) fn look(
        &mut self,
        consumer: &Arc<BaseConsumer<FeedContext>>,
        statistics: &Statistics,
        assignment: &Assignment,
        status: &Status,
    ) -> Vec<Option<i64>> {
        self.ask(consumer, assignment);
        let behind: Vec<Option<i64>> = assignment.iter().map(|held| self.behind(held, statistics)).collect();
        for (held, behind) in assignment.iter().zip(&behind) {
            if let Some(behind) = behind {
                self.tell(&held.at, *behind);
            }
        }
        let unknown = assignment.iter().zip(&behind).filter(|(_, behind)| behind.is_none()).map(|(held, _)| &held.at);
        let unknown: Vec<&TopicPartition> = unknown.collect();
        metrics::gauge!("millrace_consumer_lag_known", "system" => self.system)
            .set(f64::from(u8::from(unknown.is_empty())));
        if unknown.is_empty() {
            status.clear("lag");
        } else if self.since.elapsed() > FRESH {
            let why = format!("the lag of {} is not known: no broker tells where the log ends", join_names(&unknown));
            status.raise("lag", why);
        }
        behind
    }

    fn ask(&mut self, consumer: &Arc<BaseConsumer<FeedContext>>, assignment: &Assignment) {
        if let Some((Some(Ok(ends)), when)) = self.asked.take(AGAIN) {
            self.ends.extend(ends.into_iter().map(|(at, end)| (at, (end, when))));
        }
        if self.asked.is_free() && assignment.iter().next().is_some() {
            let (consumer, partitions) = (consumer.clone(), assignment.partitions());
            self.asked.ask(move || edges(&consumer, &partitions, Edge::End));
        }
    }

    fn behind(&self, held: &Assigned, statistics: &Statistics) -> Option<i64> {
        let next = held.finished.or(held.start)?;
        let (end, _) = self.ends.get(&held.at).filter(|(_, when)| when.elapsed() < FRESH)?;
        let found = of(statistics, &held.at);
        let end = found.map_or(*end, |found| found.ls_offset.max(*end));
        Some((end - next).max(0))
    }

    fn tell(&self, at: &TopicPartition, behind: i64) {
        metrics::gauge!("millrace_consumer_lag_records", "system" => self.system, "topic" => at.topic.to_string(),
            "partition" => at.partition.to_string())
        .set(behind as f64);
    }

    pub(super) fn on_assign(&mut self) {
        self.since = Instant::now();
    }

    /// Whoever has these partitions next tells their lag.
    pub(super) fn on_revoke(&mut self, gone: &[TopicPartition]) {
        for at in gone {
            self.ends.remove(at);
            self.tell(at, 0);
        }
    }
}
