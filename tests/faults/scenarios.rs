//! The scenarios: each one kind of trouble, ended by the same judge.

use std::thread::sleep;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use pipeline::mutants::Mutant;
use rdkafka::admin::{AdminOptions, NewPartitions};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use crate::account::{Sent, event, stream, unauditable, undecodable};
use crate::arena::{Arena, SESSION};
use crate::judge::{Judged, Report, committed_is_durable, happened, judge, log, violated};
use crate::liar::Mode;
use crate::services::{eventually, services, variable};
use crate::world::block_on;

/// How long a stop may take, whatever is broken.
const STOP: Duration = Duration::from_secs(20);

/// A scenario; a bug may be switched on in its members.
pub struct Scenario {
    pub name: &'static str,
    pub what: &'static str,
    pub run: fn(Option<Mutant>) -> Judged<Report>,
}

macro_rules! scenarios {
    ($($name:literal $run:ident $what:literal,)*) => {
        pub const ALL: &[Scenario] = &[$(Scenario { name: $name, what: $what, run: $run },)*];
    };
}

scenarios! {
    "stream" plain "a stream with everything in it, and deletes that are forgotten at once",
    "kills" kills "kill -9 in the middle of the work, and while a write is not answered",
    "freeze" freeze "SIGSTOP beyond the session with an equal version pending, and waking up",
    "members" members "members that join and leave under load",
    "partition-returns" partition_returns "a partition that goes and comes back while its batches hang",
    "broker" broker "the broker killed, paused beyond the session, behind a slow and a cut link",
    "stop-unheard" stop_unheard "SIGTERM while the broker stands still",
    "long-outage" long_outage "an outage longer than max.poll.interval.ms with a rebalance in it",
    "partitions-added" partitions_added "partitions added while it runs",
    "retention" retention "the log cut by retention while nobody reads",
    "topic-anew" topic_anew "the topic and the index made anew",
    "aborted" aborted "aborted transactions at the end of the log with --once",
    "stores" stores "Elasticsearch, Redis and PostgreSQL killed and paused in turn",
    "lies" lies "503, a page with 200, half an answer, an answer that never comes",
    "index-away" index_away "the index closed, the alias missing, a disk-flood block for 60 s",
    "busy" busy "a small node that answers 429 for items and for requests",
    "too-large" too_large "a small node that answers 413",
    "mapping" mapping "a mapping that rejects everything, mended",
    "choke" choke "documents that always time out, their letters replayed at an older and an equal version",
    "letters" letters "letters that the dead-letter topic does not take for a while",
    "times" times "timestamps of 2099 and 1969",
    "middle" middle "a document lost from the index, and the group set back to the middle of the log",
    "reset" reset "the index gone, and the group set back to the start",
    "audit-refuses" audit_refuses "what the audit alone refuses, twice, after the primary has seen it",
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

fn kills(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("kills", mutant, 2_000, 40);
    for kill in 1..=4 {
        arena.await_processed(300 * kill);
        arena.kill(0);
        arena.note("kills");
        committed_is_durable(&arena)?;
        arena.start();
    }
    // The broker waits for the dead member's session before it gives its partitions away.
    arena.await_more(50);
    // Nothing is answered any more; what hangs must not be committed, however long it hangs.
    arena.liar.delay(Duration::from_secs(600));
    sleep(Duration::from_secs(4));
    happened("a write hung", arena.world().lag() > 0)?;
    arena.kill(0);
    arena.note("kills");
    committed_is_durable(&arena)?;
    arena.liar.delay(Duration::ZERO);
    arena.start();
    let report = judge(&mut arena)?;
    happened("something was redelivered", report.redelivered > 0)?;
    Ok(report)
}

fn freeze(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("freeze", mutant);
    arena.without_audit();
    arena.start();
    arena.liar.set(Mode::Busy);
    // The first of two equal versions hangs in a member that falls asleep.
    arena.send(&[event("equal", "updated", time(), "pending", |_| {})]);
    arena.members[0].await_reason("asks to wait");
    arena.members[0].signal("STOP");
    arena.note("freezes");
    arena.send(&stream(1, 500));
    arena.liar.set(Mode::Honest);
    arena.send(&[event("equal", "updated", time(), "completed", |_| {})]);
    arena.join();
    eventually("the other member to take over", || (arena.world().lag() == 0).then_some(()));
    arena.members[0].signal("CONT");
    arena.members[0].await_events("Partitions revoked", 1);
    let report = judge(&mut arena)?;
    let status = &arena.ask("GET", &format!("{}/_doc/equal", arena.index()), None).1["_source"]["status"];
    match status == "completed" {
        true => Ok(report),
        false => violated("the later of equals wins", format!("it is {status}")),
    }
}

fn members(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("members", mutant, 4_000, 20);
    for visit in 0..6 {
        arena.start();
        if visit % 3 == 2 {
            arena.kill(1);
        } else {
            arena.stop(1);
        }
        arena.note("visits");
    }
    // Of the one that stays, before it ends.
    happened("the group was rebalanced", arena.members[0].events("Partitions revoked").len() >= 3)?;
    judge(&mut arena)
}

fn partition_returns(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("returns", mutant);
    arena.without_audit();
    arena.start();
    arena.members[0].await_ready();
    arena.liar.set(Mode::Busy);
    arena.send(&stream(1, 500));
    arena.members[0].await_reason("asks to wait");
    // A visitor takes some partitions away and gives them back, while the batches on them hang.
    arena.start();
    arena.stop(1);
    arena.members[0].await_events("Partitions assigned", 3);
    arena.note("visits");
    // Long enough for every hanging batch to notice, and for two commits.
    sleep(Duration::from_secs(6));
    arena.kill(0);
    arena.note("kills");
    committed_is_durable(&arena)?;
    arena.liar.set(Mode::Honest);
    arena.start();
    judge(&mut arena)
}

fn broker(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("broker", mutant, 3_000, 40);
    services("kill", "kafka");
    arena.note("broker kills");
    sleep(Duration::from_secs(2));
    services("start", "kafka");
    arena.links.kafka.slow(300);
    arena.note("slow links");
    sleep(Duration::from_secs(4));
    arena.links.heal();
    services("pause", "kafka");
    arena.note("broker freezes");
    sleep(SESSION + Duration::from_secs(3));
    services("resume", "kafka");
    arena.send(&stream(2, 1_000));
    arena.links.kafka.cut();
    arena.note("cut links");
    sleep(SESSION + Duration::from_secs(2));
    arena.links.heal();
    judge(&mut arena)
}

fn stop_unheard(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("stop-unheard", mutant, 2_000, 40);
    services("pause", "kafka");
    arena.note("broker freezes");
    let begun = Instant::now();
    arena.stop(0);
    arena.note("stops");
    let took = begun.elapsed();
    services("resume", "kafka");
    if took > STOP {
        return violated("a stop ends in time", format!("it took {} s", took.as_secs()));
    }
    committed_is_durable(&arena)?;
    arena.start();
    judge(&mut arena)
}

fn long_outage(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("long-outage", mutant);
    let properties = "[kafka.properties]\n\"max.poll.interval.ms\" = 6000\n";
    std::fs::write(arena.world().dir.join("millrace.toml"), properties).unwrap();
    arena.liar.delay(Duration::from_millis(30));
    arena.send(&stream(1, 2_000));
    arena.start();
    arena.await_processed(50);
    arena.liar.set(Mode::Busy);
    arena.note("outages");
    sleep(Duration::from_secs(5));
    arena.start();
    sleep(Duration::from_secs(8));
    arena.liar.set(Mode::Honest);
    happened("the group was rebalanced", !arena.members[0].events("Partitions revoked").is_empty())?;
    judge(&mut arena)
}

fn partitions_added(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("partitions", mutant, 1_500, 20);
    let name = arena.world().name.clone();
    let more = NewPartitions::new(&name, 9);
    let done = block_on(arena.world().admin().create_partitions([&more], &AdminOptions::new())).unwrap();
    happened("partitions were added", done.iter().all(Result::is_ok))?;
    arena.note("additions");
    arena.send(&stream(2, 1_500));
    let report = judge(&mut arena)?;
    happened("the new ones were used", log(&arena).keys().any(|(partition, _)| *partition >= 6))?;
    Ok(report)
}

fn retention(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("retention", mutant, 2_000, 40);
    arena.kill(0);
    let mut cut = TopicPartitionList::new();
    for (partition, next) in arena.world().committed(&arena.world().group(&arena.world().name)) {
        let to = Offset::Offset(next.unwrap_or(0) + 20);
        cut.add_partition_offset(&arena.world().name, partition, to).unwrap();
    }
    block_on(arena.world().admin().delete_records(&cut, &AdminOptions::new())).unwrap();
    arena.note("cuts");
    happened("the log was cut", (log(&arena).len() as u64) < arena.account.records)?;
    arena.log_was_cut = true;
    arena.start();
    judge(&mut arena)
}

fn topic_anew(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("anew", mutant);
    arena.without_audit();
    arena.send(&stream(1, 1_000));
    arena.once("transactions");
    arena.world().delete_topic();
    arena.ask("DELETE", &arena.index(), None);
    arena.note("topics made anew");
    arena.forget();
    arena.world().create_topic(&[]);
    arena.send(&stream(2, 200));
    let letters = arena.world().letters().len();
    arena.once("transactions");
    happened("letters of the new topic", arena.world().letters().len() > letters)?;
    // The old topic's letters name places that hold other records now.
    arena.forget_letters();
    arena.world().reset();
    arena.once("transactions");
    judge(&mut arena)
}

fn aborted(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("aborted", mutant);
    arena.send(&stream(1, 500));
    let name = arena.world().name.clone();
    let mut client = arena.world().client();
    let producer: BaseProducer = client.set("transactional.id", &name).create().unwrap();
    let wait = Duration::from_secs(20);
    producer.init_transactions(wait).unwrap();
    producer.begin_transaction().unwrap();
    for partition in 0..crate::arena::PARTITIONS {
        let record = BaseRecord::to(&name).partition(partition).key("aborted").payload("never to be seen");
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(wait).unwrap();
    producer.abort_transaction(wait).unwrap();
    arena.note("aborted transactions");
    arena.once("transactions");
    judge(&mut arena)
}

fn stores(mutant: Option<Mutant>) -> Judged<Report> {
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

fn lies(mutant: Option<Mutant>) -> Judged<Report> {
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

fn index_away(mutant: Option<Mutant>) -> Judged<Report> {
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

/// A trial in front of the small node, where documents are large.
fn small(name: &str, mutant: Option<Mutant>) -> Arena {
    let mut arena = Arena::before(name, mutant, &variable("ELASTICSEARCH_SMALL_URL"));
    arena.without_audit();
    arena.set("MAX_RETRY_ATTEMPTS", "0");
    arena
}

fn large(id: usize, bytes: usize) -> crate::account::Message {
    event(&format!("large-{id}"), "created", time(), "completed", |transaction| {
        transaction["note"] = json!("x".repeat(bytes));
    })
}

fn busy(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = small("busy", mutant);
    // Each write alone in its request, so that each could be blamed.
    arena.set("CONSUMER_BATCH_SIZE", "1");
    arena.set("CONSUMER_MAX_IN_FLIGHT", "8");
    arena.start();
    arena.members[0].await_ready();
    let messages: Vec<_> = (0..3_000).map(|id| large(id, 5_000)).collect();
    arena.send(&messages);
    // Others ask for more than the node has, until the program was told to wait again and again.
    let noise = Noise::start(&arena);
    let kind = if mutant.is_some() { "broken" } else { "unavailable" };
    let failures = format!(r#"millrace_write_failures_total{{sink="elasticsearch",kind="{kind}"}}"#);
    eventually("429", || (arena.members[0].metric(&failures) >= Some(40.0)).then_some(()));
    sleep(Duration::from_secs(10));
    arena.note("noisy neighbours");
    happened("the node answered 429", noise.stop() > 0)?;
    judge(&mut arena)
}

fn too_large(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = small("too-large", mutant);
    arena.set("CONSUMER_BATCH_SIZE", "60");
    let messages: Vec<_> = (0..120).map(|id| large(id, 100_000)).collect();
    arena.send(&messages);
    arena.start();
    crate::judge::drained(&arena)?;
    let said = arena.members[0].metric(r#"millrace_write_failures_total{sink="elasticsearch",kind="refused"}"#);
    happened("the node answered 413", said.is_some_and(|count| count > 0.0))?;
    arena.note("requests too large");
    judge(&mut arena)
}

/// Writers that fill the small node's queue.
struct Noise {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    threads: Vec<std::thread::JoinHandle<u64>>,
}

impl Noise {
    fn start(arena: &Arena) -> Self {
        let stop = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
        let url = variable("ELASTICSEARCH_SMALL_URL");
        let path = format!("/noise-{}/_bulk", arena.world().name);
        let body = format!("{{\"index\":{{}}}}\n{{\"text\":\"{}\"}}\n", "x".repeat(2_000)).repeat(150);
        let threads = (0..8).map(|_| {
            let (stop, url, body) = (stop.clone(), format!("{}{path}", url.trim_end_matches('/')), body.clone());
            std::thread::spawn(move || {
                let client = reqwest::blocking::Client::new();
                let mut refused = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let request = client.post(&url).header("content-type", "application/x-ndjson").body(body.clone());
                    let text = request.send().and_then(reqwest::blocking::Response::text).unwrap_or_default();
                    refused += u64::from(text.contains("rejected_execution"));
                }
                refused
            })
        });
        Self { threads: threads.collect(), stop }
    }

    /// Ends them, and says how many of their requests were refused.
    fn stop(self) -> u64 {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    }
}

fn mapping(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("mapping", mutant);
    arena.without_audit();
    let name = arena.world().name.clone();
    let wrong = json!({"index_patterns": [format!("{name}-*")], "priority": 900,
        "template": {"mappings": {"properties": {"transaction_type": {"type": "integer"}, "_deleted": {"type": "boolean"}}}}});
    let (status, answer) = arena.ask("PUT", &format!("/_index_template/wrong-{name}"), Some(&wrong));
    happened(&format!("the template is there: {answer}"), status == 200)?;
    arena.send(&stream(1, 3_000));
    arena.start();
    arena.members[0].await_reason("over half of the last");
    arena.note("wrong mappings");
    let letters = arena.world().letters().len() as u64;
    happened("the breaker kept most of it", letters < arena.account.records / 2)?;
    arena.stop(0);
    arena.ask("DELETE", &format!("/_index_template/wrong-{name}"), None);
    arena.ask("DELETE", &arena.index(), None);
    arena.world().reset();
    arena.start();
    crate::judge::drained(&arena)?;
    arena.stop_all();
    // What was buried before the breaker opened was written now; its letters change nothing.
    let replayed = arena.world().output(&["dlq", "replay", "--class", "document_parsing_exception"]);
    happened("the letters were replayed", replayed.status.code().is_some_and(|code| code < 2))?;
    arena.expect_letters = false;
    judge(&mut arena)
}

fn choke(mutant: Option<Mutant>) -> Judged<Report> {
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
    let replayed = crate::program::printed(&replayed);
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

fn letters(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("letters", mutant);
    arena.create_letters(&[("max.message.bytes", "200")]);
    arena.send(&stream(1, 1_000));
    arena.start();
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

fn middle(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("middle", mutant);
    arena.without_audit();
    let one = event("copied", "created", time(), "completed", |_| {});
    let payload = one.payload.clone();
    arena.start();
    arena.send(std::slice::from_ref(&one));
    crate::judge::drained(&arena)?;
    // Redis hears nothing of the copy, so all it has is the mark of the first.
    arena.links.redis.cut();
    arena.note("cut links");
    arena.send(&[one]);
    eventually("the copy", || (arena.sums().get("transactions")?.duplicates == 1).then_some(()));
    arena.links.heal();
    // Longer than Redis is left alone after it was away.
    sleep(Duration::from_secs(4));
    arena.send(&[event("copied", "updated", time() - TimeDelta::seconds(1), "late", |_| {})]);
    crate::judge::drained(&arena)?;
    arena.stop_all();
    arena.forget_deletes();
    let (status, _) = arena.ask("DELETE", &format!("{}/_doc/copied", arena.index()), None);
    happened("the document was lost", status == 200)?;
    arena.note("lost documents");
    let copies = log(&arena)
        .into_iter()
        .filter(|(_, record)| record.payload.as_deref() == payload.as_deref().map(str::as_bytes));
    let copy = copies.map(|(at, _)| at).max_by_key(|(_, offset)| *offset).unwrap();
    let (name, next) = (arena.world().name.clone(), copy);
    let committed = arena.world().committed(&arena.world().group(&name));
    arena.reset_to(&name, |partition| if partition == next.0 { next.1 } else { committed[&partition].unwrap_or(0) });
    arena.note("resets");
    arena.once("transactions");
    judge(&mut arena)
}

fn reset(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("reset", mutant);
    arena.send(&stream(1, 1_000));
    arena.once("transactions");
    arena.ask("DELETE", &arena.index(), None);
    arena.note("lost indices");
    arena.world().reset();
    arena.note("resets");
    arena.once("transactions");
    judge(&mut arena)
}

fn audit_refuses(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("refuses", mutant);
    let refused = unauditable("nul", time());
    arena.send(std::slice::from_ref(&refused));
    arena.send(&stream(1, 100));
    arena.set("CONSUMER_ENABLE_AUDIT_DB", "false");
    arena.once("transactions");
    arena.send(&[refused]);
    arena.set("CONSUMER_ENABLE_AUDIT_DB", "true");
    arena.once("transactions-audit");
    arena.note("copies");
    arena.once("transactions");
    judge(&mut arena)
}
