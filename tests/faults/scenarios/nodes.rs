//! Three nodes of which one is sick, and balancers behind which one of two ways is bad: what a part of a store does wrong may
//! bury no sound record, and what works must go on.
//!
//! Each of three addresses has a proxy of its own, and one proxy is made to do what a sick node does. Behind them is one engine,
//! or with `--cluster` three real nodes.

use std::thread::sleep;
use std::time::{Duration, Instant};

use pipeline::mutants::Mutant;
use testkit::services::eventually;

use crate::account::stream;
use crate::arena::Arena;
use crate::judge::{Judged, Report, happened, judge};
use crate::liar::Mode;

/// How long a node is sick: minutes where `FAULTS_SICK_SECONDS` says so.
pub fn sick_for() -> Duration {
    let seconds = std::env::var("FAULTS_SICK_SECONDS").map_or(12, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Sends on as long as a part of the store is sick, so that it is met all the time.
pub fn send_while_sick(arena: &mut Arena, first_seed: u64) {
    let until = Instant::now() + sick_for();
    for seed in first_seed.. {
        if Instant::now() >= until {
            return;
        }
        arena.send(&stream(seed, 50));
        sleep(Duration::from_secs(2));
    }
}

/// How a node is sick, and what its proxy says that it did.
struct Sickness {
    mode: Mode,
    told: &'static str,
    delay: Duration,
}

fn sickness(mode: Mode, told: &'static str) -> Sickness {
    Sickness { mode, told, delay: Duration::ZERO }
}

pub fn cut(mutant: Option<Mutant>) -> Judged<Report> {
    sick_node("node-cuts", mutant, &sickness(Mode::Cut, "cut"))
}

pub fn failing(mutant: Option<Mutant>) -> Judged<Report> {
    sick_node("node-500", mutant, &sickness(Mode::Status(500), "status"))
}

pub fn bad_gateway(mutant: Option<Mutant>) -> Judged<Report> {
    sick_node("node-502", mutant, &sickness(Mode::Status(502), "status"))
}

pub fn turned_away(mutant: Option<Mutant>) -> Judged<Report> {
    sick_node("node-413", mutant, &sickness(Mode::Status(413), "status"))
}

pub fn slow(mutant: Option<Mutant>) -> Judged<Report> {
    sick_node("node-slow", mutant, &Sickness { mode: Mode::Slow, told: "slow", delay: Duration::from_secs(3) })
}

pub fn read_only(mutant: Option<Mutant>) -> Judged<Report> {
    let block = Mode::Items { status: 403, kind: "cluster_block_exception", one_in: 1 };
    sick_node("node-read-only", mutant, &sickness(block, "items"))
}

pub fn disk_full(mutant: Option<Mutant>) -> Judged<Report> {
    let flood = Mode::Items { status: 429, kind: "cluster_block_exception", one_in: 1 };
    sick_node("node-disk-full", mutant, &sickness(flood, "items"))
}

/// Every fifth item answers 500 on whichever way, as those of one shard of five do.
pub fn shard_away(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = before_nodes("shard-away", mutant);
    let away = Mode::Items { status: 500, kind: "shard_failure", one_in: 5 };
    arena.liar.set(away);
    arena.note("shards away");
    arena.send(&stream(2, 1_000));
    send_while_sick(&mut arena, 3);
    happened("the shard failed", arena.liar.told().contains_key("items"))?;
    judge_after(arena)
}

pub fn balancer(mutant: Option<Mutant>) -> Judged<Report> {
    every_second("balancer", mutant, 502)
}

pub fn balancer_turns_away(mutant: Option<Mutant>) -> Judged<Report> {
    every_second("balancer-413", mutant, 413)
}

/// One address, behind it a good and a bad way, taken in turn.
fn every_second(name: &str, mutant: Option<Mutant>, status: u16) -> Judged<Report> {
    let mut arena = Arena::new(name, mutant);
    arena.start();
    arena.members[0].await_ready();
    arena.liar.set(Mode::EverySecond(status));
    arena.note("bad backends");
    arena.send(&stream(1, 1_000));
    send_while_sick(&mut arena, 3);
    happened("the backend answered", arena.liar.told().contains_key("every second"))?;
    judge_after(arena)
}

/// Members at work before three nodes, in small batches, with the retries that the program has by default.
pub fn before_nodes(name: &str, mutant: Option<Mutant>) -> Arena {
    let mut arena = Arena::new(name, mutant);
    arena.before_nodes(3);
    arena.set("CONSUMER_BATCH_SIZE", "10");
    arena.set("RETRY_DELAY_MS", "200");
    arena.send(&stream(1, 500));
    arena.start();
    arena.await_processed(50);
    arena
}

fn sick_node(name: &str, mutant: Option<Mutant>, sickness: &Sickness) -> Judged<Report> {
    let mut arena = before_nodes(name, mutant);
    let sick = &arena.liar.ways[1];
    sick.set(sickness.mode.clone());
    sick.delay(sickness.delay);
    arena.note("sick nodes");
    arena.send(&stream(2, 1_500));
    eventually("the sick node to be asked", || arena.liar.ways[1].told().contains_key(sickness.told).then_some(()));
    send_while_sick(&mut arena, 3);
    judge_after(arena)
}

/// The node is well again; the judge wants the backlog worked off, nothing lost and nothing sound buried.
pub fn judge_after(mut arena: Arena) -> Judged<Report> {
    arena.heal();
    judge(&mut arena)
}
