//! The backfill on real services: beside live traffic of the same documents, from a topic, yielding to the live consumer.

use std::collections::HashMap;

use millrace::synthetic::GeneratorOptions;
use serde_json::{Value, json};
use testkit::database::Audited;
use testkit::program::{Running, printed};
use testkit::services::eventually;
use testkit::world::{World, options_of, scaled};

use crate::PROGRAM;
use crate::http::spoiled;

/// Publishes a stream of events alone, and gives it.
fn publish(world: &World, count: u64) -> GeneratorOptions {
    let count = scaled(count).to_string();
    let args =
        ["--count", &count, "--update-ratio", "0.5", "--delete-ratio", "0.2", "--late-ratio", "0.2", "--users", "50"];
    options_of(&world.publish(&args), |options| {
        (options.update_ratio, options.delete_ratio, options.late_ratio) = (0.5, 0.2, 0.2);
        options.users = Some(50);
    })
}

/// Writes the events of a stream into a file, the last first.
fn export(world: &World, options: &GeneratorOptions) {
    let mut lines: Vec<String> = options.events().unwrap().filter_map(|event| event.payload).collect();
    lines.reverse();
    std::fs::write(world.dir.join("export.zst"), zstd::encode_all(lines.join("\n").as_bytes(), 1).unwrap()).unwrap();
}

fn backfill(world: &World, args: &[&str]) -> Value {
    let output = world.output(&[&["backfill"], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    printed(&output)
}

fn sum(summary: &Value) -> u64 {
    ["applied", "superseded", "duplicate"].iter().map(|name| summary[name].as_u64().unwrap()).sum()
}

#[test]
fn beside_live_updates_and_deletes_of_the_same_documents_the_newest_wins_and_nothing_comes_back() {
    let world = World::new(PROGRAM, "backfill-live");
    let options = publish(&world, 5_000);
    export(&world, &options);
    let running = world.start();
    let summary = backfill(&world, &["transactions", "export.zst"]);
    assert_eq!(sum(&summary), options.counts().unwrap().records(), "{summary}");
    world.await_drained();
    assert!(running.terminate().success());
    world.assert_complete(&options.expect_documents().unwrap());
    // Once more, over what is there: nothing changes.
    let before = world.documents();
    let again = backfill(&world, &["transactions", "export.zst", "--restart"]);
    assert_eq!((&again["applied"], &again["rejected"]), (&json!(0), &json!(0)), "{again}");
    assert_eq!(world.documents(), before);
}

#[test]
fn an_audit_in_postgres_gets_its_state_and_its_whole_history() {
    let audited = Audited::new(World::new(PROGRAM, "backfill-audit"));
    let options = publish(&audited.world, 2_000);
    export(&audited.world, &options);
    backfill(&audited.world, &["transactions-audit", "export.zst"]);
    let counts = options.counts().unwrap();
    let events = counts.creates + counts.updates + counts.deletes + counts.late;
    audited.assert_complete(&options.expect_documents().unwrap(), events);
    // And from there, the documents.
    let summary = backfill(&audited.world, &["transactions", "audit:"]);
    assert_eq!(summary["lines"], events, "{summary}");
    audited.world.assert_complete(&options.expect_documents().unwrap());
}

#[test]
fn a_topic_is_read_outside_of_any_group_to_its_end_and_later_from_there() {
    let world = World::new(PROGRAM, "backfill-topic");
    let first = publish(&world, 1_000);
    let topic = format!("kafka:{}", world.name);
    let one = backfill(&world, &["transactions", &topic, "--partition", "0", "--state", "s.json"]);
    let all = backfill(&world, &["transactions", &topic, "--state", "s.json"]);
    assert!(one["lines"].as_u64().unwrap() > 0, "{one}");
    assert_eq!(sum(&one) + sum(&all), first.counts().unwrap().records(), "{one} {all}");
    world.assert_complete(&first.expect_documents().unwrap());
    let committed = world.committed(&world.group(&world.name));
    assert!(committed.values().all(Option::is_none), "nothing is committed: {committed:?}");
    let second = publish(&world, 500);
    let more = backfill(&world, &["transactions", &topic, "--state", "s.json"]);
    assert_eq!(sum(&more), second.counts().unwrap().records(), "{more}");
    let both: HashMap<_, _> =
        first.expect_documents().unwrap().into_iter().chain(second.expect_documents().unwrap()).collect();
    world.assert_complete(&both);
    for (source, code, says) in [("kafka:no-such-topic", 64, "there is no topic"), (&*topic, 64, "has no partition 77")]
    {
        let output = world.output(&["backfill", "transactions", source, "--partition", "77"]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(errors.contains(says), "{errors}");
    }
}

#[test]
fn it_waits_while_the_live_consumer_is_behind_or_was_never_there() {
    let world = World::new(PROGRAM, "backfill-lag");
    let options = publish(&world, 1_000);
    export(&world, &options);
    let args =
        ["backfill", "transactions", "export.zst", "--max-lag", "0", "--max-lag-seconds", "3600", "--http-port", "0"];
    let mut backfill = Running::start(world.command(&args));
    let waits = |part: &str| {
        eventually(part, || backfill.http("/backfill").1.contains(part).then_some(()));
    };
    waits("has committed nothing");
    assert!(world.documents().is_empty(), "unknown is not zero");
    let running = world.start();
    world.await_drained();
    assert!(backfill.wait().success());
    assert!(running.terminate().success());
    world.assert_complete(&options.expect_documents().unwrap());
    // Behind again, with its consumer gone.
    publish(&world, 10);
    let again = Running::start(world.command(&[args.as_slice(), &["--restart"]].concat()));
    eventually("its lag", || again.http("/backfill").1.contains("records behind, and --max-lag is 0").then_some(()));
    assert_eq!(again.terminate().code(), Some(75));
}

#[test]
fn a_store_that_refuses_most_of_it_ends_it_with_the_checkpoint_kept() {
    let world = World::new(PROGRAM, "backfill-breaker");
    spoiled(&world);
    let event = |n: usize, product: &str| {
        json!({"event_type": "transaction.created", "timestamp": "2026-01-01T00:00:01Z",
            "transaction": {"id": format!("t{n}"), "user_id": "u", "transaction_type": "card", "product": product}})
    };
    let lines: Vec<String> = (0..4_000).map(|n| event(n, "no number").to_string()).collect();
    std::fs::write(world.dir.join("a"), lines.join("\n")).unwrap();
    let output = world.output(&["backfill", "transactions", "a", "--state", "s.json"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().last().unwrap();
    assert_eq!(output.status.code(), Some(75), "{errors}");
    assert!(last.contains("the store takes no more") && last.contains("run it again"), "{last}");
    let summary = printed(&output);
    let (rejected, read) = (&summary["rejected"], &summary["sources"][0]["lines"]);
    assert!(rejected.as_u64().unwrap() < 2_000 && read.as_u64().unwrap() <= rejected.as_u64().unwrap(), "{summary}");
}

#[test]
fn of_a_topic_the_offsets_between_are_read() {
    let world = World::new(PROGRAM, "backfill-offsets");
    publish(&world, 1_000);
    let topic = format!("kafka:{}", world.name);
    let part = |from: &str, to: &str| {
        let args = ["transactions", &topic, "--partition", "0", "--from", from, "--to", to];
        backfill(&world, &args)["lines"].as_u64().unwrap()
    };
    assert_eq!(part("10", "35"), 25);
    assert_eq!(part("0", "10"), 10);
    let (all, rest) = (part("0", "1000000"), part("35", "1000000"));
    assert_eq!(all, 35 + rest, "to the end");
    for (source, says) in [(&*topic, "is a time"), ("-", "for sources such as kafka:TOPIC alone")] {
        let from = if source == "-" { "5" } else { "five" };
        let output = world.output(&["backfill", "transactions", source, "--from", from]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{errors}");
        assert!(errors.contains(says), "{errors}");
    }
}

#[test]
fn it_waits_while_it_is_not_known_how_fresh_the_live_consumer_is_or_while_it_is_not() {
    let world = World::new(PROGRAM, "backfill-fresh");
    let options = publish(&world, 1_000);
    export(&world, &options);
    let args = ["backfill", "transactions", "export.zst", "--max-freshness", "8s", "--http-port", "0"];
    let mut waiting = Running::start(world.command(&args));
    let waits = |backfill: &Running, part: &str| {
        eventually(part, || backfill.http("/backfill").1.contains(part).then_some(()));
    };
    waits(&waiting, "has committed nothing");
    let running = world.start();
    world.await_drained();
    assert!(waiting.wait().success());
    world.assert_complete(&options.expect_documents().unwrap());
    // Its consumer goes, and what comes then is acknowledged by nobody.
    let slow = Running::start(world.command(&[args.as_slice(), &["--restart", "--rate", "1"]].concat()));
    eventually("records that pass", || {
        let text = slow.http("/backfill").1;
        let standing: Value = serde_json::from_str(&text).unwrap();
        (standing["lines"].as_u64() > Some(0) && standing["waits_for"] == json!([])).then_some(())
    });
    assert!(running.terminate().success());
    publish(&world, 10);
    waits(&slow, "and --max-freshness is 8 s");
    assert_eq!(slow.terminate().code(), Some(75));
    // One that begins now cannot tell how long they have waited.
    let late = Running::start(world.command(&[args.as_slice(), &["--restart"]].concat()));
    waits(&late, "records wait that came before it was looked at");
    assert_eq!(late.terminate().code(), Some(75));
    let refused = world.output(&["backfill", "transactions", "export.zst", "--max-freshness", "1s"]);
    assert_eq!(refused.status.code(), Some(64));
}
