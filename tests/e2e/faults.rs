//! Kills and outages: nothing is lost, nothing is dead-lettered, and `/readyz` tells the truth.

use millrace::synthetic::GeneratorOptions;
use testkit::program::Running;
use testkit::services::{elasticsearch, services};
use testkit::world::{World, options_of, scaled};

use crate::PROGRAM;

fn published(world: &World, count: u64) -> GeneratorOptions {
    let count = scaled(count).to_string();
    let report =
        world.publish(&["--count", &count, "--update-ratio", "0.15", "--delete-ratio", "0.03", "--users", "300"]);
    options_of(&report, |options| {
        (options.update_ratio, options.delete_ratio, options.users) = (0.15, 0.03, Some(300));
    })
}

fn assert_nothing_lost(world: &World, expected: &GeneratorOptions) {
    world.assert_complete(&expected.expect_documents().unwrap());
    assert_eq!(world.letters().len(), 0, "an outage is no reason for a dead letter");
}

/// A program whose batches are small, so that it is in the middle of its work when something happens.
fn in_the_middle(world: &mut World) -> Running {
    world.set("CONSUMER_BATCH_SIZE", "50");
    let running = world.start();
    running.await_events("Batch processed", 10);
    running
}

#[test]
fn five_kills_lose_nothing() {
    let mut world = World::new(PROGRAM, "kills");
    let expected = published(&world, 20_000);
    world.set("CONSUMER_BATCH_SIZE", "100");
    for kill in 1..=5 {
        let running = world.start();
        running.await_events("Batch processed", 5 + 3 * kill);
        running.kill();
    }
    world.run_once();
    assert_nothing_lost(&world, &expected);
}

#[test]
fn without_redis_the_work_goes_on() {
    let mut world = World::alone(PROGRAM, "no-redis");
    let expected = published(&world, 10_000);
    let running = in_the_middle(&mut world);
    services("kill", "redis");
    let seen = running.events("Batch processed").len();
    running.await_events("Batch processed", seen + 20);
    // Redis only saves work.
    running.await_ready();
    services("start", "redis");
    world.await_drained();
    assert_eq!(running.ready().0, 200);
    assert!(running.terminate().success());
    assert_nothing_lost(&world, &expected);
}

#[test]
fn an_outage_of_elasticsearch_is_waited_out() {
    let mut world = World::alone(PROGRAM, "no-store");
    let expected = published(&world, 10_000);
    let running = in_the_middle(&mut world);
    services("kill", "elasticsearch");
    running.await_reason("elasticsearch");
    services("start", "elasticsearch");
    running.await_ready();
    world.await_drained();
    assert!(running.terminate().success());
    assert_nothing_lost(&world, &expected);
}

#[test]
fn a_frozen_elasticsearch_is_waited_out() {
    let mut world = World::alone(PROGRAM, "frozen");
    let expected = published(&world, 10_000);
    let running = in_the_middle(&mut world);
    services("pause", "elasticsearch");
    let before = running.events("Batch processed").len();
    // Intake stops when the batches in flight are stuck; the poll thread goes on, so the group keeps its member.
    std::thread::sleep(std::time::Duration::from_secs(8));
    services("resume", "elasticsearch");
    running.await_events("Batch processed", before + 20);
    world.await_drained();
    assert_eq!(running.events("Partitions revoked").len(), 0, "longer than the session, and still a member");
    assert!(running.terminate().success());
    assert_nothing_lost(&world, &expected);
}

#[test]
fn a_closed_index_is_waited_out() {
    let mut world = World::new(PROGRAM, "closed");
    let expected = published(&world, 10_000);
    let running = in_the_middle(&mut world);
    let index = format!("/{}-000001", world.name);
    assert_eq!(elasticsearch("POST", &format!("{index}/_close"), None).0, 200);
    running.await_reason("index_closed_exception");
    assert_eq!(elasticsearch("POST", &format!("{index}/_open"), None).0, 200);
    running.await_ready();
    world.await_drained();
    assert!(running.terminate().success());
    assert_nothing_lost(&world, &expected);
}

#[test]
fn a_stop_in_the_middle_commits_what_is_finished() {
    let mut world = World::new(PROGRAM, "stop");
    let expected = published(&world, 10_000);
    let running = in_the_middle(&mut world);
    assert!(running.terminate().success());
    let rest = world.run_once();
    assert!(rest["records"].as_u64().unwrap() < expected.counts().unwrap().distinct(), "the first run's work counts");
    assert_nothing_lost(&world, &expected);
}

#[test]
fn a_stop_during_an_outage_ends_all_the_same() {
    let mut world = World::alone(PROGRAM, "stop-outage");
    let expected = published(&world, 10_000);
    let running = in_the_middle(&mut world);
    services("kill", "elasticsearch");
    running.await_reason("elasticsearch");
    assert!(running.terminate().success());
    services("start", "elasticsearch");
    world.run_once();
    assert_nothing_lost(&world, &expected);
}

#[test]
fn a_run_to_the_end_that_is_stopped_says_so() {
    let mut world = World::new(PROGRAM, "stop-once");
    let expected = published(&world, 10_000);
    world.set("CONSUMER_BATCH_SIZE", "20");
    let running = Running::start(world.command(&["run", "transactions", "--once"]));
    running.await_events("Batch processed", 5);
    assert_eq!(running.terminate().code(), Some(75), "half a backlog is not the end");
    world.run_once();
    assert_nothing_lost(&world, &expected);
}

#[test]
fn a_program_that_slept_through_its_session_does_no_harm() {
    let mut world = World::new(PROGRAM, "slept");
    let expected = published(&world, 10_000);
    let sleeper = in_the_middle(&mut world);
    sleeper.signal("STOP");
    // Its session (6 s) runs out, and the other takes the partitions over.
    let other = world.start();
    world.await_drained();
    sleeper.signal("CONT");
    sleeper.await_events("Partitions revoked", 1);
    assert!(sleeper.terminate().success());
    assert!(other.terminate().success());
    assert_eq!(world.lag(), 0, "nobody winds the offsets back");
    assert_nothing_lost(&world, &expected);
}
