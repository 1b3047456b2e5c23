//! One scenario a test: what a store may ask of the ladder, and where the ladder ends.

use std::collections::BTreeMap;
use std::time::Duration;

use pipeline::Ladder;
use tokio::time::{Instant, sleep};

use crate::directed::{SECOND, at, good, no_violations, start, wait};
use crate::directed_park::{EVER, applied, finish, in_order, laddered, letters, world};
use crate::member::Setup;
use crate::world::{Kind, Log};

#[tokio::test(start_paused = true)]
async fn where_the_store_orders_keys_a_batch_is_one_request() {
    let mut log = Log::default();
    (0..90).for_each(|n| good(&mut log, 0, &format!("k{}", n % 3), n));
    let world = world(log, &[("k1", 3 * SECOND)]);
    let member = start(&world, 1, in_order()).await;
    assert_eq!(finish(&world, member).await.applied, 90);
    // As many as there are batches, and one for what was parked.
    let requests = world.store.lock().unwrap().requests;
    println!("{requests} requests");
    assert_eq!(requests, 90 / 10 + 1);
}

/// A has a name and gives it up, B takes it: while A's change is parked, B's is no reject.
#[tokio::test(start_paused = true)]
async fn what_another_document_stands_in_the_way_of_waits_while_an_earlier_record_is_parked() {
    for setup in [laddered(), in_order()] {
        conflict(setup).await;
    }
}

async fn conflict(setup: Setup) {
    let mut log = Log::default();
    let changes = [("a", "ann"), ("a", "anna"), ("b", "ann"), ("c", "carl"), ("d", "carl")];
    for (n, (document, body)) in changes.into_iter().enumerate() {
        log.write(&at(0), n as u64, document, n as i64, body, Kind::Good);
    }
    let world = world(log, &[]);
    world.store.lock().unwrap().keyed.as_mut().unwrap().unique = Some(BTreeMap::new());
    // A's change is held up until it is refused.
    world.store.lock().unwrap().throttled.insert((at(0), 1), 6);
    let mut setup = setup;
    setup.batch.records = 1;
    let member = start(&world, 1, setup).await;
    wait(&world, "the first", || applied(&world) == 1).await;
    let until = Instant::now() + 8 * SECOND;
    world.store.lock().unwrap().keyed.as_mut().unwrap().refused.insert("a".into(), until);
    wait(&world, "the others", || applied(&world) == 4).await;
    wait(&world, "the end of the log", || world.drained()).await;
    let tally = member.stop().await;
    no_violations(&world);
    // Nothing earlier was parked any more when D was tried last.
    assert_eq!((tally.applied, tally.dead_lettered), (4, 1));
    assert_eq!(world.letters.lock().unwrap().kept[&(at(0), 4)].class, "duplicate_key");
}

#[tokio::test(start_paused = true)]
async fn the_breaker_keeps_what_is_at_the_end_of_its_ladder_from_the_letters() {
    let mut log = Log::default();
    (0..1_200).for_each(|n| good(&mut log, 0, &format!("k{n}"), n));
    let keys: Vec<String> = (0..1_200).map(|n| format!("k{n}")).collect();
    let refused: Vec<(&str, Duration)> = keys.iter().map(|key| (key.as_str(), EVER)).collect();
    let world = world(log, &refused);
    let ladder = Ladder::new(1, SECOND);
    world.store.lock().unwrap().keyed.as_mut().unwrap().ladder = ladder;
    let member = start(&world, 1, Setup { ladder: Some(ladder), ..laddered() }).await;
    wait(&world, "the breaker", || member.proceed.is_open()).await;
    sleep(600 * SECOND).await;
    let kept = letters(&world);
    assert!(kept <= 600, "{kept}");
    assert!(member.proceed.proceed());
    assert_eq!(finish(&world, member).await.dead_lettered, 1_200);
}
