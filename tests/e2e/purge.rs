//! Purge: old tombstones go, younger ones and the living stay, and nothing that was deleted comes back.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use millrace::config::{Config, Database};
use millrace::stores::elasticsearch::{ElasticsearchClient, ElasticsearchReader};
use millrace::stores::postgres::{Postgres, PostgresReader};
use millrace::stores::reader::{ObservedVersion, StoreReader};
use serde_json::{Value, json};
use testkit::program::printed;
use testkit::services::elasticsearch;
use testkit::world::{World, block_on};

use crate::PROGRAM;
use crate::audit::Audited;
use crate::commands::send;

const RETENTION: (&str, &str) = ("retention.ms", "3600000");

/// Topics that keep records for an hour.
fn with_topics(world: World) -> World {
    world.create_topic(&[RETENTION]);
    world.create_letters(&[RETENTION]);
    world
}

fn purge(world: &World, system: &str, args: &[&str]) -> Value {
    let output = world.output(&[&["purge", system, "--json"], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    printed(&output)
}

fn refused(world: &World, args: &[&str], says: &[&str]) {
    let output = world.output(&[&["purge", "transactions"], args].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{errors}");
    says.iter().for_each(|part| assert!(errors.contains(part), "{errors:?} says {part:?}"));
}

fn verify(world: &World, system: &str, args: &[&str]) -> (Option<i32>, Value) {
    let output = world.output(&[&["verify", system, "--json"], args].concat());
    (output.status.code(), printed(&output))
}

/// The tombstones of the index with their versions.
fn tombstones(world: &World) -> BTreeMap<String, i64> {
    let index = format!("/{}-000001", world.name);
    elasticsearch("POST", &format!("{index}/_refresh"), None);
    let query = json!({"size": 10_000, "version": true, "query": {"term": {"_deleted": true}}});
    let (_, found) = elasticsearch("POST", &format!("{index}/_search"), Some(&query));
    let hits = found["hits"]["hits"].as_array().unwrap();
    hits.iter().map(|hit| (hit["_id"].as_str().unwrap().to_owned(), hit["_version"].as_i64().unwrap())).collect()
}

fn version_of(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<DateTime<Utc>>().unwrap().timestamp_micros() * 4
}

/// An event so many hours ago.
fn event(kind: &str, id: &str, hours: i64, fields: &Value) -> Value {
    let time = Utc::now() - TimeDelta::hours(hours);
    let mut transaction = json!({"id": id, "user_id": "u", "transaction_type": "card"});
    transaction.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"event_type": format!("transaction.{kind}"), "timestamp": time.to_rfc3339(), "transaction": transaction})
}

#[test]
fn old_tombstones_go_and_everything_else_stays() {
    let world = with_topics(World::new(PROGRAM, "purge"));
    // A second an event: the first of them are two and a half hours old.
    world.publish(&["--count", "6000", "--update-ratio", "0.1", "--delete-ratio", "0.4", "--users", "50"]);
    world.run_once();
    let mapping = format!("/{}-000001/_mapping", world.name);
    assert_eq!(elasticsearch("PUT", &mapping, Some(&json!({"_meta": {"owner": "somebody"}}))).0, 200);
    let (documents, before) = (world.documents(), tombstones(&world));

    let looked = purge(&world, "transactions", &["--older-than", "80m", "--dry-run"]);
    let old = |report: &Value| before.values().filter(|version| **version < version_of(&report["cut_off"])).count();
    assert_eq!((&looked["old"], &looked["removed"]), (&json!(old(&looked)), &json!(0)));
    assert_eq!(looked["horizon"], Value::Null);
    assert_eq!(tombstones(&world), before);

    let purged = purge(&world, "transactions", &["--older-than", "80m"]);
    let cut_off = version_of(&purged["cut_off"]);
    let younger: BTreeMap<String, i64> =
        before.iter().filter(|(_, version)| **version >= cut_off).map(|(id, version)| (id.clone(), *version)).collect();
    assert!(younger.len() > 100 && before.len() - younger.len() > 1_000, "{purged}: the cut-off is among them");
    assert_eq!(purged["looked_at"], documents.len() + before.len());
    assert_eq!(purged["removed"], before.len() - younger.len());
    assert_eq!(purged["horizon"], purged["cut_off"]);
    assert_eq!(tombstones(&world), younger);
    assert_eq!(world.documents(), documents);
    let (_, kept) = elasticsearch("GET", &mapping, None);
    let kept = &kept[format!("{}-000001", world.name)]["mappings"];
    assert_eq!((&kept["_meta"]["owner"], &kept["dynamic"]), (&json!("somebody"), &json!("false")));
    assert_eq!(verify(&world, "transactions", &[]).0, Some(0));

    let again = purge(&world, "transactions", &["--older-than", "100m"]);
    assert_eq!((&again["removed"], &again["horizon"]), (&json!(0), &purged["horizon"]), "it is never lowered");
}

#[test]
fn a_letter_of_a_purged_document_does_not_bring_it_back() {
    let world = with_topics(World::new(PROGRAM, "purge-letter"));
    send(&world, &event("created", "living", 9, &json!({})));
    send(&world, &event("created", "gone", 9, &json!({})));
    world.run_once();
    let mapping = format!("/{}-000001/_mapping", world.name);
    let note = |ignore: bool| {
        let body = json!({"properties": {"note": {"type": "long", "ignore_malformed": ignore}}});
        assert_eq!(elasticsearch("PUT", &mapping, Some(&body)).0, 200);
    };
    note(false);
    for id in ["living", "gone", "never"] {
        send(&world, &event("updated", id, 8, &json!({"note": "no number"})));
    }
    send(&world, &event("updated", "young", 1, &json!({"note": "no number"})));
    send(&world, &event("deleted", "gone", 7, &json!({})));
    assert_eq!(world.run_once()["dead_lettered"], 4);
    assert_eq!(purge(&world, "transactions", &["--older-than", "2h"])["removed"], 1);
    assert!(tombstones(&world).is_empty());

    note(true);
    let output = world.output(&["dlq", "replay"]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success() && text.contains("2 letters were not written"), "{text}");
    let replayed = printed(&output);
    assert_eq!((&replayed["applied"], &replayed["superseded"]), (&json!(2), &json!(2)));
    let documents = world.documents();
    assert_eq!(documents.keys().collect::<Vec<_>>(), ["living", "young"]);
    assert_eq!(documents["living"].1["note"], "no number");
}

#[test]
fn a_log_that_lost_the_delete_does_not_bring_a_purged_document_back() {
    let world = with_topics(World::new(PROGRAM, "purge-log"));
    send(&world, &event("created", "gone", 9, &json!({})));
    send(&world, &event("deleted", "gone", 7, &json!({})));
    send(&world, &event("updated", "gone", 8, &json!({"status": "late"})));
    world.run_once();
    assert_eq!(purge(&world, "transactions", &["--older-than", "2h"])["removed"], 1);
    world.delete_records_before(2);
    let (code, sums) = verify(&world, "transactions", &["--repair"]);
    assert_eq!(code, Some(75), "{sums}");
    assert_eq!((&sums["findings"], &sums["repaired"]), (&json!({"unexplained": 1}), &json!(0)));
    assert!(world.documents().is_empty());
}

#[test]
fn a_cut_off_within_retention_is_refused() {
    let world = World::new(PROGRAM, "purge-refused");
    assert_eq!(world.output(&["purge", "transactions"]).status.code(), Some(75), "there is no topic");
    world.create_topic(&[("retention.ms", "7200000")]);
    refused(&world, &["--older-than", "1h"], &[&world.name, "for 2h", "--older-than 2h"]);
    refused(&world, &["--older-than", "soon"], &["--older-than", "90d"]);
    world.create_letters(&[("retention.ms", "-1")]);
    let letters = format!("{}.dlq", world.name);
    refused(&world, &["--older-than", "2h"], &[&letters, "without end", "retention.ms=-1"]);
}

#[test]
fn the_audit_is_purged_likewise() {
    let audited = Audited::new(with_topics(World::new(PROGRAM, "purge-audit")));
    let (world, audit) = (&audited.world, "transactions-audit");
    world.run_all_once();
    audited.run("ALTER TABLE transaction_state ADD CONSTRAINT not_bad CHECK (status <> 'bad')");
    for (kind, id, hours, status) in [
        ("created", "living", 9, "good"),
        ("created", "gone", 9, "good"),
        ("updated", "living", 8, "bad"),
        ("updated", "gone", 8, "bad"),
        ("deleted", "gone", 7, "good"),
        ("deleted", "young", 1, "good"),
    ] {
        send(world, &event(kind, id, hours, &json!({"status": status})));
    }
    assert_eq!(world.run_all_once()[audit]["dead_lettered"], 2);
    audited.run("ALTER TABLE transaction_state DROP CONSTRAINT not_bad");
    let looked = purge(world, audit, &["--older-than", "2h", "--dry-run"]);
    assert_eq!((&looked["tombstones"], &looked["old"], &looked["removed"]), (&json!(2), &json!(1), &json!(0)));
    assert_eq!(audited.ask("SELECT count(*) FROM transaction_state"), 3);
    let purged = purge(world, audit, &["--older-than", "2h"]);
    assert_eq!((&purged["removed"], &purged["horizon"]), (&json!(1), &purged["cut_off"]));
    assert_eq!(audited.ask("SELECT count(*) FROM transaction_state WHERE id = 'gone'"), 0);
    assert_eq!(audited.ask("SELECT count(*) FROM transaction_state"), 2);
    assert_eq!(verify(world, audit, &[]).0, Some(0));

    let replayed = printed(&world.output(&["dlq", "replay", "--system", audit]));
    assert_eq!((&replayed["applied"], &replayed["superseded"]), (&json!(1), &json!(1)));
    assert_eq!(audited.ask("SELECT count(*) FROM transaction_state WHERE id = 'gone'"), 0);
    assert_eq!(audited.ask("SELECT count(*) FROM transactions WHERE id = 'living' AND status = 'bad'"), 1);
}

/// Holds a store that has the living `alive` and the tombstone `dead` to what a reader promises.
async fn keeps_its_word(reader: &dyn StoreReader) {
    let ids = ["alive", "dead"].map(str::to_owned);
    let found = reader.find(&ids).await.unwrap();
    let (alive, dead) = (found[0].as_ref().unwrap().version, found[1].as_ref().unwrap().version);
    assert!(!alive.deleted && dead.deleted);
    let seen = |id: &str, version, deleted| ObservedVersion { id: id.to_owned(), version, deleted };
    let changed = [
        seen("alive", alive.version - 1, false),
        seen("alive", alive.version, true),
        seen("dead", dead.version - 1, true),
        seen("dead", dead.version, false),
        seen("never", 4, true),
    ];
    assert_eq!(reader.remove(&changed).await.unwrap(), 0, "{}", reader.name());
    assert_eq!(reader.remove(&[seen("never", 4, true), seen("dead", dead.version, true)]).await.unwrap(), 1);
    let left = reader.find(&ids).await.unwrap();
    assert!(left[0].is_some() && left[1].is_none(), "{}", reader.name());
    assert_eq!(reader.horizon().await.unwrap(), None);
    for version in [8, 4] {
        reader.note_horizon(version).await.unwrap();
        assert_eq!(reader.horizon().await.unwrap(), Some(8), "{}", reader.name());
    }
}

#[test]
fn only_what_is_still_as_it_was_seen_is_removed() {
    let audited = Audited::new(with_topics(World::new(PROGRAM, "purge-seen")));
    let world = &audited.world;
    send(world, &event("created", "alive", 9, &json!({})));
    send(world, &event("deleted", "dead", 9, &json!({})));
    world.run_all_once();
    let config = Config::from_variables(world.env.clone()).unwrap();
    block_on(async {
        let client = ElasticsearchClient::new(&config.elasticsearch).unwrap();
        keeps_its_word(&ElasticsearchReader::new(client, &world.name)).await;
        let Some(Database::Postgres { url, address }) = &config.database else { panic!("no PostgreSQL") };
        keeps_its_word(&PostgresReader(Postgres::new(url, address, 1).unwrap())).await;
    });
}
