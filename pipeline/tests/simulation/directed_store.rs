//! One scenario a test: what the store and the dead-letter topic may do.

use std::time::Duration;

use pipeline::sink::FailureKind as Class;
use tokio::time::{Instant, sleep};

use crate::directed::{SECOND, at, finish, good, no_violations, plain, setup, start, wait, world};
use crate::member::Setup;
use crate::store::Faults;
use crate::world::{Kind, STORE_BYTES};

/// Nothing is dead-lettered or committed while the store is away, and nothing is missing afterwards.
async fn outage(class: Class) {
    let world = world(plain(2, 200));
    world.store.lock().unwrap().outage = Some((class, Instant::now() + 900 * SECOND));
    let member = start(&world, 1, setup()).await;
    sleep(800 * SECOND).await;
    assert_eq!((world.committed(&at(0)), world.committed(&at(1))), (0, 0));
    assert!(world.letters.lock().unwrap().kept.is_empty());
    assert!(!member.status.standing().is_empty());
    let tally = finish(&world, member).await;
    assert_eq!(tally.total(), 200);
    assert!(world.letters.lock().unwrap().kept.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_store_is_waited_for() {
    outage(Class::Unavailable).await;
}

#[tokio::test(start_paused = true)]
async fn a_misconfigured_store_is_waited_for() {
    outage(Class::Misconfigured).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_breaks_every_request_is_waited_for() {
    outage(Class::Broken).await;
}

#[tokio::test(start_paused = true)]
async fn single_items_that_are_rejected_become_letters_at_once() {
    let mut log = plain(1, 30);
    log.write(&at(0), 900, "p0d1", 1_000, "x", Kind::Bad);
    log.write(&at(0), 901, "p0d2", 1_000, "x", Kind::Unfit);
    log.append(&at(0), "poison".into(), "k");
    let world = world(log);
    let member = start(&world, 1, setup()).await;
    let tally = finish(&world, member).await;
    assert_eq!((tally.dead_lettered, tally.total()), (3, 33));
    let letters = world.letters.lock().unwrap();
    assert_eq!(letters.kept[&(at(0), 30)].attempts, 1);
    assert_eq!(letters.kept[&(at(0), 32)].attempts, 0);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_throttled_for_long_uses_up_no_attempts() {
    let world = world(plain(2, 400));
    world.store.lock().unwrap().throttled.insert((at(0), 3), 12);
    let member = start(&world, 1, Setup { poll_ms: 500, ..setup() }).await;
    sleep(10 * SECOND).await;
    assert_eq!(world.committed(&at(0)), 0, "the first batch is not finished");
    assert_eq!(finish(&world, member).await.dead_lettered, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_batch_stops_the_commit_and_not_the_others() {
    let mut log = plain(1, 60);
    good(&mut log, 0, "last", 1);
    let world = world(log);
    world.store.lock().unwrap().delays.insert("p0d0".into(), 25 * SECOND);
    let member = start(&world, 1, setup()).await;
    sleep(20 * SECOND).await;
    assert!(world.store.lock().unwrap().documents.contains_key("last"));
    assert_eq!(world.committed(&at(0)), 0);
    finish(&world, member).await;
}

#[tokio::test(start_paused = true)]
async fn a_suspect_uses_up_its_attempts_while_others_succeed() {
    let mut log = plain(1, 15);
    log.write(&at(0), 900, "suspect", 1, "x", Kind::Suspect);
    for n in 0..600 {
        good(&mut log, 1, &format!("q{n}"), 1);
    }
    let world = world(log);
    let member = start(&world, 1, Setup { poll_ms: 500, ..setup() }).await;
    let tally = finish(&world, member).await;
    assert_eq!(tally.dead_lettered, 1);
    assert_eq!(world.letters.lock().unwrap().kept[&(at(0), 15)].attempts, 4);
}

#[tokio::test(start_paused = true)]
async fn a_suspect_does_not_stop_the_only_batch_in_flight_for_ever() {
    let mut log = plain(1, 15);
    log.write(&at(0), 900, "suspect", 1, "x", Kind::Suspect);
    good(&mut log, 0, "behind", 1);
    let world = world(log);
    let member = start(&world, 1, Setup { max_in_flight: 1, ..setup() }).await;
    finish(&world, member).await;
}

#[tokio::test(start_paused = true)]
async fn half_a_response_is_no_response() {
    let world = world(plain(1, 200));
    world.store.lock().unwrap().faults = Faults { half_response: 0.5, ..Faults::default() };
    let member = start(&world, 1, setup()).await;
    sleep(5 * SECOND).await;
    world.store.lock().unwrap().faults = Faults::default();
    assert_eq!(finish(&world, member).await.dead_lettered, 0);
    assert!(world.counts.lock().unwrap()["half a response"] > 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_too_large_is_halved_until_it_fits() {
    let mut log = plain(1, 120);
    log.write(&at(0), 900, "big", 1, "x", Kind::Big);
    good(&mut log, 0, "last", 1);
    let world = world(log);
    let mut setup = setup();
    setup.batch.records = 122;
    setup.sink.items = 1_000;
    setup.sink.bytes = 10 * STORE_BYTES;
    let member = start(&world, 1, setup).await;
    let begun = Instant::now();
    let tally = finish(&world, member).await;
    assert_eq!((tally.dead_lettered, tally.total()), (1, 122));
    assert!(begun.elapsed() < 30 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_asked_to_wait_again_and_again_is_halved_until_it_fits() {
    let world = world(plain(1, 120));
    world.store.lock().unwrap().busy_above = Some(20);
    let mut setup = setup();
    setup.batch.records = 120;
    setup.sink.items = 1_000;
    let member = start(&world, 1, setup).await;
    let tally = finish(&world, member).await;
    assert_eq!((tally.dead_lettered, tally.total()), (0, 120));
    assert!(world.counts.lock().unwrap()["asked to wait"] > 0);
}

/// A store that turns everything down is set up wrongly: few letters, then it waits for a person.
async fn breaker(refuses: bool) {
    let world = world(plain(2, 3_000));
    {
        let mut store = world.store.lock().unwrap();
        (store.refuses_all, store.rejects_all) = (refuses, !refuses);
    }
    let member = start(&world, 1, setup()).await;
    sleep(600 * SECOND).await;
    let letters = world.letters.lock().unwrap().kept.len();
    assert!((1..=600).contains(&letters), "{letters} letters");
    let standing = member.status.standing();
    assert!(standing.iter().any(|reason| reason.why.contains("over half")), "{standing:?}");
    assert!(!world.drained());
    assert!(member.proceed.is_open() && member.proceed.proceed());
    wait(&world, "the end of the log", || world.drained()).await;
    assert_eq!(world.letters.lock().unwrap().kept.len(), 3_000);
    assert_eq!(member.stop().await.dead_lettered, 3_000);
    no_violations(&world);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_rejects_everything_opens_the_breaker() {
    breaker(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_every_request_opens_the_breaker() {
    breaker(true).await;
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_closes_when_the_store_is_mended() {
    let world = world(plain(2, 3_000));
    world.store.lock().unwrap().rejects_all = true;
    let member = start(&world, 1, setup()).await;
    sleep(100 * SECOND).await;
    let letters = world.letters.lock().unwrap().kept.len();
    world.store.lock().unwrap().rejects_all = false;
    wait(&world, "the end of the log", || world.drained()).await;
    assert_eq!(world.letters.lock().unwrap().kept.len(), letters, "no letter after the breaker opened");
    assert_eq!(member.stop().await.total(), 3_000);
}

#[tokio::test(start_paused = true)]
async fn the_commit_waits_for_the_dead_letter_topic() {
    let mut log = plain(1, 5);
    log.append(&at(0), "poison".into(), "k");
    good(&mut log, 0, "last", 1);
    let world = world(log);
    world.letters.lock().unwrap().outage = Some(Instant::now() + 300 * SECOND);
    let member = start(&world, 1, setup()).await;
    sleep(290 * SECOND).await;
    assert!(world.store.lock().unwrap().documents.contains_key("last"));
    assert_eq!(world.committed(&at(0)), 0);
    assert_eq!(finish(&world, member).await.dead_lettered, 1);
}

#[tokio::test(start_paused = true)]
async fn of_equal_versions_the_later_wins_however_slow_the_first_batch_is() {
    let mut log = plain(1, 9);
    good(&mut log, 0, "twin", 7);
    good(&mut log, 0, "between", 1);
    good(&mut log, 0, "twin", 7);
    let world = world(log);
    world.store.lock().unwrap().delays.insert("twin".into(), 20 * SECOND);
    let member = start(&world, 1, setup()).await;
    sleep(10 * SECOND).await;
    assert!(!world.store.lock().unwrap().documents.contains_key("twin"));
    finish(&world, member).await;
}

#[tokio::test(start_paused = true)]
async fn copies_are_skipped_and_counted_and_a_reused_message_id_is_no_copy() {
    let mut log = plain(1, 40);
    for n in 0..5 {
        let payload = log.partitions[&at(0)].events[n].record.payload.clone().unwrap();
        log.append(&at(0), String::from_utf8(payload.to_vec()).unwrap(), "k");
    }
    log.write(&at(0), 0, "other", 1, "other", Kind::Good);
    let world = world(log);
    let member = start(&world, 1, setup()).await;
    let tally = finish(&world, member).await;
    assert_eq!((tally.duplicate, tally.applied + tally.superseded, tally.total()), (5, 41, 46));
}

#[tokio::test(start_paused = true)]
async fn where_order_is_asked_for_a_partition_has_one_batch_in_flight() {
    let world = world(plain(3, 300));
    world.store.lock().unwrap().faults =
        Faults { slow: 0.5, slow_ms: 5_000, unavailable: 0.2, item_retry: 0.2, ..Faults::default() };
    let mut setup = Setup { max_in_flight: 6, ..setup() };
    setup.sink.ordered = true;
    setup.batch.age = Duration::from_millis(10);
    let member = start(&world, 1, setup).await;
    finish(&world, member).await;
}

#[tokio::test(start_paused = true)]
async fn where_order_is_asked_for_a_slow_partition_holds_up_no_other() {
    let mut log = plain(2, 2);
    good(&mut log, 0, "slow", 1);
    (0..3).for_each(|n| good(&mut log, 0, &format!("behind {n}"), 1));
    good(&mut log, 1, "other", 1);
    let world = world(log);
    world.store.lock().unwrap().delays.insert("slow".into(), 20 * SECOND);
    let mut setup = setup();
    (setup.sink.ordered, setup.batch.records) = (true, 1);
    let member = start(&world, 1, setup).await;
    sleep(10 * SECOND).await;
    let held = |id: &str| world.store.lock().unwrap().documents.contains_key(id);
    assert_eq!((held("slow"), held("behind 0"), held("other")), (false, false, true));
    finish(&world, member).await;
}
