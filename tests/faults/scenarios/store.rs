//! The stores, what stands in front of them, and what they refuse.

use std::thread::sleep;
use std::time::Duration;

use chrono::TimeDelta;
use pipeline::mutants::Mutant;
use serde_json::json;
use testkit::services::{eventually, services};

use super::{at_work, time};
use crate::account::{Sent, event, stream};
use crate::arena::Arena;
use crate::judge::{Judged, Report, happened, judge, violated};
use crate::liar::Mode;

pub fn stores(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("stores", mutant, 3_000, 40);
    for (seed, name) in [(2, "redis"), (3, "postgres"), (4, "elasticsearch")] {
        services("pause", name);
        arena.note("store freezes");
        arena.send(&stream(seed, 600));
        sleep(Duration::from_secs(4));
        let waits = |arena: &Arena| arena.systems().iter().any(|(_, group)| arena.world().lag_of(group) > 0);
        happened(&format!("work waited for {name}"), name == "redis" || waits(&arena))?;
        services("resume", name);
        services("kill", name);
        arena.note("store kills");
        arena.send(&stream(seed + 10, 600));
        sleep(Duration::from_secs(2));
        happened(&format!("work waited for {name}"), name == "redis" || waits(&arena))?;
        services("start", name);
    }
    arena.links.redis.slow(400);
    arena.links.postgres.slow(400);
    arena.note("slow links");
    arena.send(&stream(20, 500));
    sleep(Duration::from_secs(4));
    arena.links.heal();
    let missed = arena.members[0].metric("millrace_dedupe_errors_total");
    happened("Redis was missed", missed.is_some_and(|count| count > 0.0))?;
    judge(&mut arena)
}

pub fn lies(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("lies", mutant, 500, 40);
    for (seed, mode, kind) in
        [(2, Mode::Busy, "503"), (3, Mode::Page, "page"), (4, Mode::Half, "half"), (5, Mode::Cut, "cut")]
    {
        arena.send(&stream(seed, 500));
        arena.liar.set(mode);
        eventually(kind, || (arena.liar.told().get(kind).copied() >= Some(4)).then_some(()));
        arena.liar.set(Mode::Honest);
    }
    judge(&mut arena)
}

pub fn index_away(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("index-away", mutant, 2_500, 40);
    let (index, alias) = (arena.index(), arena.world().name.clone());
    arena.ask("POST", &format!("{index}/_close"), None);
    arena.members[0].await_reason("index_closed_exception");
    arena.note("closed indices");
    arena.ask("POST", &format!("{index}/_open"), None);
    arena.members[0].await_ready();

    let (_, known) = arena.ask("GET", &format!("/_alias/{alias}"), None);
    let known = known[&index[1..]]["aliases"][&alias].clone();
    arena.ask("DELETE", &format!("{index}/_alias/{alias}"), None);
    arena.members[0].await_reason("index_not_found_exception");
    arena.note("missing aliases");
    let (status, answer) = arena.ask("PUT", &format!("{index}/_alias/{alias}"), Some(&known));
    happened(&format!("the alias is back: {answer}"), status == 200)?;
    arena.members[0].await_ready();

    arena.settings(&json!({"index.blocks.read_only_allow_delete": true}));
    arena.members[0].await_reason("cluster_block_exception");
    arena.note("flood blocks");
    sleep(Duration::from_secs(60));
    arena.settings(&json!({"index.blocks.read_only_allow_delete": null}));
    judge(&mut arena)
}

pub fn mapping(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("mapping", mutant);
    arena.without_audit();
    let name = arena.world().name.clone();
    let living = json!({"bool": {"must_not": {"term": {"_deleted": true}}}});
    let wrong = json!({"aliases": {name: {"is_write_index": true, "filter": living}},
        "mappings": {"properties": {"transaction_type": {"type": "integer"}, "_deleted": {"type": "boolean"}}}});
    let (status, answer) = arena.ask("PUT", &arena.index(), Some(&wrong));
    happened(&format!("the index is there: {answer}"), status == 200)?;
    arena.send(&stream(1, 3_000));
    arena.start();
    arena.members[0].await_reason("over half of the last");
    arena.note("wrong mappings");
    let letters = arena.world().letters().len() as u64;
    happened("the breaker kept most of it", letters < arena.account.records / 2)?;
    arena.members.stop(0);
    arena.ask("DELETE", &arena.index(), None);
    arena.world().reset();
    arena.start();
    crate::judge::drained(&arena)?;
    arena.members.stop_all();
    // What was buried before the breaker opened was written now; its letters change nothing.
    let replayed = arena.world().output(&["dlq", "replay", "--class", "document_parsing_exception"]);
    happened("the letters were replayed", replayed.status.code().is_some_and(|code| code < 2))?;
    arena.expect_letters = false;
    judge(&mut arena)
}

pub fn choke(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("choke", mutant, 500, 0);
    arena.liar.set(Mode::Choke("choke-me"));
    let older = |id: &str| event(id, "updated", time(), "choke-me", |_| {});
    for id in ["older", "equal"] {
        let mut message = older(id);
        let Sent::Event { id, version, .. } = message.sent else { unreachable!() };
        message.sent = Sent::Unindexable { id, version };
        arena.send(&[message]);
    }
    arena.note("choking documents");
    arena.send(&stream(2, 500));
    crate::judge::drained(&arena)?;
    arena.liar.set(Mode::Honest);
    let later = time() + TimeDelta::seconds(1);
    arena
        .send(&[event("older", "updated", later, "newer", |_| {}), event("equal", "updated", time(), "later", |_| {})]);
    crate::judge::drained(&arena)?;
    let replayed = arena.world().output(&["dlq", "replay", "--class", "attempts_exhausted"]);
    let replayed = testkit::program::printed(&replayed);
    arena.note("replays");
    happened(&format!("both were superseded: {replayed}"), replayed["superseded"] == 2)?;
    for (id, status) in [("older", "newer"), ("equal", "later")] {
        let held = &arena.ask("GET", &format!("{}/_doc/{id}", arena.index()), None).1["_source"]["status"];
        if held != status {
            return violated("a replay brings nothing older back", format!("{id} is {held}"));
        }
    }
    judge(&mut arena)
}

/// However long the store is too busy for every write, and takes every no-op, none is given up.
pub fn busy_writes(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("busy-writes", mutant);
    // Each write alone in its request, so that each could be blamed.
    arena.set("CONSUMER_BATCH_SIZE", "1");
    arena.set("RETRY_DELAY_MS", "200");
    arena.start();
    arena.members[0].await_ready();
    arena.liar.set(Mode::BusyWrites("search_content"));
    arena.note("busy stores");
    arena.send(&stream(1, 300));
    sleep(Duration::from_secs(30));
    happened("the store was busy", arena.liar.told().contains_key("items"))?;
    arena.liar.set(Mode::Honest);
    judge(&mut arena)
}

pub fn purged(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("purged", mutant);
    arena.without_audit();
    arena.set("MAX_RETRY_ATTEMPTS", "0");
    arena.start();
    arena.members[0].await_ready();
    // Elasticsearch itself remembers no delete, as after a minute.
    arena.forget_deletes();
    arena.send(&stream(1, 300));
    arena.liar.set(Mode::Choke("choke-me"));
    let mut late = event("gone", "updated", time(), "choke-me", |_| {});
    let Sent::Event { id, version, .. } = late.sent else { unreachable!() };
    late.sent = Sent::Unindexable { id, version };
    arena.send(&[late]);
    crate::judge::drained(&arena)?;
    arena.liar.set(Mode::Honest);
    arena.send(&[event("gone", "deleted", time() + TimeDelta::seconds(1), "", |_| {})]);
    crate::judge::drained(&arena)?;
    // No tombstone may go that a record in the topic could still need.
    arena.keep_for("3600000");
    let purged = arena.output(&["purge", "transactions", "--older-than", "2h", "--json"]);
    let removed = testkit::program::printed(&purged)["removed"].as_u64().unwrap();
    happened("tombstones were purged", removed > 0)?;
    arena.note("purges");
    arena.ask("POST", &format!("{}/_refresh", arena.index()), None);
    let replayed = testkit::program::printed(&arena.output(&["dlq", "replay", "--class", "attempts_exhausted"]));
    arena.note("replays");
    happened(&format!("the letter was replayed: {replayed}"), replayed["superseded"] == 1 || replayed["applied"] == 1)?;
    judge(&mut arena)
}
