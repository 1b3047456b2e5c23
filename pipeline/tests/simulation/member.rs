//! A member of the group: one engine and its source, and what can be done to them from outside.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use pipeline::dedupe::Mark;
use pipeline::engine::batcher::{BatchLimits, Batcher};
use pipeline::engine::delivery::Delivery;
use pipeline::engine::tuner::{DeliveryCell, TunerBounds};
use pipeline::feed;
use pipeline::sink::SinkLimits;
use pipeline::{
    Engine, EngineError, EngineOptions, EngineParts, Ladder, Proceed, RetryPolicy, Status, Tally, TopicPartition, bind,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::model::{Shared, SimLetters, SimMarks, World};
use crate::network::SimSink;
use crate::source::{Command, SESSION, Source, Told};
use crate::system::SimSystem;
use crate::world::What;

/// How a member is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub batch: BatchLimits,
    pub sink: SinkLimits,
    pub max_in_flight: usize,
    pub window: usize,
    pub marks: bool,
    pub poll_ms: u64,
    pub seed: u64,
    pub ladder: Option<Ladder>,
    /// The store takes several writes of one key in a request.
    pub orders_keys: bool,
    /// Size and number of batches are tuned.
    pub adaptive: bool,
}

impl Setup {
    fn bounds(&self) -> TunerBounds {
        let start = DeliveryCell { size: self.batch.records, number: self.max_in_flight };
        let most = DeliveryCell { size: start.size * 4, number: start.number + 2 };
        TunerBounds { start, least: DeliveryCell { size: 1, number: 1 }, most }
    }

    fn options(&self) -> EngineOptions {
        EngineOptions {
            group: "group".into(),
            max_in_flight: NonZeroUsize::new(self.max_in_flight).unwrap(),
            max_bytes: 100_000,
            retry: RetryPolicy { attempts: 3, delay: Duration::from_millis(100), max_delay: Duration::from_secs(5) },
            dedupe_window: NonZeroUsize::new(self.window).unwrap(),
            seed: self.seed,
            delivery: None,
        }
    }
}

pub struct Member {
    pub world: Arc<World>,
    engine: JoinHandle<Result<Tally, EngineError>>,
    source: JoinHandle<()>,
    commands: mpsc::Sender<Told>,
    offered: Arc<AtomicU64>,
    pub proceed: Arc<dyn Proceed>,
    pub status: Arc<Status>,
    pub delivery: Option<Arc<Delivery>>,
    pub disturbed: bool,
}

fn shared<T: Default>() -> Shared<T> {
    Shared::default()
}

impl Member {
    pub fn start(world: &Arc<World>, run: u64, setup: Setup) -> Self {
        let (intake, feed) = feed::channel(SESSION);
        let (commands, told) = mpsc::channel(8);
        let status = Arc::new(Status::default());
        let cuts = shared();
        let delivery = setup.adaptive.then(|| Arc::new(Delivery::new("sim", setup.bounds())));
        let sink = SimSink {
            world: world.clone(),
            limits: setup.sink,
            by_key: setup.ladder.is_some(),
            orders_keys: setup.orders_keys,
            leases: intake.leases.clone(),
            max_in_flight: if setup.adaptive { setup.bounds().most.number } else { setup.max_in_flight },
            running: AtomicUsize::new(0),
            cuts: cuts.clone(),
            sent: shared(),
            busy: shared(),
        };
        let parts = EngineParts {
            binding: bind(SimSystem { ladder: setup.ladder }, Arc::new(sink)),
            dead_letters: Arc::new(SimLetters(world.clone())),
            marks: setup.marks.then(|| Arc::new(SimMarks(world.clone())) as _),
            status: status.clone(),
        };
        let engine = Engine::new(parts, feed, EngineOptions { delivery: delivery.clone(), ..setup.options() });
        let proceed = engine.proceed();
        let offered = Arc::new(AtomicU64::new(0));
        let source = Source {
            world: world.clone(),
            run,
            intake,
            batcher: Batcher::new(setup.batch),
            delivery: delivery.clone(),
            hand: None,
            commands: told,
            cuts,
            positions: Default::default(),
            batches: 0,
            offered: offered.clone(),
            poll_ms: setup.poll_ms,
        };
        Self {
            world: world.clone(),
            engine: tokio::spawn(engine.run()),
            source: tokio::spawn(source.run()),
            commands,
            offered,
            proceed,
            status,
            delivery,
            disturbed: false,
        }
    }

    /// Says something and waits until it was done.
    pub async fn tell(&self, command: Command) {
        let (done, answer) = oneshot::channel();
        self.commands.send((command, done)).await.ok();
        if answer.await.is_err() {
            self.world.check(false, || "the source is gone".into());
        }
    }

    /// Says something and does not wait.
    pub async fn tell_only(&self, command: Command) {
        self.commands.send((command, oneshot::channel().0)).await.ok();
    }

    /// Records handed to the engine.
    pub fn offered(&self) -> u64 {
        self.offered.load(Ordering::Relaxed)
    }

    /// Drops engine and source where they are; requests on their way may still land.
    pub async fn crash(self) {
        self.engine.abort();
        self.source.abort();
        self.engine.await.ok();
        self.source.await.ok();
        self.world.note(|| "crashed".into());
    }

    /// Drains, commits and ends.
    pub async fn stop(self) -> Tally {
        self.tell(Command::Stop).await;
        self.source.await.ok();
        let tally = match tokio::time::timeout(Duration::from_secs(60), self.engine).await {
            Ok(Ok(Ok(tally))) => tally,
            Ok(other) => {
                self.world.check(false, || format!("the engine ended badly: {other:?}"));
                Tally::default()
            }
            Err(_) => {
                self.world.check(false, || "the engine did not stop".into());
                Tally::default()
            }
        };
        for _ in 0..self.delivery.map_or(0, |delivery| delivery.standing().changes) {
            self.world.count("tuned");
        }
        let offered = self.offered.load(Ordering::Relaxed);
        self.world.note(|| format!("stopped: {tally}, {} abandoned of {offered}", tally.abandoned));
        let counted = tally.total() + tally.abandoned;
        self.world.check(counted <= offered, || format!("{counted} outcomes of {offered} records"));
        self.world.check(self.disturbed || tally.total() == offered, || {
            format!("{} outcomes of {offered} records and nothing in the way: {tally}", tally.total())
        });
        tally
    }
}

/// Another member of the group, as simple as can be: finishes some records of a partition and commits.
pub fn foreign(world: &World, at: &TopicPartition, records: usize, remembers: bool) {
    let from = world.committed(at);
    let events: Vec<_> = {
        let log = world.log.lock().unwrap();
        log.partitions[at].events.iter().filter(|e| e.record.offset >= from).take(records).cloned().collect()
    };
    for event in &events {
        let key = (at.clone(), event.record.offset);
        if let Some(class) = event.dead() {
            let record = &event.record;
            world.letters.lock().unwrap().kept.entry(key).or_insert(crate::model::Kept {
                class: class.into(),
                key: record.key.clone(),
                payload: record.payload.clone(),
                headers: record.headers.clone(),
                attempts: 0,
            });
        } else if let What::Write(write) = &event.what {
            world.store.lock().unwrap().apply(write);
            if remembers {
                remember(world, event);
            }
        }
    }
    if let Some(last) = events.last() {
        let next = last.record.offset + 1;
        world.note(|| format!("somebody else finished {at} up to {next}"));
        world.broker.lock().unwrap().committed.insert(at.clone(), next);
    }
}

fn remember(world: &World, event: &crate::world::Event) {
    let payload = event.record.payload.as_deref().unwrap();
    let number: u64 = std::str::from_utf8(payload).unwrap().split(';').nth(1).unwrap().parse().unwrap();
    let mut message = [0; 32];
    message[..8].copy_from_slice(&number.to_be_bytes());
    let (at, offset) = (&event.record.at, event.record.offset);
    let mut book = world.marks.lock().unwrap();
    book.marks.entry(at.clone()).or_default().entry(Mark::of(&message, payload)).or_insert(offset);
    let highest = book.highest.entry(at.clone()).or_insert(offset);
    *highest = (*highest).max(offset);
}
