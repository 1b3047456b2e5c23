//! The main job: records in, documents out; again after a reset; copies recognised; the end of the log.

use std::collections::BTreeMap;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use testkit::null_server::NullServer;
use testkit::services::elasticsearch;
use testkit::world::{World, options_of, scaled};

use crate::PROGRAM;

#[test]
fn the_first_record_becomes_a_document_behind_the_alias() {
    let world = World::new(PROGRAM, "first");
    let report = world.publish(&["--count", "1", "--update-ratio", "0", "--seed", "7"]);
    let expected = options_of(&report, |options| options.update_ratio = 0.0);
    let summary = world.run_once();
    assert_eq!((&summary["records"], &summary["applied"]), (&json!(1), &json!(1)));
    let documents = world.documents();
    let (id, (_, source)) = documents.first_key_value().unwrap();
    let event = expected.events().unwrap().next().unwrap();
    let sent: Value = serde_json::from_str(event.payload.as_deref().unwrap()).unwrap();
    for (field, value) in sent["transaction"].as_object().unwrap().iter().filter(|(field, _)| *field != "metadata") {
        assert_eq!(&source[field], value, "{field} as it was sent");
    }
    assert_eq!(source["id"], **id);
    assert_eq!(source["_enriched"], true);
    assert!(source["search_content"].as_str().is_some_and(|text| !text.is_empty()));
    let (_, alias) = elasticsearch("GET", &format!("/_alias/{}", world.name), None);
    let alias = &alias[format!("{}-000001", world.name)]["aliases"][&world.name];
    assert_eq!((&alias["is_write_index"], alias["filter"].is_object()), (&json!(true), true));
    // Starting again installs nothing anew and changes nothing.
    assert_eq!(world.run_once()["records"], 0);
    assert_eq!(world.documents(), documents);
}

#[test]
fn the_stores_hold_what_the_publisher_expects_and_searches_answer() {
    let world = World::new(PROGRAM, "flow");
    let count = scaled(10_000).to_string();
    let args = ["--count", &count, "--update-ratio", "0.2", "--delete-ratio", "0.05", "--users", "500"];
    let report = world.publish(&args);
    let summary = world.run_once();
    assert_eq!(summary["records"], report["records"]);
    let ended = ["applied", "superseded", "duplicate", "dead_lettered", "ignored"];
    let total: u64 = ended.iter().map(|outcome| summary[outcome].as_u64().unwrap()).sum();
    assert_eq!(json!(total), report["records"], "the outcomes add up");
    let expected = options_of(&report, |options| {
        (options.update_ratio, options.delete_ratio, options.users) = (0.2, 0.05, Some(500));
    });
    world.assert_complete(&expected.expect_documents().unwrap());
    assert_eq!(world.documents().len() as u64, report["documents"].as_u64().unwrap());
    let hits = |query: Value| {
        let (status, found) =
            elasticsearch("POST", &format!("/{}/_search", world.name), Some(&json!({"query": query})));
        assert_eq!(status, 200);
        found["hits"]["total"]["value"].as_u64().unwrap()
    };
    assert!(hits(json!({"term": {"user_id": "user_000001"}})) > 0);
    assert!(hits(json!({"match": {"search_content": "starbucks"}})) > 0);
    assert_eq!(hits(json!({"term": {"_deleted": true}})), 0, "the alias shows the living alone");
    let tombstones = json!({"query": {"term": {"_deleted": true}}});
    let (_, found) = elasticsearch("POST", &format!("/{}-000001/_count", world.name), Some(&tombstones));
    assert_eq!(found["count"], report["deletes"]);
}

#[test]
fn a_reset_group_writes_everything_again_and_changes_nothing() {
    let world = World::new(PROGRAM, "reset");
    let count = scaled(5_000).to_string();
    let report =
        world.publish(&["--count", &count, "--update-ratio", "0.2", "--delete-ratio", "0.05", "--users", "50"]);
    world.run_once();
    let before = world.documents();
    world.reset();
    let again = world.run_once();
    assert_eq!(again["duplicate"], 0, "the marks are full, and nothing that was offered before is skipped");
    assert_eq!(json!(again["applied"].as_u64().unwrap() + again["superseded"].as_u64().unwrap()), report["records"]);
    assert_eq!(world.documents(), before);
    assert_eq!(elasticsearch("DELETE", &format!("/{}-000001", world.name), None).0, 200);
    world.reset();
    world.run_once();
    assert_eq!(world.documents(), before, "every document is back");
}

fn duplicates(redis: bool) {
    let mut world = World::new(PROGRAM, "copies");
    if !redis {
        world.set("REDIS_URL", "none");
    }
    let count = scaled(10_000).to_string();
    let args = ["--count", &count, "--update-ratio", "0.1", "--users", "100", "--duplicate-ratio", "0.05"];
    let report = world.publish(&args);
    assert!(report["duplicates"].as_u64().unwrap() > 0);
    let summary = world.run_once();
    assert_eq!(summary["duplicate"], report["duplicates"]);
    if redis {
        // A producer that sends all of it again after a restart: memory is empty, Redis knows.
        let (seed, until) = (report["seed"].to_string(), report["until"].as_str().unwrap().to_owned());
        let again = world.publish(&[&args[..], &["--seed", &seed, "--until", &until]].concat());
        assert_eq!(again["records"], report["records"]);
        let summary = world.run_once();
        assert_eq!((&summary["duplicate"], &summary["records"]), (&report["records"], &report["records"]));
    }
    assert_eq!(world.documents().len() as u64, report["documents"].as_u64().unwrap());
}

#[test]
fn copies_are_duplicates_with_redis() {
    duplicates(true);
}

#[test]
fn copies_are_duplicates_without_redis() {
    duplicates(false);
}

#[test]
fn a_run_to_the_end_gets_past_an_aborted_transaction() {
    let world = World::new(PROGRAM, "aborted");
    world.create_topic(&[]);
    let mut client = world.client();
    let producer: BaseProducer = client.set("transactional.id", &world.name).create().unwrap();
    let wait = std::time::Duration::from_secs(20);
    producer.init_transactions(wait).unwrap();
    let send = |id: &str, commit: bool| {
        producer.begin_transaction().unwrap();
        let event = json!({"event_type": "transaction.created", "timestamp": "2026-01-01T00:00:00Z",
            "transaction": {"id": id, "user_id": "u", "transaction_type": "card"}});
        let payload = event.to_string();
        producer.send(BaseRecord::to(&world.name).partition(2).key("u").payload(&payload)).unwrap();
        producer.flush(wait).unwrap();
        let ended = if commit { producer.commit_transaction(wait) } else { producer.abort_transaction(wait) };
        ended.unwrap();
    };
    send("kept", true);
    send("aborted", false);
    let summary = world.run_once();
    assert_eq!(summary["records"], 1);
    let documents: BTreeMap<_, _> = world.documents();
    assert_eq!(documents.keys().collect::<Vec<_>>(), ["kept"]);
}

#[test]
fn a_topic_made_anew_is_read_from_its_start() {
    let world = World::new(PROGRAM, "anew");
    world.publish(&["--count", "300", "--update-ratio", "0", "--seed", "1"]);
    assert_eq!(world.run_once()["records"], 300);
    world.delete_topic();
    world.publish(&["--count", "20", "--update-ratio", "0", "--seed", "2"]);
    assert_eq!(world.run_once()["records"], 20, "the committed offsets belong to a log that is gone");
    assert_eq!(world.documents().len(), 320);
    assert_eq!(world.run_once()["records"], 0);
}

#[test]
fn a_store_that_keeps_nothing_takes_everything() {
    for gzip in ["false", "true"] {
        let store = NullServer::start();
        let mut world = World::new(PROGRAM, "null");
        world.set("ELASTICSEARCH_URL", &store.url);
        world.set("ELASTICSEARCH_GZIP", gzip);
        let report = world.publish(&["--count", "500", "--update-ratio", "0.2"]);
        let counts = world.run_once();
        assert_eq!(counts["applied"], report["sent"].as_u64().unwrap_or(600), "{counts} {report}");
        assert!(world.letters().is_empty());
    }
}
