//! A reader between its SELECT and its SET while a write commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::Rng;

use super::readers::{NodeReaders, PlainReaders, Readers, RustReaders};
use super::{Cached, Engine};
use crate::on_each;

/// Readers of a round.
const USERS: u64 = 250;

on_each!(
    what_was_read_before_a_commit_is_not_kept,
    readers_at_any_time_leave_nothing_stale,
    a_reader_during_a_commit_leaves_nothing_stale,
);

/// Each of the readers reads its row; then the row is written and committed; then the readers keep what they read. Gives how
/// many of these values are in Redis at rest, over some rounds.
fn rounds(cached: &mut Cached, readers: &mut dyn Readers, ids: &[u64], rounds: u64) -> (usize, usize) {
    let (mut stale, mut held) = (0, 0);
    for _ in 0..rounds {
        let keys: Vec<String> = ids.iter().map(|id| super::key_of(*id)).collect();
        keys.chunks(100).for_each(|keys| {
            cached.redis.run::<()>(&[&["DEL"][..], &keys.iter().map(String::as_str).collect::<Vec<_>>()].concat());
        });
        readers.begin(ids);
        let rows = cached.rows(ids);
        cached.rename(ids);
        cached.await_drained();
        assert!(cached.rows(ids).iter().all(|(id, row)| rows[id] != *row), "each row was written meanwhile");
        readers.finish(&rows);
        let (more, all) = cached.stale(ids);
        (stale, held) = (stale + more, held + all);
    }
    (stale, held)
}

fn race(engine: Engine, name: &str, count: u64) {
    let mut cached = Cached::new(engine, name, USERS);
    let ids = cached.ids.clone();
    let running = cached.buffer.start();
    let mut rust = RustReaders::new(&cached.redis);
    let mut node = NodeReaders::new(&cached.redis);
    let of_rust = rounds(&mut cached, &mut rust, &ids, count / USERS);
    let of_node = rounds(&mut cached, &mut node, &ids, count / USERS);
    assert_eq!((of_rust.0, of_node.0), (0, 0), "stale at rest");
    // The protocol keeps what may be kept.
    let rows = cached.rows(&ids);
    ids.iter().for_each(|id| assert_eq!(rust.read(*id, &rows), Some(rows[id].clone())));
    assert_eq!(cached.stale(&ids), (0, ids.len()));
    // Plain readers show that the test can fail.
    let redis = cached.redis.connection().unwrap();
    let of_plain = rounds(&mut cached, &mut PlainReaders(redis), &ids, (count / USERS).min(2));
    assert!(of_plain.0 > 0, "plain readers leave what they read before the commit");
    println!("{count} races each: Rust {of_rust:?}, Node {of_node:?}, plain {of_plain:?} (stale, held)");
    assert!(running.terminate().success());
}

fn what_was_read_before_a_commit_is_not_kept(engine: Engine) {
    race(engine, "cache-race", 2 * USERS);
}

#[test]
#[ignore = "the whole number, some minutes"]
fn ten_thousand_races() {
    race(Engine::MariaDb, "cache-races", 10_000);
}

fn readers_at_any_time_leave_nothing_stale(engine: Engine) {
    let mut cached = Cached::new(engine, "cache-free", 40);
    let ids = cached.ids.clone();
    let running = cached.buffer.start();
    let readers = RustReaders::new(&cached.redis);
    let select = readers.block_on(async { cached.buffer.user_rows() });
    let going = Arc::new(AtomicBool::new(true));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (cache, select, going, ids) = (readers.cache.clone(), select.clone(), going.clone(), ids.clone());
            readers.spawn(async move {
                let loads = AtomicU64::new(0);
                while going.load(Ordering::SeqCst) {
                    let id = ids[rand::rng().random_range(0..ids.len())];
                    let (before, after) = (rand::rng().random_range(0..5), rand::rng().random_range(0..30));
                    let load = || async {
                        loads.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(before)).await;
                        let row = select.of(id).await;
                        tokio::time::sleep(Duration::from_millis(after)).await;
                        Ok::<_, ()>(row)
                    };
                    cache.row("User", &id.to_string(), load).await.unwrap();
                }
                loads.into_inner()
            })
        })
        .collect();
    for _ in 0..10 {
        for some in ids.chunks(5) {
            cached.rename(some);
        }
        cached.await_drained();
    }
    going.store(false, Ordering::SeqCst);
    let loads: u64 = tasks.into_iter().map(|task| readers.block_on(task).unwrap()).sum();
    let (stale, held) = cached.stale(&ids);
    assert_eq!(stale, 0, "of {held} values, after {loads} reads of the database");
    assert!(loads > 100 && held > 0, "{loads} reads, {held} values");
    assert!(running.terminate().success());
}

/// A reader asks after a write has begun and before it is committed, and keeps its row after. Gives whether it is stale at rest.
pub fn read_during_a_commit(engine: Engine, mutant: Option<&str>) -> bool {
    let mut cached = Cached::new(engine, "cache-during", 1);
    if let Some(mutant) = mutant {
        cached.buffer.world.set("MILLRACE_MUTANT", mutant);
    }
    let mut readers = RustReaders::new(&cached.redis);
    let lock = cached.buffer.hold_user();
    let running = cached.buffer.start();
    cached.rename(&[1]);
    cached.buffer.await_a_waiting_session();
    readers.begin(&[1]);
    let rows = cached.rows(&[1]);
    lock.release();
    cached.await_drained();
    readers.finish(&rows);
    let (stale, _) = cached.stale(&[1]);
    assert!(running.terminate().success());
    stale > 0
}

fn a_reader_during_a_commit_leaves_nothing_stale(engine: Engine) {
    assert!(!read_during_a_commit(engine, None));
}
