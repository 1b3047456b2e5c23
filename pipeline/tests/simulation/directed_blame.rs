//! One scenario a test: who is to blame when a write fails, the write or its store.

use std::time::Duration;

use pipeline::sink::FailureKind as Class;
use tokio::time::{Instant, sleep};

use crate::directed::{SECOND, at, finish, good, plain, setup, start, wait, world};
use crate::member::Setup;
use crate::store::Sick;
use crate::world::{Kind, Log};

/// A batch a record, one after the other: every write stands alone at once.
fn one_by_one() -> Setup {
    let mut setup = Setup { max_in_flight: 1, ..setup() };
    setup.batch.records = 1;
    setup
}

/// Sound records while a part of the store is sick. Returns how many of them were dead-lettered.
async fn sick(records: usize, sick: impl Fn() -> Sick, setup: Setup, seeds: u64) -> usize {
    let mut letters = 0;
    for seed in 0..seeds {
        let world = world(plain(1, records));
        world.store.lock().unwrap().sick = Some(sick());
        let member = start(&world, 1, Setup { seed, ..setup }).await;
        wait(&world, "the end of the log", || world.drained()).await;
        member.stop().await;
        letters += world.letters.lock().unwrap().kept.len();
    }
    letters
}

#[tokio::test(start_paused = true)]
async fn where_one_of_two_nodes_cuts_no_sound_record_is_buried() {
    assert_eq!(sick(3_080, || Sick::EverySecond(Class::Broken), setup(), 3).await, 0);
    assert_eq!(sick(200, || Sick::EverySecond(Class::Broken), one_by_one(), 3).await, 0);
}

#[tokio::test(start_paused = true)]
async fn where_every_second_answer_is_a_502_no_sound_record_is_buried() {
    assert_eq!(sick(400, || Sick::EverySecond(Class::Unavailable), setup(), 3).await, 0);
    assert_eq!(sick(200, || Sick::EverySecond(Class::Unavailable), one_by_one(), 3).await, 0);
}

/// As a balancer does that answers 413, or a 400 of its own, without looking at what it was sent.
#[tokio::test(start_paused = true)]
async fn where_every_second_request_is_turned_away_no_sound_record_is_buried() {
    assert_eq!(sick(3_080, || Sick::EverySecond(Class::TurnedAway), setup(), 3).await, 0);
    assert_eq!(sick(200, || Sick::EverySecond(Class::TurnedAway), one_by_one(), 3).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_fails_its_items_for_a_while_buries_none() {
    let shard = || Sick::Shard(Instant::now() + 40 * SECOND);
    assert_eq!(sick(500, shard, setup(), 3).await, 0);
    assert_eq!(sick(500, shard, one_by_one(), 3).await, 0);
}

fn with_poison(count: usize) -> Log {
    let mut log = plain(1, 0);
    for n in 0..count {
        log.write(&at(0), 9_000 + n as u64, &format!("poison {n}"), 1, "x", Kind::Suspect);
        (0..3).for_each(|m| good(&mut log, 0, &format!("between {n} {m}"), 1));
    }
    (0..300).for_each(|n| good(&mut log, 1, &format!("other {n}"), 1));
    log
}

#[tokio::test(start_paused = true)]
async fn a_poisonous_write_is_buried_in_bounded_time_while_others_go_on() {
    for setup in [setup(), one_by_one()] {
        let world = world(with_poison(1));
        let member = start(&world, 1, setup).await;
        let begun = Instant::now();
        wait(&world, "the letter", || !world.letters.lock().unwrap().kept.is_empty()).await;
        assert!(begun.elapsed() < 120 * SECOND, "{:?}", begun.elapsed());
        assert!(setup.max_in_flight == 1 || world.committed(&at(1)) == 300, "{}", world.committed(&at(1)));
        assert_eq!(finish(&world, member).await.dead_lettered, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_fourth_poisonous_write_within_ten_minutes_opens_the_breaker() {
    for setup in [setup(), one_by_one()] {
        let world = world(with_poison(4));
        let member = start(&world, 1, setup).await;
        assert!(!member.proceed.proceed(), "nothing can be said beforehand");
        sleep(1_200 * SECOND).await;
        assert!(member.proceed.is_open() && !world.drained());
        let letters = world.letters.lock().unwrap().kept.len();
        assert!(letters <= 3, "{letters}");
        let standing = member.status.standing();
        assert!(standing.iter().any(|reason| reason.why.contains("POST /continue")), "{standing:?}");
        assert!(member.proceed.proceed());
        assert_eq!(finish(&world, member).await.dead_lettered, 4);
    }
}

/// There may be many above a limit: they need no person, also where they were accused in an outage before.
#[tokio::test(start_paused = true)]
async fn what_is_turned_away_is_no_suspect() {
    let mut log = Log::default();
    (0..5).for_each(|n| log.write(&at(0), 9_500 + n, &format!("big {n}"), 1, "x", Kind::Big));
    (0..3).for_each(|n| log.write(&at(0), 9_600 + n, &format!("poison {n}"), 1, "x", Kind::Suspect));
    for setup in [setup(), Setup { max_in_flight: 4, ..one_by_one() }] {
        let world = world(log.clone());
        world.store.lock().unwrap().outage = Some((Class::Broken, Instant::now() + 60 * SECOND));
        let member = start(&world, 1, setup).await;
        assert_eq!(finish(&world, member).await.dead_lettered, 8);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_breaks_every_write_and_passes_every_probe_gets_three_letters_at_most() {
    for (setup, most) in [(setup(), 0), (one_by_one(), 3)] {
        let world = world(plain(2, 400));
        world.store.lock().unwrap().breaks_all = true;
        let member = start(&world, 1, setup).await;
        sleep(1_200 * SECOND).await;
        world.store.lock().unwrap().breaks_all = false;
        wait(&world, "the end of the log", || world.drained()).await;
        let tally = member.stop().await;
        assert!(tally.dead_lettered <= most, "{tally:?}");
        assert_eq!(tally.total(), 400);
    }
}

/// A record that is asked to wait for ever, while the store is well, is given up on when a person says so.
#[tokio::test(start_paused = true)]
async fn what_waits_alone_for_long_may_be_given_up_on_by_hand() {
    let world = world(plain(1, 30));
    world.store.lock().unwrap().throttled.insert((at(0), 3), u32::MAX);
    let member = start(&world, 1, setup()).await;
    sleep(600 * SECOND).await;
    assert!(world.letters.lock().unwrap().kept.is_empty());
    let standing = member.status.standing();
    assert!(standing.iter().any(|reason| reason.why.contains("topic/0/3")), "{standing:?}");
    assert!(member.proceed.proceed());
    wait(&world, "the end of the log", || world.drained()).await;
    assert_eq!(world.letters.lock().unwrap().kept[&(at(0), 3)].class, "given_up");
    assert_eq!(member.stop().await.dead_lettered, 1);
}

/// A has a name, gives it up, B takes it: whatever the size of a batch.
async fn handed_over(setup: Setup) -> u64 {
    let mut log = Log::default();
    for (n, (document, version, body)) in
        [("a", 1, "ann"), ("x", 1, "x"), ("a", 2, "anna"), ("b", 1, "ann"), ("a", 3, "bob"), ("c", 1, "anna")]
            .into_iter()
            .enumerate()
    {
        log.write(&at(0), n as u64, document, version, body, Kind::Good);
    }
    let world = world(log);
    world.store.lock().unwrap().unique = true;
    world.store.lock().unwrap().throttled.insert((at(0), 2), 4);
    let member = start(&world, 1, setup).await;
    finish(&world, member).await.dead_lettered
}

#[tokio::test(start_paused = true)]
async fn a_unique_value_that_passes_from_one_document_to_another_refuses_none() {
    for records in [1, 10] {
        let mut setup = setup();
        (setup.batch.records, setup.batch.age) = (records, Duration::from_secs(1));
        (setup.sink.ordered, setup.sink.one_write_a_document) = (true, true);
        assert_eq!(handed_over(setup).await, 0, "batches of {records}");
    }
}

/// Each bug is found by what finds nothing without it.
#[cfg(feature = "mutants")]
mod mutants {
    use pipeline::mutants::{Mutant, switch};

    use super::*;
    use crate::judge::judge;

    #[tokio::test(start_paused = true)]
    async fn attempts_unpaired_buries_what_is_sound() {
        switch(Some(Mutant::AttemptsUnpaired));
        let shard = || Sick::Shard(Instant::now() + 40 * SECOND);
        let buried = sick(500, shard, one_by_one(), 3).await;
        switch(None);
        assert!(buried > 0);
    }

    #[tokio::test(start_paused = true)]
    async fn breaker_off_drains_a_topic_into_the_letters() {
        switch(Some(Mutant::BreakerOff));
        let world = world(plain(2, 3_000));
        world.store.lock().unwrap().rejects_all = true;
        let member = start(&world, 1, setup()).await;
        sleep(600 * SECOND).await;
        switch(None);
        assert_eq!(world.letters.lock().unwrap().kept.len(), 3_000);
        member.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn equal_versions_race_leaves_the_earlier() {
        switch(Some(Mutant::EqualVersionsRace));
        let mut log = plain(1, 9);
        good(&mut log, 0, "twin", 7);
        (0..10).for_each(|n| good(&mut log, 0, &format!("between {n}"), 1));
        good(&mut log, 0, "twin", 7);
        let world = world(log);
        world.store.lock().unwrap().delays.insert("twin".into(), 20 * SECOND);
        let member = start(&world, 1, setup()).await;
        wait(&world, "the end of the log", || world.drained()).await;
        member.stop().await;
        switch(None);
        judge(&world);
        let violations = world.violations.lock().unwrap();
        assert!(violations.iter().any(|violation| violation.contains("twin: wanted")), "{violations:?}");
    }
}
