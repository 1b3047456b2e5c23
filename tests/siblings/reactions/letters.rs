//! Events that cannot be applied: a letter each, of one group, and the rest goes on.

use std::collections::BTreeMap;

use events::EventName;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use testkit::program::printed;

use super::stage::Stage;

const TIME: &str = "2026-03-01T00:00:00Z";

fn envelope(id: &str, data: &Value) -> Value {
    json!({"id": id, "version": "2.0", "timestamp": TIME, "data": data})
}

fn tier(id: &str, price: Value) -> Value {
    envelope(id, &json!({"tierId": id, "creatorId": "c", "price": price, "currency": "EUR"}))
}

fn uploaded(id: &str, key: &str) -> Value {
    envelope(id, &json!({"mediaId": id, "objectKey": key}))
}

fn liked(id: &str) -> Value {
    envelope(id, &json!({"postId": "p", "userId": id}))
}

/// The event, its payload, and the class of its letter; none of what is applied.
fn cases() -> Vec<(&'static str, String, Option<&'static str>)> {
    let ahead = (chrono::Utc::now() + chrono::TimeDelta::days(2)).to_rfc3339();
    let mut future = liked("future");
    future["timestamp"] = ahead.into();
    let mut version = liked("version");
    version["version"] = "3.0".into();
    let mut kind = liked("kind");
    kind["type"] = "content.post.unliked".into();
    let long = "i".repeat(5_000);
    let most = "i".repeat(512);
    vec![
        ("content.post.liked", "{".to_owned(), Some("not_json")),
        ("content.post.liked", "[]".to_owned(), Some("not_an_object")),
        ("content.post.liked", future.to_string(), Some("timestamp_out_of_range")),
        ("content.post.liked", version.to_string(), Some("unknown_version")),
        ("content.post.liked", kind.to_string(), Some("unknown_event_type")),
        ("content.post.liked", liked(&long).to_string(), Some("id_too_long")),
        ("content.post.liked", liked(&most).to_string(), None),
        ("content.post.liked", liked("nul\0").to_string(), Some("bad_id")),
        ("subscription.tier.created", tier("minus", json!(-1)).to_string(), Some("bad_amount")),
        ("subscription.tier.created", tier("huge", json!(0)).to_string().replace(":0,", ":1e400,"), Some("bad_amount")),
        ("subscription.tier.created", tier("comma", json!("12,50")).to_string(), Some("bad_amount")),
        ("subscription.tier.created", tier("exact", json!("0.000000000000000001")).to_string(), None),
        ("media.uploaded", uploaded("up", "../secret").to_string(), Some("bad_media_key")),
        ("media.uploaded", uploaded("absolute", "/etc/passwd").to_string(), Some("bad_media_key")),
        ("media.uploaded", uploaded("encoded", "%2e%2e/secret").to_string(), Some("bad_media_key")),
        ("media.uploaded", uploaded("good", "a b/ü.jpg").to_string(), None),
        ("payment.completed", envelope("bare", &json!({"paymentId": "bare"})).to_string(), Some("missing_field")),
        // Version 1.0, in which a top-level type is data.
        (
            "payment.completed",
            json!({"paymentId": "v1", "type": "subscription", "amount": 5, "currency": "EUR", "subscriptionId": "s",
                "timestamp": TIME})
            .to_string(),
            None,
        ),
        // What holds an apostrophe or the like is a value and nothing else.
        (
            "content.post.created",
            envelope("sql", &json!({"postId": "'); DROP TABLE posts; --", "creatorId": "c"})).to_string(),
            None,
        ),
        // As large as a broker takes it, and of a text that is longer than a text may be.
        (
            "content.post.created",
            envelope("large", &json!({"postId": "large", "creatorId": "c", "title": "t".repeat(5_000_000)}))
                .to_string(),
            Some("text_too_long"),
        ),
    ]
}

fn send(stage: &Stage, cases: &[(&str, String)]) {
    let mut client = stage.world.client();
    client.set("message.max.bytes", "20000000").set("compression.type", "zstd");
    let producer: BaseProducer = client.create().unwrap();
    for (event, payload) in cases {
        let topic = stage.topic(event);
        producer.send(BaseRecord::<str, str>::to(&topic).payload(payload)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(std::time::Duration::from_secs(60)).unwrap();
}

#[test]
fn what_cannot_be_applied_is_one_letter_and_the_rest_goes_on() {
    let stage = Stage::new("reactions-letters");
    let cases = cases();
    send(&stage, &cases.iter().map(|(event, payload, _)| (*event, payload.clone())).collect::<Vec<_>>());
    let summaries = stage.run_once();
    let mut letters: BTreeMap<(String, String), usize> = BTreeMap::new();
    for event in EventName::ALL {
        for letter in stage.world.letters_of(&stage.topic(event.as_str())) {
            let class = letter.headers.iter().find(|header| header.name == "millrace.error.class").unwrap();
            let class = String::from_utf8(class.value.as_deref().unwrap().to_vec()).unwrap();
            *letters.entry((event.as_str().to_owned(), class)).or_default() += 1;
        }
    }
    let mut expected: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (event, _, class) in &cases {
        if let Some(class) = class {
            *expected.entry(((*event).to_owned(), (*class).to_owned())).or_default() += 1;
        }
    }
    assert_eq!(letters, expected, "one group makes the letter of a topic");
    let dead: u64 = summaries.values().map(|summary| summary["dead_lettered"].as_u64().unwrap()).sum();
    assert_eq!(dead as usize, cases.iter().filter(|(.., class)| class.is_some()).count());
    assert_eq!(stage.ask("SELECT user_id FROM SCHEMA.likes"), ["i".repeat(512)]);
    assert_eq!(stage.ask("SELECT price::text FROM SCHEMA.tier_prices"), ["0.000000000000000001"]);
    assert_eq!(stage.ask("SELECT object_key FROM SCHEMA.media_keys"), ["a b/ü.jpg"]);
    assert_eq!(stage.ask("SELECT (status).value FROM SCHEMA.subscriptions"), ["active"]);
    // What the outbox said is read, too.
    stage.run_once();
    stage.assert_verified();
    assert_eq!(
        stage.ask("SELECT post_id FROM SCHEMA.posts WHERE created_at IS NOT NULL"),
        ["'); DROP TABLE posts; --"]
    );
}

#[test]
fn an_id_that_says_something_else_is_a_letter_and_letters_are_replayed() {
    let stage = Stage::new("reactions-reused");
    let first = liked("one").to_string();
    let second = envelope("one", &json!({"postId": "p", "userId": "other"})).to_string();
    send(&stage, &[("content.post.liked", first)]);
    stage.run_once();
    send(&stage, &[("content.post.liked", second)]);
    stage.run_once();
    assert_eq!(stage.ask("SELECT user_id FROM SCHEMA.likes"), ["one"]);
    let listed = stage.world.output(&["dlq", "list", "--system", "reactions", "--json"]);
    let listed = printed(&listed).to_string();
    assert!(listed.contains("event_id_reused"), "{listed}");
    // The mark that stood in the way is gone; then the letter is applied.
    stage.tell("DELETE FROM SCHEMA.marks");
    let replayed = stage.world.output(&["dlq", "replay", "--system", "reactions"]);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    assert_eq!(stage.ask("SELECT user_id FROM SCHEMA.likes ORDER BY 1"), ["one", "other"]);
}
