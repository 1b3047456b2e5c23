//! One seed: a log, a member, and a while of everything going wrong; then calm, and the judgement.

use std::sync::Arc;
use std::time::Duration;

use pipeline::sink::{FailureKind as Class, SinkLimits};
use pipeline::{Tally, TopicPartition};
use tokio::time::Instant;

use crate::judge::judge;
use crate::member::{Member, Setup, foreign};
use crate::model::World;
use crate::source::{Command, SESSION, Source};
use crate::store::Faults;
use crate::world::{Flavour, STORE_BYTES, make};

/// Everything has to be finished within this much virtual time after the last fault.
const DRAIN: Duration = Duration::from_secs(30 * 60);

/// A seed that runs.
struct Sim {
    world: Arc<World>,
    setup: Setup,
    flavour: Flavour,
    run: u64,
    member: Option<Member>,
    tally: Tally,
    /// Whether the counts of some run are lost, or its store was.
    uncounted: bool,
    snapshot: crate::world::Documents,
}

/// The shape of a seed: what the log holds, and how the member is set up.
fn shape(seed: u64, trace: bool) -> Sim {
    // A suspect takes its time, so with suspects in the log nothing may wait for their batches: no equal versions, no copies,
    // no order, and room for what is read again.
    let suspects = if seed.is_multiple_of(5) { 2 } else { 0 };
    let flavour = Flavour { equal_versions: seed.is_multiple_of(2) && suspects == 0, copies: suspects == 0, suspects };
    let log = make(seed, flavour);
    let faults = Faults {
        slow: 0.05,
        // Where versions are equal, a slow request has to end before the client gives it up. Later it could overwrite a
        // newer event of the same version.
        slow_ms: if flavour.equal_versions { 20_000 } else { 45_000 },
        unavailable: 0.05,
        lost_response: 0.04,
        half_response: 0.02,
        item_retry: 0.05,
    };
    let world = World::new(seed, log, if seed % 10 == 1 { Faults::default() } else { faults }, trace);
    let ordered = suspects == 0 && world.chance(0.25);
    let sink = SinkLimits {
        items: world.between(3, 60) as usize,
        bytes: if world.chance(0.5) { STORE_BYTES } else { 3 * STORE_BYTES },
        ordered,
        one_write_a_document: suspects == 0 && world.chance(0.25),
    };
    let max_in_flight = if suspects > 0 { 32 } else { world.between(1, 6) as usize };
    let setup = Setup {
        batch: Source::limits(&world),
        sink,
        max_in_flight,
        window: world.between(2, 200) as usize,
        marks: world.chance(0.85),
        poll_ms: world.between(10, 150),
        seed,
        ladder: None,
        orders_keys: false,
        adaptive: suspects == 0 && seed.is_multiple_of(3),
    };
    Sim {
        world,
        setup,
        flavour,
        run: 0,
        member: None,
        tally: Tally::default(),
        uncounted: false,
        snapshot: Default::default(),
    }
}

/// Runs a seed to its end; the world tells what was found.
pub async fn simulate(seed: u64, trace: bool) -> Arc<World> {
    let mut sim = shape(seed, trace);
    sim.world
        .note(|| format!("{:?} {:?}, {} records", sim.setup, sim.flavour, sim.world.log.lock().unwrap().records()));
    sim.start().await;
    let steps = sim.world.between(2, 12);
    for _ in 0..steps {
        let pause = sim.world.between(20, 6_000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        // One seed in ten is left undisturbed, so that its counts have to match exactly.
        if seed % 10 >= 2 {
            sim.disturb().await;
        } else if seed.is_multiple_of(10) {
            sim.outage().await;
        }
    }
    sim.drain().await;
    let tally = sim.member.take().unwrap().stop().await;
    sim.tally.merge(tally);
    if !sim.uncounted {
        let records = sim.world.log.lock().unwrap().records() as u64;
        let counted = sim.tally.total() + sim.tally.abandoned;
        sim.world.check(counted >= records, || format!("{counted} outcomes of {records} records"));
    }
    for _ in 0..sim.tally.duplicate {
        sim.world.count("duplicate");
    }
    judge(&sim.world);
    sim.world
}

impl Sim {
    async fn start(&mut self) {
        self.run += 1;
        let member = Member::start(&self.world, self.run, Setup { seed: self.setup.seed + self.run, ..self.setup });
        member.tell(Command::Assign(self.world.partitions())).await;
        self.member = Some(member);
    }

    async fn disturb(&mut self) {
        match self.world.between(0, 10) {
            0..2 => self.crash().await,
            2 => self.restart().await,
            3..5 => self.rebalance().await,
            5..7 => self.oversleep().await,
            _ => self.outage().await,
        }
    }

    /// Something outside goes away for a while.
    async fn outage(&mut self) {
        let until = Instant::now() + Duration::from_millis(self.world.between(500, 40_000));
        let which = self.world.between(0, 6);
        match which {
            0 => self.store_outage(Class::Unavailable, until),
            1 => self.store_outage(Class::Misconfigured, until),
            2 => self.store_outage(Class::Broken, until),
            3 => self.world.letters.lock().unwrap().outage = Some(until),
            4 => self.world.marks.lock().unwrap().outage = Some(until),
            _ => self.mark_loss(),
        }
        self.world.note(|| format!("outage {which} until {:?}", until - Instant::now()));
    }

    fn store_outage(&self, class: Class, until: Instant) {
        self.world.count("store outage");
        self.world.store.lock().unwrap().outage = Some((class, until));
    }

    fn mark_loss(&self) {
        let which = self.world.between(0, 3);
        let mut book = self.world.marks.lock().unwrap();
        self.world.count("marks lost");
        self.world.note(|| format!("mark loss {which}"));
        match which {
            0 => {
                book.marks.clear();
                book.highest.clear();
            }
            1 => book.marks.values_mut().for_each(|marks| {
                marks.pop_first();
            }),
            _ => {
                book.highest.pop_first();
            }
        }
    }

    /// Waits until nothing may land late, where no version could tell it apart.
    async fn settle_down(&self, always: bool) {
        while (always || self.flavour.equal_versions) && self.world.store.lock().unwrap().active > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn crash(&mut self) {
        self.world.count("crash");
        self.uncounted = true;
        self.member.take().unwrap().crash().await;
        self.settle_down(false).await;
        if self.world.chance(0.4) {
            self.mark_loss();
        }
        if self.world.chance(0.25) {
            self.reset().await;
        }
        let pause = self.world.between(1, 5_000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        self.start().await;
    }

    async fn restart(&mut self) {
        self.world.count("restart");
        // What does not finish in time is left to the next run.
        self.member.as_mut().unwrap().disturbed = true;
        let tally = self.member.take().unwrap().stop().await;
        self.tally.merge(tally);
        self.settle_down(false).await;
        if self.world.chance(0.4) {
            self.uncounted = true;
            self.reset().await;
        }
        self.start().await;
    }

    /// The group goes back: to the beginning, with the store as it is, wiped, or as it was; or to somewhere, wiped.
    async fn reset(&mut self) {
        self.settle_down(true).await;
        let mut broker = self.world.broker.lock().unwrap();
        let mut store = self.world.store.lock().unwrap();
        broker.committed.values_mut().for_each(|next| *next = 0);
        broker.floor.clear();
        let which = self.world.between(0, 5);
        self.world.note(|| format!("reset {which}"));
        self.world.count(if which == 0 { "reset" } else { "reset and wiped" });
        match which {
            0 => self.snapshot = store.documents.clone(),
            1..3 => store.documents.clear(),
            3 => store.documents = self.snapshot.clone(),
            _ => {
                store.documents.clear();
                for (at, partition) in &self.world.log.lock().unwrap().partitions {
                    let from = self.world.between(0, partition.end as u64 + 1) as i64;
                    broker.floor.insert(at.clone(), from);
                    broker.seen = self.world.marks.lock().unwrap().highest.clone();
                    broker.committed.insert(at.clone(), from);
                }
            }
        }
    }

    fn some(&self) -> Vec<TopicPartition> {
        let mut chosen = self.world.partitions();
        let all = chosen.clone();
        chosen.retain(|_| self.world.chance(0.5));
        if chosen.is_empty() { all } else { chosen }
    }

    async fn others(&self, partitions: &[TopicPartition]) {
        self.settle_down(false).await;
        for at in partitions {
            let records = self.world.between(0, 60) as usize;
            foreign(&self.world, at, records, self.world.chance(0.7));
        }
    }

    async fn rebalance(&mut self) {
        let some = self.some();
        let lost = self.world.chance(0.4);
        self.world.count(if lost { "lost" } else { "revoked" });
        let member = self.member.as_mut().unwrap();
        member.disturbed = true;
        let gone = if lost { Command::Lose(some.clone()) } else { Command::Revoke(some.clone()) };
        member.tell(gone).await;
        if self.world.chance(0.5) {
            self.uncounted = true;
            self.others(&some).await;
        }
        let pause = if self.world.chance(0.3) { 1 } else { self.world.between(1, 8_000) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        self.member.as_ref().unwrap().tell(Command::Assign(some)).await;
    }

    async fn oversleep(&mut self) {
        self.world.count("overslept");
        let time = SESSION + Duration::from_millis(self.world.between(100, 20_000));
        let taken = self.world.chance(0.7);
        let some = self.some();
        let member = self.member.as_mut().unwrap();
        member.disturbed |= taken;
        member.tell_only(Command::Oversleep(time)).await;
        if !taken {
            return;
        }
        member.tell_only(Command::Lose(some.clone())).await;
        // The group notices after the session timeout, and gives the partitions to somebody else.
        tokio::time::sleep(SESSION + Duration::from_millis(90)).await;
        self.uncounted = true;
        if self.flavour.equal_versions {
            // Somebody else comes only when we are awake again: a request on its way cannot be told apart.
            tokio::time::sleep(time).await;
        }
        self.others(&some).await;
        self.member.as_ref().unwrap().tell(Command::Assign(some)).await;
    }

    /// The faults stop; everything has to be finished within bounded time.
    async fn drain(&mut self) {
        {
            let mut store = self.world.store.lock().unwrap();
            store.faults = Faults::default();
            store.outage = None;
            self.world.letters.lock().unwrap().outage = None;
            self.world.marks.lock().unwrap().outage = None;
        }
        self.world.note(|| "calm".into());
        let deadline = Instant::now() + DRAIN;
        let at = self.world.partitions().remove(0);
        let mut beat = 0;
        while !self.world.drained() {
            if Instant::now() > deadline {
                let standing = self.member.as_ref().unwrap().status.standing();
                let broker = self.world.broker.lock().unwrap();
                return self.world.check(false, || format!("not drained: {:?}, {standing:?}", broker.committed));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            // A suspect is only told from an outage while other writes succeed, so a little traffic goes on.
            beat += 1;
            if self.flavour.suspects > 0 && beat % 4 == 0 && beat < 400 {
                let mut log = self.world.log.lock().unwrap();
                log.write(&at, 1_000_000 + beat, "heartbeat", beat as i64, "-", crate::world::Kind::Good);
            }
        }
    }
}
