//! A broker or a node of three away, and a balancer before the nodes: the rest goes on, and nothing is lost or buried.

use std::thread::sleep;
use std::time::{Duration, Instant};

use pipeline::mutants::Mutant;
use serde_json::json;
use testkit::services::{eventually, services};

use super::at_work;
use super::nodes::{before_nodes, judge_after, send_while_sick, sick_for};
use crate::account::stream;
use crate::arena::Arena;
use crate::cluster::{BROKERS, NODES, balance, coordinator, led_by};
use crate::judge::{Judged, Report, drained, happened, judge};
use crate::liar::Mode;

/// How long a broker or a node is away.
const AWAY: Duration = Duration::from_secs(20);

pub fn broker_killed(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("broker-killed", mutant, 1_500, 40);
    let topic = arena.world().name.clone();
    let leads = |arena: &Arena, name: &str| led_by(arena.world(), &topic, name);
    let broker = *BROKERS.iter().max_by_key(|name| leads(&arena, name)).unwrap();
    happened("it led partitions", leads(&arena, broker) > 0)?;
    let begun = Instant::now();
    services("kill", broker);
    arena.note("broker kills");
    eventually("other leaders", || (leads(&arena, broker) == 0).then_some(()));
    arena.send(&stream(2, 800));
    // The rest of the cluster is enough to work it off.
    drained(&arena)?;
    sleep(AWAY.saturating_sub(begun.elapsed()));
    arena.send(&stream(3, 500));
    services("start", broker);
    judge(&mut arena)
}

pub fn coordinator_moved(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("coordinator-moved", mutant, 3_000, 40);
    for (seed, verb) in [(2, "down"), (3, "kill")] {
        let group = arena.world().name.clone();
        let now = |arena: &Arena| coordinator(arena.world(), &group);
        let first = eventually("a coordinator", || now(&arena));
        let before = arena.members.sums()["transactions"].records;
        services(verb, first);
        eventually("another coordinator", || now(&arena).filter(|other| *other != first));
        arena.note("coordinators moved");
        arena.send(&stream(seed, 1_000));
        arena.await_processed(before + 500);
        drained(&arena)?;
        services("start", first);
        crate::cluster::await_in_sync(arena.world());
    }
    judge(&mut arena)
}

/// The node that holds the primary of the index's only shard.
fn primary(arena: &Arena) -> Option<&'static str> {
    let index = arena.index();
    let (_, state) = arena.ask("GET", &format!("/_cluster/state/routing_table,nodes{index}"), None);
    let shards = state["routing_table"]["indices"][&index[1..]]["shards"]["0"].as_array()?;
    let primary = shards.iter().find(|copy| copy["primary"] == true && copy["state"] == "STARTED")?;
    let name = state["nodes"][primary["node"].as_str()?]["name"].as_str()?;
    NODES.iter().find(|node| **node == name).copied()
}

pub fn node_killed(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = before_nodes("node-killed", mutant);
    let first = eventually("a primary shard", || primary(&arena));
    let begun = Instant::now();
    services("kill", first);
    arena.note("node kills");
    arena.send(&stream(2, 1_000));
    let next = eventually("another primary shard", || primary(&arena).filter(|other| *other != first));
    drained(&arena)?;
    sleep(AWAY.saturating_sub(begun.elapsed()));
    services("start", first);
    // The other way round: the copy of the one that was away takes over in turn.
    eventually("a copy", || {
        let (status, _) = arena.ask("GET", "/_cluster/health?wait_for_status=green&timeout=2s", None);
        (status == 200).then_some(())
    });
    services("kill", next);
    arena.note("node kills");
    arena.send(&stream(3, 1_000));
    drained(&arena)?;
    services("start", next);
    judge_after(arena)
}

pub fn shard_gone(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = before_nodes("shard-gone", mutant);
    arena.settings(&json!({"index.auto_expand_replicas": false, "index.number_of_replicas": 0}));
    let node = eventually("a primary shard", || primary(&arena));
    services("kill", node);
    arena.note("shards gone");
    arena.send(&stream(2, 1_000));
    sleep(AWAY.max(sick_for()));
    happened("the work waited", arena.world().lag() > 0)?;
    services("start", node);
    judge_after(arena)
}

pub fn balanced(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("haproxy", mutant);
    let backends = arena.liar.urls().replace("http://", "").replace(',', " ");
    arena.set("ELASTICSEARCH_URL", &balance(&backends));
    arena.set("CONSUMER_BATCH_SIZE", "10");
    arena.set("RETRY_DELAY_MS", "200");
    arena.send(&stream(1, 500));
    arena.start();
    arena.await_processed(50);
    for (seed, mode, told) in [(2, Mode::Status(502), "status"), (3, Mode::Cut, "cut")] {
        arena.liar.ways[1].set(mode);
        arena.note("bad backends");
        arena.send(&stream(seed, 1_000));
        eventually("the bad backend to be asked", || arena.liar.told().contains_key(told).then_some(()));
        send_while_sick(&mut arena, seed * 1_000);
    }
    arena.liar.set(Mode::Honest);
    let report = judge_after(arena);
    services("down", "haproxy");
    report
}
