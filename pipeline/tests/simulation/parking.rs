//! One seed of order by key: a store that refuses some keys for a time, and everything else that may go wrong meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pipeline::sink::{FailureKind as Class, SinkLimits};
use pipeline::{Ladder, TopicPartition};
use tokio::time::Instant;

use crate::keyed::{Keyed, judge};
use crate::member::{Member, Setup};
use crate::model::World;
use crate::source::{Command, SESSION, Source};
use crate::store::Faults;
use crate::world::{Kind, Log, Partition, STORE_BYTES};

const DRAIN: Duration = Duration::from_secs(30 * 60);

struct Parking {
    world: Arc<World>,
    setup: Setup,
    run: u64,
    member: Option<Member>,
    keys: u64,
}

/// Records of few keys, so that they meet; some of several keys, some that are nobody's, some that nobody takes.
fn log(world: &World, keys: u64) -> Log {
    let mut log = Log::default();
    let partitions = world.between(1, 4) as i32;
    for partition in 0..partitions {
        log.partitions.insert(TopicPartition::new("topic", partition), Partition::default());
    }
    for n in 0..world.between(60, 250) {
        let key = world.between(0, keys);
        let at = TopicPartition::new("topic", (key % partitions as u64) as i32);
        // A bulk takes keys of its partition alone.
        let others = if world.chance(0.08) { world.between(1, 4) } else { 0 };
        let mut document = format!("k{key}");
        for more in 1..=others {
            document += &format!("+k{}", (key + more * partitions as u64) % (keys * partitions as u64));
        }
        match world.between(0, 100) {
            0..3 => log.append(&at, format!("poison {n}"), "p"),
            3..6 => log.append(&at, "ignore".to_owned(), "i"),
            6..9 => log.write(&at, n, &document, n as i64, "x", Kind::Bad),
            9 => log.write(&at, n, &document, n as i64, "x", Kind::Unfit),
            10..14 => log.partitions.get_mut(&at).unwrap().end += 2,
            14..18 => copy(&mut log, &at),
            _ => log.write(&at, n, &document, n as i64, "x", Kind::Good),
        }
    }
    log
}

/// The last record of the partition once more.
fn copy(log: &mut Log, at: &TopicPartition) {
    let Some(last) = log.partitions[at].events.last().cloned() else { return };
    let text = |bytes: Option<bytes::Bytes>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    log.append(at, text(last.record.payload), &text(last.record.key));
}

fn shape(seed: u64, trace: bool) -> Parking {
    let dice = World::new(seed, Log::default(), Faults::default(), false);
    let keys = dice.between(2, 25);
    let log = log(&dice, keys);
    // No request lands when its client is gone: a store without versions could not tell it apart.
    let faults = Faults {
        slow: 0.05,
        slow_ms: 3_000,
        unavailable: 0.03,
        lost_response: 0.03,
        half_response: 0.02,
        item_retry: 0.03,
    };
    let world = World::new(seed, log, if seed % 10 == 1 { Faults::default() } else { faults }, trace);
    let ladder = Ladder::new(world.between(1, 5) as u32, Duration::from_millis(world.between(200, 2_000)));
    world.store.lock().unwrap().keyed = Some(Keyed::new(ladder));
    let orders_keys = world.chance(0.5);
    let setup = Setup {
        batch: Source::limits(&world),
        sink: SinkLimits {
            items: world.between(3, 60) as usize,
            bytes: STORE_BYTES,
            ordered: world.chance(0.5) || orders_keys,
            one_write_a_document: world.chance(0.5),
        },
        max_in_flight: world.between(1, 6) as usize,
        window: world.between(2, 200) as usize,
        marks: world.chance(0.7),
        poll_ms: world.between(10, 150),
        seed,
        ladder: Some(ladder),
        orders_keys,
        adaptive: seed.is_multiple_of(3),
    };
    Parking { world, setup, run: 0, member: None, keys }
}

/// Runs a seed to its end; the world tells what was found.
pub async fn simulate(seed: u64, trace: bool) -> Arc<World> {
    let mut sim = shape(seed, trace);
    sim.world.note(|| format!("{:?}, {} records", sim.setup, sim.world.log.lock().unwrap().records()));
    (0..sim.world.between(0, 6)).for_each(|_| sim.refuse());
    sim.start().await;
    for _ in 0..sim.world.between(2, 10) {
        let pause = sim.world.between(20, 6_000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        sim.refuse();
        // Some seeds are left undisturbed, so that their counts have to match.
        if seed % 10 >= 2 {
            sim.disturb().await;
        }
    }
    sim.drain().await;
    sim.member.take().unwrap().stop().await;
    judge(&sim.world);
    sim.world
}

impl Parking {
    async fn start(&mut self) {
        self.run += 1;
        let member = Member::start(&self.world, self.run, Setup { seed: self.setup.seed + self.run, ..self.setup });
        member.tell(Command::Assign(self.world.partitions())).await;
        self.member = Some(member);
    }

    /// A key is refused for a time, now and then for ever.
    fn refuse(&self) {
        let key = format!("k{}", self.world.between(0, self.keys));
        let long = if self.world.chance(0.2) { 100_000 } else { self.world.between(1, 20) };
        let until = Instant::now() + Duration::from_secs(long);
        self.world.note(|| format!("{key} is refused for {long} s"));
        self.world.store.lock().unwrap().keyed.as_mut().unwrap().refused.insert(key, until);
    }

    async fn disturb(&mut self) {
        match self.world.between(0, 10) {
            0..2 => self.crash().await,
            2 => {
                self.world.count("restart");
                self.member.as_mut().unwrap().disturbed = true;
                self.member.take().unwrap().stop().await;
                self.settle_down().await;
                self.start().await;
            }
            3..6 => self.rebalance().await,
            6 => {
                let time = SESSION + Duration::from_millis(self.world.between(100, 20_000));
                self.member.as_ref().unwrap().tell_only(Command::Oversleep(time)).await;
            }
            7..9 => self.outage(),
            _ => {}
        }
    }

    fn outage(&self) {
        let until = Instant::now() + Duration::from_millis(self.world.between(500, 30_000));
        let kind = [Class::Unavailable, Class::Misconfigured, Class::Broken][self.world.between(0, 3) as usize];
        match self.world.between(0, 3) {
            0 => self.world.letters.lock().unwrap().outage = Some(until),
            1 => self.world.marks.lock().unwrap().outage = Some(until),
            _ => {
                self.world.count("store outage");
                self.world.store.lock().unwrap().outage = Some((kind, until));
            }
        }
    }

    async fn settle_down(&self) {
        while self.world.store.lock().unwrap().active > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn crash(&mut self) {
        self.world.count("crash");
        self.member.take().unwrap().crash().await;
        self.settle_down().await;
        let pause = self.world.between(1, 5_000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        self.start().await;
    }

    async fn rebalance(&mut self) {
        let mut some = self.world.partitions();
        some.retain(|_| self.world.chance(0.6));
        let lost = self.world.chance(0.4);
        self.world.count(if lost { "lost" } else { "revoked" });
        let member = self.member.as_mut().unwrap();
        member.disturbed = true;
        member.tell(if lost { Command::Lose(some.clone()) } else { Command::Revoke(some.clone()) }).await;
        // What is on its way of the older assignment lands first, as no version tells it apart.
        let pause = self.world.between(3_000, 8_000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        self.member.as_ref().unwrap().tell(Command::Assign(some)).await;
    }

    /// The faults stop, but for the keys that are refused; everything has to be finished within bounded time.
    async fn drain(&mut self) {
        {
            let mut store = self.world.store.lock().unwrap();
            (store.faults, store.outage) = (Faults::default(), None);
            self.world.letters.lock().unwrap().outage = None;
            self.world.marks.lock().unwrap().outage = None;
        }
        self.world.note(|| "calm".into());
        let deadline = Instant::now() + DRAIN;
        while !self.world.drained() {
            if Instant::now() > deadline {
                let standing = self.member.as_ref().unwrap().status.standing();
                let committed: BTreeMap<_, _> = self.world.broker.lock().unwrap().committed.clone();
                return self.world.check(false, || format!("not drained: {committed:?}, {standing:?}"));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}
