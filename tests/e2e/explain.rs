//! `explain`: the story of one document, line by line.

use serde_json::{Value, json};
use testkit::program::printed;
use testkit::services::elasticsearch;
use testkit::world::World;

use crate::PROGRAM;
use crate::audit::Audited;
use crate::commands::send;

/// Microseconds times four plus the rank.
fn version(second: i64, rank: i64) -> i64 {
    (1_767_225_600 + second) * 4_000_000 + rank
}

fn event(kind: &str, second: u32, status: &str) -> Value {
    json!({"event_type": format!("transaction.{kind}"), "timestamp": format!("2026-01-01T00:00:{second:02}Z"),
        "transaction": {"id": "told", "user_id": "secret", "transaction_type": "card", "status": status}})
}

/// A create, a copy of it, an update, a stale arrival, a broken event, a delete and a late update, among others.
fn live(world: &World) {
    world.create_topic(&[]);
    let mut broken = event("updated", 4, "broken");
    broken["timestamp"] = json!("never");
    let mut other = event("created", 59, "other");
    other["transaction"]["id"] = json!("other");
    let story = [
        event("created", 1, "pending"),
        event("created", 1, "pending"),
        event("updated", 3, "completed"),
        event("updated", 2, "stale"),
        other,
        broken,
        event("deleted", 9, "gone"),
        event("updated", 5, "late"),
    ];
    story.iter().for_each(|event| send(world, event));
}

/// Runs `explain`, and gives its exit code and its lines, the world's name left out.
fn explain(world: &World, args: &[&str]) -> (i32, Vec<String>) {
    let output = world.output(&[&["explain", "told"], args].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(args.contains(&"--document") || !text.contains("secret"), "{text}");
    let lines: Vec<String> = text.lines().map(|line| line.replace(&world.name, "log")).collect();
    assert!(!text.contains("hunter2") && !errors.contains("hunter2"));
    (output.status.code().unwrap(), lines)
}

/// What every telling of the story has in common.
fn told() -> Vec<String> {
    let (created, updated, stale) = (version(1, 0), version(3, 1), version(2, 1));
    let (deleted, late) = (version(9, 2), version(5, 1));
    vec![
        format!("log/0/0  created  {created}  replaced by version {updated} (log/0/2)"),
        format!("log/0/1  created  {created}  duplicate of log/0/0"),
        format!("log/0/2  updated  {updated}  replaced by version {deleted} (log/0/6)"),
        format!("log/0/3  updated  {stale}  superseded: version {updated} (log/0/2) was there already"),
        "log/0/5  -        -                 dead-lettered: bad_timestamp, `timestamp` is none of RFC 3339, basic ISO 8601, an array of numbers from the year on, an epoch number".to_owned(),
        format!("log/0/6  deleted  {deleted}  applied: it is what elasticsearch holds"),
        format!("log/0/7  updated  {late}  superseded: version {deleted} (log/0/6) was there already"),
        format!("elasticsearch (transactions): version {deleted}, tombstone"),
    ]
}

fn why() -> String {
    format!(
        "deleted by log/0/6 (version {}), and the update log/0/7 that came later is older (version {})",
        version(9, 2),
        version(5, 1)
    )
}

#[test]
fn the_story_is_told_from_the_topic_alone() {
    let mut world = World::new(PROGRAM, "explain");
    live(&world);
    world.run_all_once();
    let whole: Vec<String> = told().into_iter().chain([why()]).collect();
    assert_eq!(explain(&world, &[]), (0, whole.clone()));

    world.set("DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/x");
    let (code, lines) = explain(&world, &[]);
    assert_eq!((code, &lines[..whole.len()]), (0, &whole[..]));
    let last = &lines[whole.len()..];
    assert!(
        last.len() == 1 && last[0].starts_with("without transactions-audit: no connection to PostgreSQL"),
        "{last:?}"
    );
    world.env.remove("DATABASE_URL");

    let index = format!("/{}-000001", world.name);
    elasticsearch("DELETE", &format!("{index}/_doc/told"), None);
    let (code, lines) = explain(&world, &[]);
    let gone = format!("deleted by log/0/6 (version {}); no tombstone is left, and the update", version(9, 2));
    assert!(code == 0 && lines.last().unwrap().starts_with(&gone), "a purged tombstone is no finding");

    send(&world, &event("updated", 20, "back"));
    let (code, lines) = explain(&world, &[]);
    assert!(code == 75 && lines.concat().contains("not committed yet"), "{lines:#?}");
    world.run_all_once();
    assert_eq!(explain(&world, &[]).0, 0);
    elasticsearch("DELETE", &format!("{index}/_doc/told"), None);
    let (code, lines) = explain(&world, &[]);
    let expected = format!(
        "expected version {} from log/0/8, but elasticsearch holds nothing: run millrace verify transactions --repair",
        version(20, 1)
    );
    assert_eq!((code, lines.last().unwrap()), (1, &expected));
}

#[test]
fn the_audit_adds_what_it_holds_and_what_the_topic_no_longer_has() {
    let audited = Audited::new(World::new(PROGRAM, "explain-audit"));
    let world = &audited.world;
    live(world);
    world.run_all_once();
    let tombstone = format!("version {}, tombstone", version(9, 2));
    let audit = format!("postgres (transactions-audit): {tombstone}; 5 events in its history");
    let whole: Vec<String> = told().into_iter().chain([audit, why()]).collect();
    assert_eq!(explain(world, &[]), (0, whole));
    let (code, lines) = explain(world, &["--system", "transactions-audit"]);
    assert_eq!(
        (code, lines[4].as_str()),
        (0, "log/0/5  -        -                 ignored: no event for transactions-audit")
    );

    let found = printed(&world.output(&["explain", "told", "--json"]));
    let fates: Vec<&str> = found["events"].as_array().unwrap().iter().map(|e| e["fate"].as_str().unwrap()).collect();
    let expected = ["replaced", "duplicate", "replaced", "superseded", "dead_lettered", "applied", "superseded"];
    assert_eq!(fates, expected);
    let place = |offset: u32| json!(format!("{}/0/{offset}", world.name));
    assert_eq!((&found["events"][1]["by"], &found["events"][3]["by"]), (&place(0), &place(2)));
    assert_eq!(found["events"][4]["class"], "bad_timestamp");
    assert_eq!((&found["finding"], &found["stores"][1]["history"]), (&Value::Null, &json!(5)));
    assert!(found["stores"][0].get("document").is_none());
    let found = printed(&world.output(&["explain", "told", "--json", "--document"]));
    assert_eq!(found["stores"][0]["document"]["_deleted"], true);

    world.delete_records(0, 3);
    let (code, lines) = explain(world, &[]);
    let gone = "  (no longer in the topic; from the audit's history)";
    assert_eq!((code, &lines[0]), (0, &format!("{}{gone}", told()[0])));
    assert_eq!(lines[1], format!("{}{gone}", told()[2]), "the copy is gone with the topic: the history has no copies");
    assert_eq!(lines[2..6], told()[3..7]);
    world.delete_records(0, 6);
    let (code, lines) = explain(world, &[]);
    let letter = "  (no longer in the topic; from its dead letter)";
    assert_eq!((code, &lines[3]), (0, &format!("{}{letter}", told()[4])));
}

#[test]
fn what_is_kept_as_text_is_named() {
    let world = World::new(PROGRAM, "explain-kept");
    world.create_topic(&[]);
    let mut odd = event("created", 1, "pending");
    let transaction = &mut odd["transaction"];
    transaction["created_at"] = json!({"$date": "secret"});
    transaction["amount.usd"] = json!("secret");
    transaction["4111 1111."] = json!("secret");
    transaction["metadata"] = json!({"sound": 1, "nul": {"a\u{0}": "secret"}});
    send(&world, &odd);
    assert_eq!(world.run_once()["applied"], 1);
    let told = "metadata.nul, (an odd name), amount.usd, created_at";
    let state = format!("elasticsearch (transactions): version {}, living", version(1, 0));
    let (code, lines) = explain(&world, &[]);
    assert_eq!((code, &lines[1]), (0, &format!("{state}; not indexed, kept as JSON text in `_unindexed`: {told}")));
    let found = printed(&world.output(&["explain", "told", "--json"]));
    assert_eq!(found["stores"][0]["unindexed"], json!(told.split(", ").collect::<Vec<_>>()));
}

#[test]
fn one_file_tells_the_same() {
    let mut world = World::new(PROGRAM, "explain-sqlite");
    let store = format!("sqlite:{}", world.dir.join("store.db").display());
    world.set("DATABASE_URL", &store);
    world.set("TRANSACTIONS_STORE", &store);
    live(&world);
    world.run_all_once();
    let (code, lines) = explain(&world, &[]);
    let expected = told().into_iter().map(|line| line.replace("elasticsearch", "sqlite"));
    let audit = format!("sqlite (transactions-audit): version {}, tombstone; 5 events in its history", version(9, 2));
    assert_eq!((code, lines), (0, expected.chain([audit, why()]).collect()));
}
