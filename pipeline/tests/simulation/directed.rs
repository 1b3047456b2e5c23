//! What the directed tests share: a small log made by hand, a member without luck, and the judgement at the end.

use std::sync::Arc;
use std::time::Duration;

use pipeline::engine::batcher::BatchLimits;
use pipeline::sink::SinkLimits;
use pipeline::{Tally, TopicPartition};
use tokio::time::Instant;

use crate::judge::judge;
use crate::member::{Member, Setup};
use crate::model::World;
use crate::source::Command;
use crate::store::Faults;
use crate::world::{Kind, Log, STORE_BYTES};

pub const SECOND: Duration = Duration::from_secs(1);

pub fn at(partition: i32) -> TopicPartition {
    TopicPartition::new("topic", partition)
}

/// `records` updates of ten documents a partition, over so many partitions.
pub fn plain(partitions: i32, records: usize) -> Log {
    let mut log = Log::default();
    for n in 0..records {
        let home = n as i32 % partitions;
        good(&mut log, home, &format!("p{home}d{}", n % 10), n as i64);
    }
    log
}

pub fn good(log: &mut Log, home: i32, document: &str, version: i64) {
    let message = log.records() as u64;
    log.write(&at(home), message, document, version, &format!("b{message}"), Kind::Good);
}

pub fn setup() -> Setup {
    Setup {
        batch: BatchLimits { records: 10, bytes: 100_000, age: Duration::from_millis(100) },
        sink: SinkLimits { items: 100, bytes: STORE_BYTES, ordered: false, one_write_a_document: false },
        max_in_flight: 4,
        window: 10_000,
        marks: true,
        poll_ms: 10,
        seed: 1,
        ladder: None,
        orders_keys: false,
        adaptive: false,
    }
}

pub fn world(log: Log) -> Arc<World> {
    World::new(1, log, Faults::default(), false)
}

pub async fn start(world: &Arc<World>, run: u64, setup: Setup) -> Member {
    let member = Member::start(world, run, setup);
    let all = world.log.lock().unwrap().partitions.keys().cloned().collect();
    member.tell(Command::Assign(all)).await;
    member
}

/// Waits for something that has to come within half an hour.
pub async fn wait(world: &World, what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + 1_800 * SECOND;
    while !holds() {
        let broker = world.broker.lock().unwrap().committed.clone();
        assert!(Instant::now() < deadline, "{what} never came; committed {broker:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn no_violations(world: &World) {
    let violations = world.violations.lock().unwrap();
    assert!(violations.is_empty(), "{} violations, the first {:?}", violations.len(), violations.first());
}

/// Everything has to be finished, and right.
pub async fn finish(world: &World, member: Member) -> Tally {
    wait(world, "the end of the log", || world.drained()).await;
    let tally = member.stop().await;
    judge(world);
    no_violations(world);
    tally
}
