//! Rebalances, as the poll thread acts on them after `poll` has returned, in the order in which they came.
//!
//! An assignment waits for what is known of it, off the thread (`starts`); whatever comes next completes it first, so that
//! librdkafka gets its answers in order. A revocation drains and commits here: with a stop the only wait for a broker.

use std::time::Duration;

use rdkafka::consumer::{Consumer, RebalanceProtocol};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::oneshot;

use super::assignment::{Assigned, partitions_of};
use super::consumer::FeedError;
use super::context::Rebalance;
use super::poll::KafkaFeed;
use super::starts::{Opening, Starts, begin};
use crate::feed::Revocation;
use crate::mutant;
use crate::offsets::offset_tracker::Frontier;
use crate::record::TopicPartition;

impl KafkaFeed {
    pub(super) fn rebalance(&mut self) -> Result<(), FeedError> {
        for event in self.consumer.context().take_rebalances() {
            self.complete_opening()?;
            match event {
                Rebalance::Assign(list) => {
                    self.opening = Some(Opening::ask(&self.consumer, list, self.options.answer_limit()));
                }
                Rebalance::Revoke(list) => self.revoke(&list)?,
            }
        }
        match self.opening.as_ref().and_then(Opening::find_starts) {
            Some(starts) => self.open(&starts),
            None if self.stopping => self.complete_opening(),
            None => Ok(()),
        }
    }

    /// Opens what is waiting with whatever is known of it.
    pub(super) fn complete_opening(&mut self) -> Result<(), FeedError> {
        let starts = self.opening.as_ref().map(|opening| opening.find_starts().unwrap_or_default());
        starts.map_or(Ok(()), |starts| self.open(&starts))
    }

    fn cooperative(&self) -> bool {
        matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
    }

    fn open(&mut self, starts: &Starts) -> Result<(), FeedError> {
        let Some(Opening { mut list, .. }) = self.opening.take() else { return Ok(()) };
        for at in partitions_of(&list, &self.topics) {
            let epoch = self.intake.leases.grant(&at);
            let mut held = Assigned::new(at, epoch);
            if let Some(found) = starts.get(&held.at)
                && let Some(low) = begin(&mut held, found)
            {
                let set = list.set_partition_offset(&held.at.topic, held.at.partition, Offset::Offset(low));
                set.map_err(FeedError::Fatal)?;
            }
            self.assignment.add(held);
        }
        self.assignment.begin();
        let done =
            if self.cooperative() { self.consumer.incremental_assign(&list) } else { self.consumer.assign(&list) };
        done.map_err(FeedError::Fatal)?;
        // Being paused outlives an assignment in librdkafka, so it is set either way.
        let set = if self.paused { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        set.map_err(FeedError::Fatal)?;
        self.monitor.on_assign(&self.assignment);
        Ok(())
    }

    /// Lets the client begin anew with partitions that it does not fetch, each where it is. What was polled stays as it is.
    pub(super) fn reassign(&mut self, partitions: &[TopicPartition]) -> Result<(), FeedError> {
        if self.opening.is_some() {
            return Ok(());
        }
        let cooperative = self.cooperative();
        let mut list = TopicPartitionList::new();
        for held in self.assignment.iter().filter(|held| !cooperative || partitions.contains(&held.at)) {
            let from = if held.position() < 0 { Offset::Stored } else { Offset::Offset(held.position()) };
            list.add_partition_offset(&held.at.topic, held.at.partition, from).map_err(FeedError::Fatal)?;
        }
        for at in partitions {
            let (topic, partition) = (&*at.topic, at.partition);
            tracing::warn!(topic, partition, "Nothing of the partition is fetched; assigning it anew");
        }
        metrics::counter!("millrace_partitions_reassigned_total", "system" => self.options.system)
            .increment(partitions.len() as u64);
        let done = if cooperative {
            self.consumer.incremental_unassign(&list).and_then(|()| self.consumer.incremental_assign(&list))
        } else {
            self.consumer.assign(&list)
        };
        done.and_then(|()| self.consumer.resume(&list)).map_err(FeedError::Fatal)?;
        self.monitor.forget_ends();
        self.assignment.forget_ends();
        Ok(())
    }

    /// Stops intake, lets the engine drain to a deadline, commits what is finished, gives the partitions back.
    fn revoke(&mut self, list: &TopicPartitionList) -> Result<(), FeedError> {
        let lost = self.consumer.assignment_lost();
        let partitions = partitions_of(list, &self.topics);
        self.batcher.forget(&partitions);
        self.in_hand.iter_mut().for_each(|batch| batch.forget(|span| partitions.contains(&span.at)));
        self.in_hand.retain(|batch| !batch.is_empty());
        self.intake.leases.close_intake(&partitions);
        let grace = if lost || mutant!(DrainSkipped) { Duration::ZERO } else { self.options.grace() };
        let last = self.drain(partitions.clone(), grace);
        if let (Some(last), false) = (&last, lost) {
            let moved = self.assignment.advance(last);
            self.store(&moved);
            if let Err(error) = self.committer.commit() {
                tracing::warn!(%error, "Offsets could not be committed; what follows them is read again");
            }
        }
        self.assignment.remove(&partitions);
        self.intake.leases.end(&partitions);
        self.monitor.on_revoke(&self.assignment, &partitions, lost);
        let done = if self.cooperative() { self.consumer.incremental_unassign(list) } else { self.consumer.unassign() };
        done.map_err(FeedError::Fatal)?;
        last.map(|_| ()).ok_or(FeedError::EngineStopped)
    }

    /// Asks the engine to finish these partitions; `None` when it is gone.
    fn drain(&self, partitions: Vec<TopicPartition>, grace: Duration) -> Option<Frontier> {
        let (done, answer) = oneshot::channel();
        self.intake.revocations.blocking_send(Revocation { partitions, grace, done }).ok()?;
        answer.blocking_recv().ok()
    }
}
