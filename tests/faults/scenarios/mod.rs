//! The scenarios: each one kind of trouble, ended by the same judge.

mod clusters;
mod log;
mod marks;
mod members;
mod nodes;
mod siblings;
mod small;
mod store;

use std::thread::sleep;
use std::time::Duration;

use chrono::{DateTime, Utc};
use pipeline::mutants::Mutant;

use crate::account::{stream, undecodable};
use crate::arena::Arena;
use crate::judge::{Judged, Report, judge, violated};

/// How long a stop may take, whatever is broken.
const STOP: Duration = Duration::from_secs(20);

/// What `verify` owes when a value was planted.
pub const PLANTED: &str = "verify names what was altered";

/// A scenario; a bug may be switched on in its members.
pub struct Scenario {
    pub name: &'static str,
    pub what: &'static str,
    pub run: fn(Option<Mutant>) -> Judged<Report>,
}

macro_rules! scenarios {
    ($all:ident: $($name:literal $run:path, $what:literal;)*) => {
        pub const $all: &[Scenario] = &[$(Scenario { name: $name, what: $what, run: $run },)*];
    };
}

scenarios! {
    ALL:
    "stream" plain, "a stream with everything in it, and deletes that are forgotten at once";
    "altered" altered, "a value planted in the store under the right version";
    "kills" members::kills, "kill -9 in the middle of the work, and while a write is not answered";
    "freeze" members::freeze, "SIGSTOP beyond the session with an equal version pending, and waking up";
    "members" members::members, "members that join and leave under load";
    "partition-returns" members::partition_returns, "a partition that goes and comes back while its batches hang";
    "handover" members::handover, "a member that joins while the store is slow: what is in flight is finished before it goes";
    "cooperative" members::cooperative, "members that join and leave under load, cooperative-sticky";
    "static" members::static_member, "kill -9 and return under the same group.instance.id, while others come and go";
    "broker" log::broker, "the broker killed, paused beyond the session, behind a slow and a cut link";
    "stop-unheard" members::stop_unheard, "SIGTERM while the broker stands still";
    "long-outage" members::long_outage, "an outage longer than max.poll.interval.ms with a rebalance in it";
    "partitions-added" log::partitions_added, "partitions added while it runs";
    "retention" log::retention, "the log cut by retention while nobody reads";
    "retention-running" log::retention_running, "retention that passes a running member while its store is away, with no record after it";
    "topic-anew" log::topic_anew, "the topic and the index made anew";
    "aborted" log::aborted, "aborted transactions at the end of the log with --once";
    "stores" store::stores, "Elasticsearch, Redis and PostgreSQL killed and paused in turn";
    "lies" store::lies, "503, a page with 200, half an answer, an answer that never comes";
    "index-away" store::index_away, "the index closed, the alias missing, a disk-flood block for 60 s";
    "busy" small::busy, "a small node that answers 429 for items and for requests";
    "busy-writes" store::busy_writes, "a store that answers 429 to every write and takes every no-op";
    "too-large" small::too_large, "a small node that answers 413";
    "mapping" store::mapping, "a mapping that rejects everything, mended";
    "choke" store::choke, "documents that always time out, their letters replayed at an older and an equal version";
    "purged" store::purged, "a letter replayed whose document was deleted and purged meanwhile";
    "letters" letters, "letters that the dead-letter topic does not take for a while";
    "times" times, "timestamps of 2099 and 1969";
    "middle" marks::middle, "a document lost from the index, and the group set back to the middle of the log";
    "reset" marks::reset, "the index gone, and the group set back to the start";
    "audit-refuses" marks::audit_refuses, "what the audit alone refuses, twice, after the primary has seen it";
    "node-cuts" nodes::cut, "one of three nodes takes writes and cuts the connection";
    "node-500" nodes::failing, "one of three nodes answers 500";
    "node-502" nodes::bad_gateway, "one of three nodes answers 502";
    "node-413" nodes::turned_away, "one of three nodes answers 413";
    "node-slow" nodes::slow, "one of three nodes answers late";
    "node-read-only" nodes::read_only, "one of three nodes refuses writes";
    "node-disk-full" nodes::disk_full, "one of three nodes has a full disk";
    "shard-away" nodes::shard_away, "one document in five fails with 500, as those of a shard that is away";
    "balancer" nodes::balancer, "one address whose every second answer is 502";
    "balancer-413" nodes::balancer_turns_away, "one address whose every second answer is 413";
    "siblings-halves" siblings::halves, "kill -9 between version store and push, and between contribution and rating";
    "siblings-mongo-away" siblings::mongo_away, "MongoDB away for 20 s";
    "siblings-algolia-away" siblings::algolia_away, "Algolia answers 503 for 20 s";
    "siblings-late-push" siblings::late_push, "a push that comes when another member has pushed something newer";
    "siblings-refused-object" siblings::refused_object, "an object that the index refuses, and the one before it";
    "siblings-late-rating" siblings::late_rating, "a rating that comes to the cache when a later one is there";
    "siblings-repair" siblings::repair, "objects gone from the indexes, put back by verify --repair";
}

// On three brokers and three search nodes.
scenarios! {
    ON_CLUSTERS:
    "broker-killed" clusters::broker_killed, "a broker killed in mid-stream, and back after 20 s";
    "coordinator-moved" clusters::coordinator_moved, "the broker that coordinates the group stopped, and the next one killed";
    "node-killed" clusters::node_killed, "the node with the primary shard killed: another takes over";
    "shard-gone" clusters::shard_gone, "the only copy of the shard away with its node";
    "haproxy" clusters::balanced, "HAProxy before three nodes, one of which answers 502 and then cuts";
    "kills" members::kills, "kill -9 in the middle of the work, and while a write is not answered";
    "cooperative" members::cooperative, "members that join and leave under load, cooperative-sticky";
    "static" members::static_member, "kill -9 and return under the same group.instance.id, while others come and go";
    "letters" letters, "letters that the dead-letter topic does not take for a while";
    "node-cuts" nodes::cut, "one of three nodes takes writes and cuts the connection";
    "node-500" nodes::failing, "one of three nodes answers 500";
    "node-502" nodes::bad_gateway, "one of three nodes answers 502";
    "node-413" nodes::turned_away, "one of three nodes answers 413";
    "node-slow" nodes::slow, "one of three nodes answers late";
    "node-read-only" nodes::read_only, "one of three nodes refuses writes";
    "node-disk-full" nodes::disk_full, "one of three nodes has a full disk";
    "shard-away" nodes::shard_away, "one document in five fails with 500, as those of a shard that is away";
}

fn time() -> DateTime<Utc> {
    "2026-05-01T00:00:00Z".parse().unwrap()
}

/// Members at work on a stream, one batch in so many milliseconds.
fn at_work(name: &str, mutant: Option<Mutant>, count: u64, delay: u64) -> Arena {
    let mut arena = Arena::new(name, mutant);
    arena.liar.delay(Duration::from_millis(delay));
    arena.send(&stream(1, count));
    arena.start();
    arena.await_processed(50);
    arena
}

fn plain(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("stream", mutant);
    arena.start();
    arena.members[0].await_ready();
    arena.forget_deletes();
    arena.send(&stream(1, 2_000));
    judge(&mut arena)
}

fn altered(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("altered", mutant);
    arena.send(&stream(1, 500));
    arena.once("transactions");
    let mut report = judge(&mut arena)?;
    arena.audited.run("UPDATE transaction_state SET status = 'planted' WHERE id = (SELECT min(id) FROM transactions)");
    report.faults.insert("planted values", 1);
    let found = arena.findings("transactions-audit");
    if found == ["altered"] { Ok(report) } else { violated(PLANTED, format!("it found {found:?}")) }
}

fn letters(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("letters", mutant);
    arena.start();
    arena.members[0].await_ready();
    arena.squeeze_letters("200");
    arena.send(&stream(1, 1_000));
    // The largest letter that there may be is far too large for this topic, so it waits.
    if mutant.is_none() {
        arena.members[0].await_reason("dead letters");
    } else {
        sleep(Duration::from_secs(5));
    }
    arena.note("letters too large");
    arena.block_letters(true);
    arena.note("topics not writable");
    sleep(Duration::from_secs(5));
    arena.block_letters(false);
    judge(&mut arena)
}

fn times(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("times", mutant);
    let mut messages = stream(1, 200);
    for (id, time) in [("late", "2099-01-01T00:00:00Z"), ("early", "1969-12-31T23:59:59Z")] {
        messages.push(undecodable(id, time));
    }
    arena.note("impossible times");
    arena.send(&messages);
    arena.start();
    judge(&mut arena)
}
