//! One scenario a test: what the consumer group, a crash, and lost marks may do.

use std::time::Duration;

use pipeline::sink::FailureKind as Class;
use tokio::time::{Instant, sleep};

use crate::directed::{SECOND, at, finish, good, no_violations, plain, setup, start, wait, world};
use crate::judge::judge;
use crate::member::{Setup, foreign};
use crate::model::World;
use crate::source::{Command, SESSION};
use crate::world::Documents;

#[tokio::test(start_paused = true)]
async fn a_revocation_drains_to_the_deadline_and_commits_what_is_finished() {
    let world = world(plain(2, 200));
    // Some batch in the middle of partition 1 does not come back in time.
    world.store.lock().unwrap().delays.insert("p1d5".into(), 25 * SECOND);
    let mut member = start(&world, 1, setup()).await;
    member.disturbed = true;
    sleep(2 * SECOND).await;
    let begun = Instant::now();
    member.tell(Command::Revoke(vec![at(1)])).await;
    assert!(begun.elapsed() >= 4 * SECOND, "it waited for what was in flight: {:?}", begun.elapsed());
    let left_at = world.committed(&at(1));
    assert!(left_at < 100);
    sleep(60 * SECOND).await;
    assert_eq!(world.committed(&at(1)), left_at, "a late settle moves nothing");
    assert_eq!(world.committed(&at(0)), 100);
    member.tell(Command::Assign(vec![at(1)])).await;
    finish(&world, member).await;
}

/// What waits for a permit when its partition is being revoked is left to whoever has it next.
#[tokio::test(start_paused = true)]
async fn nothing_new_is_begun_of_a_partition_that_is_being_revoked() {
    let mut log = plain(1, 0);
    good(&mut log, 0, "slow", 1);
    for n in 0..10 {
        good(&mut log, 1, &format!("v{n}"), 1);
    }
    let world = world(log);
    world.store.lock().unwrap().delays.extend([("slow".into(), 20 * SECOND), ("v0".into(), 3 * SECOND)]);
    let mut setup = Setup { max_in_flight: 2, ..setup() };
    setup.batch.records = 1;
    let mut member = start(&world, 1, setup).await;
    member.disturbed = true;
    sleep(SECOND).await;
    member.tell(Command::Revoke(vec![at(1)])).await;
    let begun: Vec<String> = world.store.lock().unwrap().documents.keys().cloned().collect();
    assert_eq!(begun, ["v0"]);
    member.tell(Command::Assign(vec![at(1)])).await;
    finish(&world, member).await;
}

#[tokio::test(start_paused = true)]
async fn lost_partitions_are_neither_drained_nor_committed() {
    let world = world(plain(2, 200));
    world.store.lock().unwrap().outage = Some((Class::Unavailable, Instant::now() + 20 * SECOND));
    let mut member = start(&world, 1, setup()).await;
    member.disturbed = true;
    sleep(5 * SECOND).await;
    let begun = Instant::now();
    member.tell(Command::Lose(vec![at(1)])).await;
    assert!(begun.elapsed() < SECOND);
    sleep(120 * SECOND).await;
    assert_eq!((world.committed(&at(0)), world.committed(&at(1))), (100, 0));
    foreign(&world, &at(1), 1_000, true);
    member.tell(Command::Assign(vec![at(1)])).await;
    finish(&world, member).await;
}

/// The late end of a batch of an older assignment must not move the frontier of the new one.
#[tokio::test(start_paused = true)]
async fn a_partition_that_leaves_and_returns_is_read_again_from_the_commit() {
    let world = world(plain(2, 200));
    world.store.lock().unwrap().delays.insert("p1d5".into(), 25 * SECOND);
    let mut member = start(&world, 1, setup()).await;
    member.disturbed = true;
    sleep(2 * SECOND).await;
    member.tell(Command::Lose(vec![at(1)])).await;
    world.store.lock().unwrap().delays.insert("p1d1".into(), 29 * SECOND);
    member.tell(Command::Assign(vec![at(1)])).await;
    finish(&world, member).await;
}

/// The first of two equal versions is still on its way when its partition leaves; the second waited for it and gives
/// up. When the partition is back, both are written again, and the old request lands last.
#[tokio::test(start_paused = true)]
async fn a_slow_write_of_an_older_assignment_does_not_undo_an_equal_version() {
    let mut log = plain(1, 0);
    good(&mut log, 0, "twin", 7);
    good(&mut log, 0, "twin", 7);
    let world = world(log);
    world.store.lock().unwrap().delays.insert("twin".into(), 25 * SECOND);
    let mut setup = setup();
    setup.batch.records = 1;
    let mut member = start(&world, 1, setup).await;
    member.disturbed = true;
    sleep(2 * SECOND).await;
    member.tell(Command::Lose(vec![at(0)])).await;
    sleep(2 * SECOND).await;
    member.tell(Command::Assign(vec![at(0)])).await;
    sleep(60 * SECOND).await;
    finish(&world, member).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_loses_nothing_wherever_it_comes() {
    for millis in (0..2_000).step_by(37) {
        let mut log = plain(2, 200);
        log.append(&at(0), "poison".into(), "k");
        let world = world(log);
        world.store.lock().unwrap().faults.slow = 0.3;
        world.store.lock().unwrap().faults.slow_ms = 1_500;
        let member = start(&world, 1, setup()).await;
        sleep(Duration::from_millis(millis)).await;
        member.crash().await;
        let member = start(&world, 2, setup()).await;
        finish(&world, member).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_leaves_nothing_to_read_again() {
    let world = world(plain(2, 400));
    let member = start(&world, 1, setup()).await;
    sleep(Duration::from_millis(100)).await;
    let before = member.stop().await;
    assert!(before.total() < 400);
    let member = start(&world, 2, setup()).await;
    let after = finish(&world, member).await;
    assert_eq!(before.total() + after.total() + before.abandoned, 400);
}

/// Everything was finished once; then marks are damaged, the store is wiped, and the group reads again.
async fn reset(damage: impl Fn(&World), from: i64) -> pipeline::Tally {
    let mut log = plain(1, 100);
    for n in 0..20 {
        let payload = log.partitions[&at(0)].events[n].record.payload.clone().unwrap();
        log.append(&at(0), String::from_utf8(payload.to_vec()).unwrap(), "k");
    }
    let world = world(log);
    let member = start(&world, 1, setup()).await;
    finish(&world, member).await;
    world.store.lock().unwrap().documents = Documents::new();
    {
        let mut broker = world.broker.lock().unwrap();
        broker.committed.insert(at(0), from);
        broker.floor.insert(at(0), from);
        broker.seen = world.marks.lock().unwrap().highest.clone();
    }
    damage(&world);
    let member = start(&world, 2, setup()).await;
    wait(&world, "the end of the log", || world.drained()).await;
    let tally = member.stop().await;
    judge(&world);
    no_violations(&world);
    tally
}

#[tokio::test(start_paused = true)]
async fn a_group_reset_writes_everything_again() {
    let tally = reset(|_| {}, 0).await;
    assert_eq!((tally.duplicate, tally.total()), (0, 120), "nothing that was read before is skipped");
}

#[tokio::test(start_paused = true)]
async fn a_reset_to_somewhere_skips_no_copy_of_what_is_not_read_again() {
    let tally = reset(|_| {}, 60).await;
    assert_eq!((tally.duplicate, tally.total()), (0, 60));
}

#[tokio::test(start_paused = true)]
async fn flushed_marks_lose_nothing() {
    let flush = |world: &World| *world.marks.lock().unwrap() = Default::default();
    reset(flush, 0).await;
    reset(flush, 60).await;
}

#[tokio::test(start_paused = true)]
async fn one_lost_mark_loses_nothing() {
    let lose = |world: &World| {
        world.marks.lock().unwrap().marks.get_mut(&at(0)).unwrap().pop_first();
    };
    reset(lose, 0).await;
    reset(lose, 60).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_highest_offset_loses_nothing() {
    let lose = |world: &World| world.marks.lock().unwrap().highest.clear();
    reset(lose, 0).await;
    reset(lose, 60).await;
}

#[tokio::test(start_paused = true)]
async fn marks_that_cannot_be_reached_lose_nothing() {
    let away = |world: &World| world.marks.lock().unwrap().outage = Some(Instant::now() + 3_600 * SECOND);
    reset(away, 0).await;
    reset(away, 60).await;
    // Away for the first look-ups alone: what was marked meanwhile does not hide what was there before.
    for millis in (20..400).step_by(20) {
        let back = move |world: &World| {
            world.marks.lock().unwrap().outage = Some(Instant::now() + Duration::from_millis(millis));
        };
        reset(back, 0).await;
        reset(back, 60).await;
    }
}

/// Asleep for longer than the session: what is on its way may land, nothing more is sent until the group was heard.
#[tokio::test(start_paused = true)]
async fn a_process_that_overslept_sends_nothing_before_it_heard_of_the_group() {
    let world = world(plain(2, 400));
    world.store.lock().unwrap().faults.slow = 0.5;
    world.store.lock().unwrap().faults.slow_ms = 5_000;
    let mut member = start(&world, 1, Setup { poll_ms: 50, ..setup() }).await;
    member.disturbed = true;
    sleep(SECOND).await;
    member.tell_only(Command::Oversleep(60 * SECOND)).await;
    member.tell_only(Command::Lose(vec![at(1)])).await;
    sleep(SESSION + 6 * SECOND).await;
    let requests = world.store.lock().unwrap().requests;
    foreign(&world, &at(1), 60, true);
    sleep(30 * SECOND).await;
    assert_eq!(world.store.lock().unwrap().requests, requests);
    sleep(30 * SECOND).await;
    assert!(world.store.lock().unwrap().requests > requests, "the partition that stayed goes on");
    foreign(&world, &at(1), 60, false);
    member.tell(Command::Assign(vec![at(1)])).await;
    finish(&world, member).await;
}
