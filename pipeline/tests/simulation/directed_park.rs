//! One scenario a test: a key that waits waits alone.

use std::sync::Arc;
use std::time::Duration;

use pipeline::Ladder;
use pipeline::sink::FailureKind as Class;
use tokio::time::{Instant, sleep};

use crate::directed::{SECOND, at, good, no_violations, setup, start, wait};
use crate::keyed::{Keyed, judge};
use crate::member::{Member, Setup};
use crate::model::World;
use crate::source::Command;
use crate::store::Faults;
use crate::world::Log;

/// 5, 10, 20, 40, 80 s: 155 s.
fn ladder() -> Ladder {
    Ladder::new(5, 5 * SECOND)
}

pub fn laddered() -> Setup {
    let mut setup = Setup { ladder: Some(ladder()), ..setup() };
    (setup.sink.ordered, setup.sink.one_write_a_document) = (true, true);
    setup
}

/// The store takes a whole batch in one request, and orders keys by itself.
pub fn in_order() -> Setup {
    let mut setup = Setup { orders_keys: true, ..laddered() };
    setup.sink.one_write_a_document = false;
    setup
}

/// Keys are refused for so long.
pub fn world(log: Log, refused: &[(&str, Duration)]) -> Arc<World> {
    let world = World::new(1, log, Faults::default(), false);
    let mut keyed = Keyed::new(ladder());
    keyed.refused = refused.iter().map(|(key, time)| ((*key).to_owned(), Instant::now() + *time)).collect();
    world.store.lock().unwrap().keyed = Some(keyed);
    world
}

pub const EVER: Duration = Duration::from_secs(1_000_000);

pub fn applied(world: &World) -> usize {
    world.store.lock().unwrap().keyed.as_ref().unwrap().applied.len()
}

/// When a record was taken, since then.
fn taken(world: &World, offset: i64, begun: Instant) -> Duration {
    world.store.lock().unwrap().keyed.as_ref().unwrap().applied[&(at(0), offset)] - begun
}

pub fn letters(world: &World) -> usize {
    world.letters.lock().unwrap().kept.len()
}

pub async fn finish(world: &World, member: Member) -> pipeline::Tally {
    wait(world, "the end of the log", || world.drained()).await;
    let tally = member.stop().await;
    judge(world);
    no_violations(world);
    tally
}

/// A thousand records, ten of them of keys of their own that are refused so long. Says how long all others take.
async fn ten(refused: Duration, setup: Setup) -> (Arc<World>, Member, Duration) {
    let mut log = Log::default();
    for n in 0..1_000 {
        let own = (50..100).contains(&n) && n % 5 == 0;
        good(&mut log, 0, &if own { format!("own{n}") } else { format!("k{}", n % 100) }, n);
    }
    let own: Vec<String> = (50..100).step_by(5).map(|n| format!("own{n}")).collect();
    let own: Vec<(&str, Duration)> = own.iter().map(|key| (key.as_str(), refused)).collect();
    let world = world(log, &own);
    let begun = Instant::now();
    let member = start(&world, 1, setup).await;
    let parked = if refused.is_zero() { 0 } else { 10 };
    wait(&world, "all others", || applied(&world) == 1_000 - parked).await;
    (world, member, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn ten_parked_keys_take_one_ladder_and_nobody_else_waits_for_them() {
    for setup in [laddered(), in_order()] {
        ten_parked(setup).await;
    }
}

async fn ten_parked(setup: Setup) {
    let (free, member, alone) = ten(Duration::ZERO, setup).await;
    finish(&free, member).await;
    let begun = Instant::now();
    let (world, member, others) = ten(EVER, setup).await;
    assert!(others < alone + 3 * SECOND, "{others:?} instead of {alone:?}");
    assert_eq!(world.committed(&at(0)), 50, "the commit waits at the first that is parked");
    wait(&world, "the letters", || letters(&world) == 10).await;
    let ladder = begun.elapsed();
    assert!(ladder > 155 * SECOND && ladder < 165 * SECOND, "{ladder:?}");
    assert!(world.letters.lock().unwrap().kept.values().all(|kept| kept.attempts == 6));
    let tally = finish(&world, member).await;
    assert_eq!((tally.applied, tally.dead_lettered, tally.abandoned), (990, 10, 0));
    println!("990 others after {others:?}, {alone:?} where nothing is parked; ten letters after {ladder:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_behind_one_that_is_given_up_on_have_no_ladder_of_their_own() {
    for setup in [laddered(), in_order()] {
        hundred_behind(setup).await;
    }
}

async fn hundred_behind(setup: Setup) {
    let mut log = Log::default();
    good(&mut log, 0, "a", 0);
    (0..100).for_each(|n| good(&mut log, 0, &format!("b{n}"), n));
    (0..100).for_each(|n| good(&mut log, 0, "a", n));
    let world = world(log, &[("a", EVER)]);
    let begun = Instant::now();
    let member = start(&world, 1, setup).await;
    wait(&world, "the first letter", || letters(&world) > 0).await;
    assert!(begun.elapsed() > 155 * SECOND && applied(&world) == 100);
    wait(&world, "all letters", || letters(&world) == 101).await;
    assert!(begun.elapsed() < 190 * SECOND, "{:?}", begun.elapsed());
    println!("101 letters after {:?}", begun.elapsed());
    {
        let letters = world.letters.lock().unwrap();
        let attempts: Vec<u32> = letters.kept.values().map(|kept| kept.attempts).collect();
        assert_eq!((attempts[0], &attempts[1..]), (6, &[1; 100][..]));
    }
    finish(&world, member).await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_behind_one_that_passes_late_follow_in_order_at_once() {
    let mut log = Log::default();
    (0..101).for_each(|n| good(&mut log, 0, "a", n));
    let world = world(log, &[("a", 60 * SECOND)]);
    let begun = Instant::now();
    let member = start(&world, 1, laddered()).await;
    assert_eq!(finish(&world, member).await.applied, 101);
    let (first, last) = (taken(&world, 0, begun), taken(&world, 100, begun));
    assert!(first >= 75 * SECOND && first < 77 * SECOND, "tried after 5, 15, 35 and 75 s: {first:?}");
    assert!(last < first + 10 * SECOND, "{last:?}");
    println!("the first after {first:?}, the last after {last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bulk_waits_for_each_of_its_keys_and_others_for_it() {
    let mut log = Log::default();
    for document in ["a", "b", "a+b", "b+c", "c", "d", "d+e"] {
        good(&mut log, 0, document, 1);
    }
    for setup in [laddered(), in_order()] {
        let world = world(log.clone(), &[("a", 3 * SECOND), ("b", 12 * SECOND)]);
        let begun = Instant::now();
        let member = start(&world, 1, setup).await;
        assert_eq!(finish(&world, member).await.applied, 7);
        let when: Vec<u64> = (0..7).map(|offset| taken(&world, offset, begun).as_secs()).collect();
        assert_eq!(when, [5, 15, 15, 15, 15, 0, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_what_is_parked_at_once_and_the_next_begins_anew() {
    let mut log = Log::default();
    (0..30).for_each(|n| good(&mut log, 0, &format!("k{}", n % 3), n));
    let world = world(log, &[("k1", EVER)]);
    let mut member = start(&world, 1, laddered()).await;
    member.disturbed = true;
    sleep(100 * SECOND).await;
    let begun = Instant::now();
    let tally = member.stop().await;
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    assert_eq!((tally.applied, tally.abandoned, letters(&world)), (20, 10, 0));
    assert_eq!(world.committed(&at(0)), 1);
    let begun = Instant::now();
    let member = start(&world, 2, laddered()).await;
    wait(&world, "the first letter", || letters(&world) > 0).await;
    assert!(begun.elapsed() > 155 * SECOND, "{:?}", begun.elapsed());
    assert_eq!(finish(&world, member).await.dead_lettered, 10);
    assert_eq!(world.letters.lock().unwrap().kept[&(at(0), 1)].attempts, 6);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_leaves_what_is_parked_at_once_and_other_partitions_alone() {
    let mut log = Log::default();
    for n in 0..60 {
        good(&mut log, n % 2, &format!("p{}k{}", n % 2, n % 3), i64::from(n));
    }
    let world = world(log, &[("p0k1", 40 * SECOND), ("p1k1", 40 * SECOND)]);
    let mut member = start(&world, 1, laddered()).await;
    member.disturbed = true;
    sleep(20 * SECOND).await;
    let (first, second) = (world.committed(&at(0)), world.committed(&at(1)));
    assert!(first < 30 && second < 30, "{first} {second}");
    let begun = Instant::now();
    member.tell(Command::Revoke(vec![at(1)])).await;
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    sleep(100 * SECOND).await;
    assert_eq!((world.committed(&at(0)), world.committed(&at(1))), (30, second), "the other waits on its ladder");
    member.tell(Command::Assign(vec![at(1)])).await;
    assert_eq!(finish(&world, member).await.dead_lettered, 0);
}

/// What is parked is not tried while what is on its way of its partition may still finish.
#[tokio::test(start_paused = true)]
async fn nothing_parked_is_tried_of_a_partition_that_is_being_revoked() {
    let mut log = Log::default();
    good(&mut log, 0, "late", 1);
    (0..9).for_each(|n| good(&mut log, 0, &format!("k{n}"), n));
    good(&mut log, 0, "slow", 1);
    let world = world(log, &[("late", EVER)]);
    world.store.lock().unwrap().delays.insert("slow".into(), 7 * SECOND);
    let mut setup = laddered();
    setup.sink.ordered = false;
    let mut member = start(&world, 1, setup).await;
    member.disturbed = true;
    let tries = || world.store.lock().unwrap().keyed.as_ref().unwrap().tries[&(at(0), 0)].len();
    wait(&world, "the first try", || applied(&world) == 9).await;
    sleep(4 * SECOND).await;
    let begun = Instant::now();
    member.tell(Command::Revoke(vec![at(0)])).await;
    assert!(begun.elapsed() > 2 * SECOND, "it waited for what was on its way: {:?}", begun.elapsed());
    assert_eq!((tries(), world.committed(&at(0)), applied(&world)), (1, 0, 10));
    world.store.lock().unwrap().keyed.as_mut().unwrap().refused.clear();
    member.tell(Command::Assign(vec![at(0)])).await;
    finish(&world, member).await;
}

/// A key whose second try, after 5 s, takes so long; the test goes on a second into it.
async fn tried_slowly(slow: Duration) -> (Arc<World>, Member, Instant) {
    let mut log = Log::default();
    ["late", "k", "late"].into_iter().for_each(|document| good(&mut log, 0, document, 1));
    let world = world(log, &[("late", 3 * SECOND)]);
    let begun = Instant::now();
    let mut setup = laddered();
    setup.sink.ordered = false;
    let mut member = start(&world, 1, setup).await;
    member.disturbed = true;
    sleep(4 * SECOND).await;
    world.store.lock().unwrap().delays.insert("late".into(), slow);
    sleep(2 * SECOND).await;
    (world, member, begun)
}

#[tokio::test(start_paused = true)]
async fn a_revocation_waits_for_what_is_being_tried_and_commits_it() {
    let (world, member, _) = tried_slowly(3 * SECOND).await;
    member.tell(Command::Revoke(vec![at(0)])).await;
    assert_eq!((applied(&world), world.committed(&at(0))), (3, 3));
    member.tell(Command::Assign(vec![at(0)])).await;
    finish(&world, member).await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_returns_waits_for_what_was_being_tried_when_it_was_lost() {
    let (world, member, begun) = tried_slowly(20 * SECOND).await;
    member.tell(Command::Lose(vec![at(0)])).await;
    member.tell(Command::Assign(vec![at(0)])).await;
    finish(&world, member).await;
    assert!(taken(&world, 0, begun) > 24 * SECOND, "nobody else wrote it before: {:?}", taken(&world, 0, begun));
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_no_step_of_the_ladder() {
    for class in [Class::Unavailable, Class::Misconfigured] {
        let mut log = Log::default();
        (0..50).for_each(|n| good(&mut log, 0, &format!("k{}", n % 10), n));
        let world = world(log, &[("k3", 400 * SECOND)]);
        let member = start(&world, 1, laddered()).await;
        sleep(20 * SECOND).await;
        world.store.lock().unwrap().outage = Some((class, Instant::now() + 3_000 * SECOND));
        sleep(2_900 * SECOND).await;
        assert_eq!((letters(&world), applied(&world)), (0, 45));
        assert!(!member.status.standing().is_empty());
        assert_eq!(finish(&world, member).await.dead_lettered, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_parked_is_bounded_and_then_nothing_more_is_read() {
    let mut log = Log::default();
    (0..1_000).for_each(|n| good(&mut log, 0, "a", n));
    let world = world(log, &[("a", 100 * SECOND)]);
    let member = start(&world, 1, laddered()).await;
    sleep(60 * SECOND).await;
    let offered = member.offered();
    assert!(offered > 50 && offered < 250, "{offered}");
    sleep(30 * SECOND).await;
    assert_eq!(member.offered(), offered);
    assert_eq!(finish(&world, member).await.applied, 1_000);
}

/// A record that comes while those before it work off the line of its key goes behind them.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_busy_catches_up_while_others_go_on() {
    let mut log = Log::default();
    for n in 0..3_000 {
        good(&mut log, 0, &if n % 5 == 0 { "hot".to_owned() } else { format!("k{}", n % 500) }, n);
    }
    let world = world(log, &[("hot", 3 * SECOND)]);
    let begun = Instant::now();
    let mut setup = laddered();
    (setup.batch.records, setup.poll_ms) = (200, 50);
    let member = start(&world, 1, setup).await;
    assert_eq!(finish(&world, member).await.applied, 3_000);
    println!("3,000 records, a fifth of one key, after {:?}", begun.elapsed());
    assert!(begun.elapsed() < 120 * SECOND, "{:?}", begun.elapsed());
}
