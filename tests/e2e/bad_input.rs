//! Bad input: each record ends as it should, byte for byte where it is dead, and the rest of its batch is not held up.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;

/// What has to become of a payload.
enum End {
    Dead(&'static str),
    Indexed,
    Ignored,
}

use End::{Dead, Ignored, Indexed};
use testkit::services::{mapping_reject, refuse_strict, variable};
use testkit::world::{World, block_on};

use crate::PROGRAM;

fn event(id: &str, change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let mut event = json!({"event_type": "transaction.created", "timestamp": "2026-01-01T12:00:00Z",
        "transaction": {"id": id, "user_id": "u", "transaction_type": "card", "amount": 1.5, "metadata": {}}});
    change(&mut event);
    event.to_string().into_bytes()
}

/// Name (and document id), payload, end.
fn cases() -> Vec<(&'static str, Option<Vec<u8>>, End)> {
    let ahead = (chrono::Utc::now() + chrono::TimeDelta::days(2)).to_rfc3339();
    let without = |name: &'static str, field: &'static str| {
        event(name, |event| {
            event["transaction"].as_object_mut().unwrap().remove(field);
        })
    };
    let set = |name: &'static str, pointer: &str, value: serde_json::Value| {
        event(name, |event| *event.pointer_mut(pointer).unwrap() = value)
    };
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let nested = String::from_utf8(event("deep", |_| {})).unwrap().replace("1.5", &deep).into_bytes();
    let keys: serde_json::Map<_, _> = (0..10_000).map(|n| (format!("key_{n}"), json!(n))).collect();
    vec![
        ("not-utf8", Some(b"{\"event_type\":\"\xff\xfe\"}".to_vec()), Dead("not_utf8")),
        ("not-json", Some(b"{\"event_type\": oops".to_vec()), Dead("not_json")),
        ("no-object", Some(b"[1,2,3]".to_vec()), Dead("not_an_object")),
        ("no-id", Some(without("no-id", "id")), Dead("missing_id")),
        ("long-id", Some(set("long-id", "/transaction/id", json!("x".repeat(513)))), Dead("id_too_long")),
        (
            "unknown-type",
            Some(set("unknown-type", "/event_type", json!("transaction.imagined"))),
            Dead("unknown_event_type"),
        ),
        ("no-user", Some(without("no-user", "user_id")), Dead("missing_field")),
        ("no-type", Some(without("no-type", "transaction_type")), Dead("missing_field")),
        ("bad-amount", Some(set("bad-amount", "/transaction/amount", json!("ten"))), Dead("bad_amount")),
        ("no-time", Some(set("no-time", "/timestamp", json!(null))), Dead("bad_timestamp")),
        ("bad-time", Some(set("bad-time", "/timestamp", json!("yesterday"))), Dead("bad_timestamp")),
        (
            "before-1970",
            Some(set("before-1970", "/timestamp", json!("1969-12-31T23:59:59Z"))),
            Dead("timestamp_out_of_range"),
        ),
        ("ahead", Some(set("ahead", "/timestamp", json!(ahead))), Dead("timestamp_out_of_range")),
        ("deep", Some(nested), Dead("too_deep")),
        (
            "conflict",
            Some(event("conflict", |event| event["transaction"]["strict"] = json!("text"))),
            Dead(mapping_reject()),
        ),
        (
            "unindexed",
            Some(event("unindexed", |event| {
                event["transaction"]["status"] = json!({"a": 1});
                event["transaction"]["amount.usd"] = json!(1.25);
                event["transaction"][""] = json!(null);
                event["transaction"]["created_at"] = json!({"$date": "2026-01-01T12:00:00Z"});
            })),
            Indexed,
        ),
        ("large", Some(event("large", |event| event["transaction"]["note"] = json!("x".repeat(5_000_000)))), Indexed),
        ("keys", Some(set("keys", "/transaction/metadata", keys.into())), Indexed),
        ("unknown-product", Some(set("unknown-product", "/transaction/transaction_type", json!("barter"))), Indexed),
        ("extra", Some(event("extra", |event| event["transaction"]["extra"] = json!({"kept": [1.50]}))), Indexed),
        ("good", Some(event("good", |_| {})), Indexed),
        ("null", None, Ignored),
        ("empty", Some(Vec::new()), Ignored),
    ]
}

#[test]
fn each_bad_record_ends_as_it_should() {
    let world = World::new(PROGRAM, "bad");
    world.create_topic(&[("max.message.bytes", "10485760")]);
    refuse_strict(&variable("ELASTICSEARCH_URL"), &world.name);
    let mut client = world.client();
    let producer: FutureProducer = client.set("message.max.bytes", "10485760").create().unwrap();
    let cases = cases();
    for (name, payload, _) in &cases {
        let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some(b"\x00\xff".as_slice()) });
        let mut record = FutureRecord::to(&world.name).key(name.as_bytes()).headers(headers).partition(0);
        record.payload = payload.as_deref();
        block_on(producer.send(record, Duration::from_secs(20))).unwrap();
    }
    let summary = world.run_once();
    let count = |is: fn(&End) -> bool| cases.iter().filter(|(_, _, end)| is(end)).count();
    assert_eq!(summary["records"], cases.len());
    assert_eq!(summary["dead_lettered"], count(|end| matches!(end, Dead(_))));
    assert_eq!(summary["ignored"], count(|end| matches!(end, Ignored)));
    assert_eq!(summary["applied"], count(|end| matches!(end, Indexed)));

    let letters = world.letters();
    let letters: BTreeMap<String, _> = letters
        .iter()
        .map(|letter| (String::from_utf8(letter.key.as_ref().unwrap().to_vec()).unwrap(), letter))
        .collect();
    let documents = world.documents();
    for (offset, (name, payload, end)) in cases.iter().enumerate() {
        assert_eq!(documents.contains_key(*name), matches!(end, Indexed), "{name}");
        let Dead(class) = end else {
            assert!(!letters.contains_key(*name), "{name}");
            continue;
        };
        let letter = letters.get(*name).unwrap_or_else(|| panic!("no letter of {name}"));
        assert_eq!(letter.payload.as_deref(), payload.as_deref(), "{name}: byte for byte");
        let header =
            |name: &str| letter.headers.iter().find(|header| header.name == name).unwrap().value.clone().unwrap();
        assert_eq!(&header("trace")[..], b"\x00\xff");
        assert_eq!(header("millrace.error.class"), *class, "{name}");
        assert!(!header("millrace.error.reason").is_empty());
        assert_eq!(header("millrace.error.system"), "transactions");
        assert_eq!(header("__connect.errors.topic"), world.name);
        assert_eq!(header("__connect.errors.partition"), "0");
        assert_eq!(header("__connect.errors.offset"), offset.to_string());
        assert_eq!(header("kafka_dlt-original-topic"), world.name);
    }
    assert_eq!(documents["extra"].1["extra"], json!({"kept": [1.50]}));
    let kept = [
        ("", "null"),
        ("amount.usd", "1.25"),
        ("created_at", r#"{"$date":"2026-01-01T12:00:00Z"}"#),
        ("status", r#"{"a":1}"#),
    ];
    let document = &documents["unindexed"].1;
    assert_eq!(document["_unindexed"], json!(kept.map(|(field, json)| json!({"field": field, "json": json}))));
    assert_eq!((&document["amount"], document.get("status"), document.get("amount.usd")), (&json!(1.5), None, None));
    assert!(documents["keys"].1["metadata"].as_object().unwrap().len() >= 10_000);
    assert_eq!(documents["unknown-product"].1["_enriched"], false);
}
