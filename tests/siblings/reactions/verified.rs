//! `verify` finds what is planted, and mends what an event of the log can mend.

use serde_json::{Value, json};
use testkit::services::eventually;

use super::files::{event, put};
use super::stage::Stage;

/// The findings as texts: name, id, where.
fn named(found: &[Value]) -> Vec<String> {
    let mut named: Vec<String> = found
        .iter()
        .map(|one| format!("{} {}", one["finding"].as_str().unwrap(), one["id"].as_str().unwrap()))
        .collect();
    named.sort();
    named
}

#[test]
fn what_is_missing_is_named_and_mended_and_what_is_loose_is_named() {
    let mut stage = Stage::new("reactions-verify");
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &["m1.jpg"]);
    stage.world.set("REACTIONS_MEDIA_URL", &format!("file://{}", folder.path().display()));
    let like = |id: &str| event("content.post.liked", id, 1, &json!({"postId": "p", "userId": id}));
    let uploaded = event("media.uploaded", "up", 1, &json!({"mediaId": "m1", "objectKey": "m1.jpg"}));
    stage.send(&[like("one"), like("two"), like("three"), uploaded]);
    stage.run_once();
    stage.assert_verified();

    stage.tell("DELETE FROM SCHEMA.likes WHERE user_id = 'two'; DELETE FROM SCHEMA.marks WHERE event_id = 'two'");
    stage.tell("INSERT INTO SCHEMA.outbox (id, aggregatetype, aggregateid, type, payload, parked_at, why) VALUES ('x', 'y', 'z', 'w', '{}', now(), 'no')");
    put(folder.path(), &["a/orphan.jpg"]);
    std::fs::remove_file(folder.path().join("m1.jpg")).unwrap();
    let (found, code) = stage.verify(&[]);
    assert_eq!(code, 1);
    let loose = [
        "derived parked events of the outbox: 1",
        "derived the file a/orphan.jpg is of no media",
        "derived the file m1.jpg is not there",
    ];
    assert_eq!(named(&found), [&loose[..], &["missing two"]].concat());
    let missing = found.iter().find(|one| one["finding"] == "missing").unwrap();
    assert_eq!(missing["topic"], stage.topic("content.post.liked"));
    assert!(missing["reason"].as_str().unwrap().ends_with(".content has no mark of it"), "{missing}");

    // What no event can mend stays, and is not counted as mended.
    let (_, code) = stage.verify(&["--repair"]);
    assert_eq!(code, 1);
    assert_eq!(stage.ask("SELECT user_id FROM SCHEMA.likes ORDER BY 1"), ["one", "three", "two"]);
    let (found, code) = stage.verify(&[]);
    assert_eq!((named(&found), code), (loose.map(str::to_owned).to_vec(), 1));
}

#[test]
fn what_is_older_than_the_marks_that_are_kept_cannot_be_told() {
    let stage = Stage::new("reactions-old");
    stage.send(&[event("content.post.liked", "one", 1, &json!({"postId": "p", "userId": "u"}))]);
    stage.run_once();
    stage.tell("UPDATE SCHEMA.horizon SET recorded_ms = 9000000000000; DELETE FROM SCHEMA.marks");
    let (found, code) = stage.verify(&[]);
    assert_eq!((named(&found), code), (vec!["unexplained one".to_owned()], 75));
    // Read again, it changes nothing and says nothing.
    stage.run_once();
    assert_eq!(stage.ask("SELECT user_id FROM SCHEMA.likes"), ["u"]);
}

#[test]
fn an_event_is_explained_by_what_led_to_it_and_what_it_led_to() {
    let stage = Stage::new("reactions-explain");
    let paid =
        json!({"paymentId": "pay", "type": "subscription", "amount": 5, "currency": "EUR", "subscriptionId": "s"});
    stage.send(&[event("payment.completed", "pay", 1, &paid)]);
    stage.run_once();
    let explained = |id: &str| {
        let output = stage.world.output(&["explain", id, "--system", "reactions", "--json"]);
        (testkit::program::printed(&output), output.status.code().unwrap())
    };
    let (paid, code) = explained("pay");
    assert_eq!(code, 0, "{paid}");
    let topic = stage.topic("payment.completed");
    assert!(paid["records"][0].as_str().unwrap().starts_with(&topic), "{paid}");
    let known: Vec<&str> = paid["known"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert!(known.iter().any(|line| line.starts_with("marked by the group subscription")), "{known:?}");
    let led = known.iter().find(|line| line.starts_with("led to subscription.updated ")).unwrap();
    let emitted = led.split(' ').nth(3).unwrap();
    let (said, code) = explained(emitted);
    let known = said["known"].as_array().unwrap().iter();
    let follows = known.filter(|line| line.as_str().unwrap().starts_with("follows from pay, published ")).count();
    // A group may have read it back already, and marked it.
    assert_eq!((code, follows), (0, 1), "{said}");
    assert_eq!(explained("nobody").1, 75);
}

#[test]
fn without_effects_the_state_changes_and_nothing_is_said() {
    let stage = Stage::new("reactions-quiet");
    let paid =
        json!({"paymentId": "pay", "type": "subscription", "amount": 5, "currency": "EUR", "subscriptionId": "s"});
    stage.send(&[event("payment.completed", "pay", 1, &paid)]);
    let output = stage.world.output(&["run", "reactions", "--once", "--no-emit"]);
    assert!(output.status.success());
    assert_eq!(stage.ask("SELECT (status).value FROM SCHEMA.subscriptions"), ["active"]);
    assert_eq!(stage.ask("SELECT count(*)::text FROM SCHEMA.outbox"), ["0"]);
    stage.assert_verified();
}

#[test]
fn what_is_old_goes_portion_by_portion_and_what_is_young_stays() {
    let mut stage = Stage::new("reactions-upkeep");
    stage.world.set("REACTIONS_RETENTION", "1");
    stage.run_once();
    stage.tell(
        "INSERT INTO SCHEMA.marks (consumer, event_id, digest, recorded_ms) SELECT 'content', 'old' || n, '', n FROM generate_series(1, 45000) n;
         INSERT INTO SCHEMA.marks (consumer, event_id, digest, recorded_ms) VALUES ('content', 'timeless', '', NULL);
         INSERT INTO SCHEMA.outbox (id, aggregatetype, aggregateid, type, payload, created, published_at, parked_at)
         VALUES ('old', 'x', 'x', 'x', '{}', now() - interval '3 days', now() - interval '2 days', NULL),
                ('young', 'x', 'x', 'x', '{}', now() - interval '3 days', now(), NULL),
                ('parked', 'x', 'x', 'x', '{}', now() - interval '3 days', NULL, now() - interval '3 days')",
    );
    stage.send(&[event("content.post.liked", "one", 1, &json!({"postId": "p", "userId": "u"}))]);
    let running = stage.start();
    eventually("the old ones are gone", || {
        let marks = stage.ask("SELECT event_id FROM SCHEMA.marks ORDER BY 1");
        let rows = stage.ask("SELECT id FROM SCHEMA.outbox ORDER BY 1");
        (marks == ["one", "timeless"] && rows == ["parked", "young"]).then_some(())
    });
    assert_eq!(stage.ask("SELECT (recorded_ms > 1700000000000)::text FROM SCHEMA.horizon"), ["true"]);
    assert!(running.terminate().success());
}
