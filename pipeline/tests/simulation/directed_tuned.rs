//! One scenario a test: deliveries that are tuned to the store.

use pipeline::engine::tuner::TunerReason;

use crate::directed::{finish, plain, setup, start, wait, world};
use crate::member::Setup;

/// Two records a batch and one batch at a time, to begin with.
fn tuned() -> Setup {
    let mut setup = Setup { max_in_flight: 1, poll_ms: 1, adaptive: true, ..setup() };
    setup.batch.records = 2;
    setup
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_the_limit_gets_more_at_once() {
    let world = world(plain(3, 6_000));
    let member = start(&world, 1, tuned()).await;
    let delivery = member.delivery.clone().unwrap();
    let tally = finish(&world, member).await;
    assert_eq!(tally.total(), 6_000);
    let requests = world.store.lock().unwrap().requests;
    assert!(delivery.standing().changes > 2, "{:?}", delivery.standing());
    assert!(requests < 2_000, "{requests} requests, and 3,000 would be as many as batches of two");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_comes_slowly_moves_nothing() {
    let world = world(plain(3, 300));
    let member = start(&world, 1, Setup { poll_ms: 2_000, ..tuned() }).await;
    let delivery = member.delivery.clone().unwrap();
    finish(&world, member).await;
    assert_eq!(delivery.standing().changes, 0, "{:?}", delivery.standing());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_turns_requests_away_gets_less() {
    let world = world(plain(3, 600));
    world.store.lock().unwrap().busy_above = Some(1);
    let member = start(&world, 1, Setup { max_in_flight: 4, ..tuned() }).await;
    let delivery = member.delivery.clone().unwrap();
    let rejected = || delivery.standing().reason == TunerReason::Rejected && delivery.cell().number < 4;
    wait(&world, "a number that is smaller", rejected).await;
    world.store.lock().unwrap().busy_above = None;
    assert_eq!(finish(&world, member).await.total(), 600);
}
