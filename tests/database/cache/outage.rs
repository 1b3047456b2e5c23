//! The program dies between the commit and the cache; Redis goes away, and comes back with old data.

use std::time::{Duration, Instant};

use testkit::services::eventually;

use super::readers::{Readers, RustReaders, key_of};
use super::server::{Gate, OwnRedis};
use super::{Cached, Engine};
use crate::on_each;

on_each!(
    what_dies_between_commit_and_cache_leaves_nothing_stale,
    rows_that_are_written_while_redis_is_away_are_invalidated_when_it_is_back,
    a_redis_with_old_data_is_not_believed,
    a_replica_that_takes_over_without_the_last_writes_is_not_believed,
);

/// Kills the program between a commit and the cache so many times.
fn crashes(engine: Engine, name: &str, times: usize) {
    let mut cached = Cached::new(engine, name, 2);
    let readers = RustReaders::new(&cached.redis);
    let gate = Gate::to(cached.redis.port);
    cached.buffer.world.set("REDIS_URL", &gate.url());
    let mut seen = 0;
    while seen < times {
        let running = cached.buffer.start();
        // The connection stands, and what the one before left is done.
        cached.rename(&[2]);
        cached.await_drained();
        assert_eq!(cached.stale(&[1]).0, 0, "nothing is stale after {seen} crashes");
        let rows = cached.rows(&[1]);
        readers.read(1, &rows);
        gate.hold(true);
        cached.rename(&[1]);
        eventually("the commit", || (cached.rows(&[1]) != rows).then_some(()));
        running.kill();
        gate.hold(false);
        // Otherwise it had time to note the key.
        if cached.dirty().is_empty() {
            assert_eq!(cached.stale(&[1]), (1, 1), "the crash came between");
            seen += 1;
        }
    }
    cached.buffer.run_once();
    cached.await_no_dirty_key();
    assert_eq!(cached.stale(&[1]), (0, 0));
}

fn what_dies_between_commit_and_cache_leaves_nothing_stale(engine: Engine) {
    crashes(engine, "cache-crash", 2);
}

#[test]
#[ignore = "the whole number, some minutes"]
fn twenty_crashes() {
    crashes(Engine::MariaDb, "cache-crashes", 20);
}

/// Redis is away for some time while rows are written.
fn away(engine: Engine, name: &str, time: Duration) {
    let mut cached = Cached::new(engine, name, 300);
    let ids = cached.ids.clone();
    let readers = RustReaders::new(&cached.redis);
    let rows = cached.rows(&ids);
    ids.iter().for_each(|id| drop(readers.read(*id, &rows)));
    let running = cached.buffer.start();
    cached.rename(&ids[..50]);
    cached.await_drained();
    assert_eq!(cached.stale(&ids), (0, 250));
    cached.redis.kill();
    let begun = Instant::now();
    loop {
        cached.rename(&ids[50..200]);
        // The database is written to meanwhile, and the log goes on.
        cached.await_drained();
        if begun.elapsed() >= time {
            break;
        }
    }
    assert!(cached.dirty().len() >= 150, "{} keys are noted", cached.dirty().len());
    running.await_events("Redis is away; keys of rows that are written are kept in millrace_dirty_keys", 1);
    cached.redis.start();
    cached.await_no_dirty_key();
    assert_eq!(cached.stale(&ids), (0, 100));
    // Whatever is written now is invalidated at once.
    running.await_events("Redis is back", 1);
    cached.rename(&ids[200..]);
    cached.await_drained();
    assert_eq!(cached.stale(&ids), (0, 0));
    assert!(cached.dirty().is_empty());
    assert!(running.terminate().success());
}

fn rows_that_are_written_while_redis_is_away_are_invalidated_when_it_is_back(engine: Engine) {
    away(engine, "cache-away", Duration::ZERO);
}

#[test]
#[ignore = "waits for twenty seconds"]
fn twenty_seconds_without_redis() {
    away(Engine::MariaDb, "cache-away-long", Duration::from_secs(20));
}

fn a_redis_with_old_data_is_not_believed(engine: Engine) {
    let mut cached = Cached::new(engine, "cache-old", 100);
    let (held, leased): (Vec<u64>, Vec<u64>) = cached.ids.iter().partition(|id| **id <= 60);
    let mut readers = RustReaders::new(&cached.redis);
    let rows = cached.rows(&held);
    held.iter().for_each(|id| drop(readers.read(*id, &rows)));
    readers.begin(&leased);
    let read = cached.rows(&leased);
    cached.redis.snapshot();
    let ids = cached.ids.clone();
    cached.rename(&ids);
    cached.buffer.run_once();
    assert_eq!(cached.stale(&ids), (0, 0));
    cached.redis.restore();
    // The old values are there again, and so are the generations of those who read before.
    assert_eq!(cached.stale(&held), (60, 60), "the snapshot is old");
    let known: i64 = cached.redis.run(&["EXISTS", &format!("{{{}}}:generation", key_of(100))]);
    assert_eq!(known, 1);
    // Whoever read before has no connection for a moment.
    let now = cached.rows(&ids);
    eventually("a connection", || (readers.read(1, &now) == now.get(&1).cloned()).then_some(()));
    readers.finish(&read);
    let again = RustReaders::new(&cached.redis);
    held.iter().for_each(|id| assert_eq!(again.read(*id, &now).as_ref(), now.get(id)));
    assert_eq!(cached.stale(&ids), (0, 60), "stale at rest");
}

fn a_replica_that_takes_over_without_the_last_writes_is_not_believed(engine: Engine) {
    let mut cached = Cached::new(engine, "cache-failover", 100);
    let ids = cached.ids.clone();
    let rows = cached.rows(&ids);
    let readers = RustReaders::new(&cached.redis);
    ids.iter().for_each(|id| drop(readers.read(*id, &rows)));
    let replica = OwnRedis::new(cached.buffer.world.dir.join("replica"));
    replica.run::<()>(&["REPLICAOF", "127.0.0.1", &cached.redis.port.to_string()]);
    let keys: i64 = cached.redis.run(&["DBSIZE"]);
    eventually("the replica", || (replica.run::<i64>(&["DBSIZE"]) == keys).then_some(()));
    // It is cut off before the writes, and takes over after them.
    replica.run::<()>(&["REPLICAOF", "NO", "ONE"]);
    cached.rename(&ids);
    cached.buffer.run_once();
    assert_eq!(cached.stale(&ids), (0, 0));
    cached.redis = replica;
    cached.buffer.world.set("REDIS_URL", &cached.redis.url());
    assert_eq!(cached.stale(&ids), (100, 100), "the replica is behind");
    let (now, again) = (cached.rows(&ids), RustReaders::new(&cached.redis));
    ids.iter().for_each(|id| assert_eq!(again.read(*id, &now).as_ref(), now.get(id)));
    assert_eq!(cached.stale(&ids), (0, 100), "stale at rest");
    // It is written to as the other was.
    cached.rename(&ids[..10]);
    cached.buffer.run_once();
    assert_eq!(cached.stale(&ids), (0, 90));
}
