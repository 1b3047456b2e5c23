//! The source: does what the poll thread does, on the same batcher, leases and feed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pipeline::engine::batcher::{Batch, BatchLimits, Batcher};
use pipeline::engine::delivery::Delivery;
use pipeline::feed::{Intake, Revocation};
use pipeline::offsets::offset_tracker::Frontier;
use pipeline::{Epoch, TopicPartition};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::model::{Shared, World};

pub const SESSION: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(5);

/// What the group tells a member, or what befalls it.
pub enum Command {
    Assign(Vec<TopicPartition>),
    Revoke(Vec<TopicPartition>),
    /// Gone already: somebody else may be at work on them.
    Lose(Vec<TopicPartition>),
    /// The process is not scheduled for so long.
    Oversleep(Duration),
    Stop,
}

pub type Told = (Command, oneshot::Sender<()>);

pub struct Source {
    pub world: Arc<World>,
    pub run: u64,
    pub intake: Intake,
    pub batcher: Batcher,
    pub delivery: Option<Arc<Delivery>>,
    pub hand: Option<Batch>,
    pub commands: mpsc::Receiver<Told>,
    pub cuts: Shared<BTreeMap<(TopicPartition, i64), u64>>,
    pub positions: BTreeMap<TopicPartition, (Epoch, i64)>,
    pub batches: u64,
    /// Records handed to the engine.
    pub offered: Arc<AtomicU64>,
    pub poll_ms: u64,
}

impl Source {
    pub fn limits(world: &World) -> BatchLimits {
        BatchLimits {
            records: world.between(1, 40) as usize,
            bytes: world.between(500, 8_000) as usize,
            age: Duration::from_millis(world.between(20, 1_500)),
        }
    }

    pub async fn run(mut self) {
        loop {
            while let Ok((command, done)) = self.commands.try_recv() {
                let stop = matches!(command, Command::Stop);
                self.obey(command).await;
                done.send(()).ok();
                if stop {
                    return;
                }
            }
            self.intake.leases.note_poll();
            if let Some(delivery) = &self.delivery {
                self.batcher.set_records(delivery.cell().size);
            }
            if self.hand.is_none() {
                self.fetch();
            }
            if self.hand.is_none() && self.batcher.due_at().is_some_and(|due| due <= Instant::now().into_std()) {
                self.hand = self.batcher.cut();
                self.note_cut();
            }
            if let Some(batch) = self.hand.take() {
                let records = batch.records.len() as u64;
                match self.intake.batches.try_send(batch) {
                    Ok(()) => {
                        self.offered.fetch_add(records, Ordering::Relaxed);
                    }
                    Err(mpsc::error::TrySendError::Full(batch)) => self.hand = Some(batch),
                    Err(mpsc::error::TrySendError::Closed(_)) => {
                        self.world.check(false, || "the engine went away".into());
                        return;
                    }
                }
            }
            let frontier = self.intake.frontier.borrow_and_update().clone();
            self.commit(&frontier, |_| true);
            tokio::time::sleep(Duration::from_millis(self.poll_ms)).await;
        }
    }

    /// One poll: a few records of each partition, in turn, until a batch is full.
    fn fetch(&mut self) {
        let most = self.world.between(1, 12);
        let now = Instant::now().into_std();
        let log = self.world.log.lock().unwrap();
        for (at, (epoch, next)) in &mut self.positions {
            let partition = &log.partitions[at];
            let begin = partition.events.partition_point(|event| event.record.offset < *next);
            for event in partition.events.iter().skip(begin).take(most as usize) {
                *next = event.record.offset + 1;
                if let Some(batch) = self.batcher.push(event.record.clone(), *epoch, now) {
                    self.hand = Some(batch);
                    break;
                }
            }
            if self.hand.is_some() {
                break;
            }
            let rest = partition.events.iter().any(|event| event.record.offset >= *next);
            if !rest && *next < partition.end {
                *next = partition.end;
                self.batcher.cover(at, *epoch, *next, now);
            }
        }
        drop(log);
        self.note_cut();
    }

    fn note_cut(&mut self) {
        let Some(batch) = &self.hand else { return };
        self.batches += 1;
        let mut cuts = self.cuts.lock().unwrap();
        for record in &batch.records {
            cuts.insert((record.at.clone(), record.offset), self.batches);
        }
    }

    /// Commits what is finished under the assignment that is alive.
    fn commit(&self, frontier: &Frontier, of: impl Fn(&TopicPartition) -> bool) {
        for (at, position) in frontier.iter().filter(|(at, _)| of(at)) {
            if self.intake.leases.epoch(at) == Some(position.epoch) {
                self.world.commit(self.run, at, position.epoch, position.next);
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Assign(partitions) => {
                for at in partitions {
                    let epoch = self.intake.leases.grant(&at);
                    let next = self.world.committed(&at);
                    self.world.note(|| format!("assigned {at} from {next}"));
                    self.positions.insert(at, (epoch, next));
                }
            }
            Command::Revoke(partitions) => self.give_up(partitions, GRACE).await,
            Command::Lose(partitions) => self.give_up(partitions, Duration::ZERO).await,
            Command::Oversleep(time) => {
                self.world.note(|| format!("oversleeps {time:?}"));
                tokio::time::sleep(time).await;
            }
            Command::Stop => {
                let all = self.positions.keys().cloned().collect();
                self.give_up(all, GRACE).await;
            }
        }
    }

    async fn give_up(&mut self, partitions: Vec<TopicPartition>, grace: Duration) {
        self.world.note(|| format!("gives up {partitions:?} within {grace:?}"));
        self.batcher.forget(&partitions);
        if let Some(mut batch) = self.hand.take() {
            batch.forget(|span| partitions.contains(&span.at));
            self.hand = (!batch.is_empty()).then_some(batch);
        }
        self.intake.leases.close_intake(&partitions);
        let (done, answer) = oneshot::channel();
        let begun = Instant::now();
        let revocation = Revocation { partitions: partitions.clone(), grace, done };
        self.intake.revocations.send(revocation).await.unwrap();
        let last = answer.await.unwrap();
        let late = begun.elapsed().saturating_sub(grace);
        self.world.check(late < Duration::from_millis(50), || format!("revocation answered {late:?} late"));
        if !grace.is_zero() {
            self.commit(&last, |at| partitions.contains(at));
        }
        self.intake.leases.end(&partitions);
        self.positions.retain(|at, _| !partitions.contains(at));
    }
}
