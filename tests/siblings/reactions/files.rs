//! Files of media: they go with their post, after the commit, and that is said once.

use std::collections::BTreeSet;
use std::path::Path;

use events::{CloudAttributes, Event, EventName, EventRecord, read};
use serde_json::{Value, json};
use testkit::bucket::Bucket;
use testkit::services::{eventually, services};
use testkit::world::scaled;

use super::stage::Stage;

const DELETED: &str = "media.deleted";
/// 2026-03-01T00:00:00Z.
const BEGIN_MS: i64 = 1_772_323_200_000;

pub fn event(name: &str, id: &str, second: i64, data: &Value) -> Event {
    let name = EventName::find(name).unwrap();
    let payload = json!({"id": id, "version": "2.0", "timestamp": BEGIN_MS + second * 1_000, "data": data}).to_string();
    let record = EventRecord {
        topic: name.as_str(),
        payload: payload.as_bytes(),
        timestamp_ms: None,
        cloud: CloudAttributes::default(),
    };
    read(name, &record).unwrap()
}

fn uploaded(media: &str, key: &str, post: Option<&str>) -> Event {
    let data = json!({"mediaId": media, "objectKey": key, "postId": post});
    event("media.uploaded", &format!("up-{media}-{}", key.len()), 1, &data)
}

fn processed(media: &str, variant: &str) -> Event {
    event("media.processed", &format!("done-{media}"), 2, &json!({"mediaId": media, "variants": [variant]}))
}

fn post_deleted(post: &str, id: &str) -> Event {
    event("content.post.deleted", id, 9, &json!({"postId": post}))
}

/// What stands in a folder, below it.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(found.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned())),
            }
        }
    }
    found
}

pub fn put(folder: &Path, keys: &[&str]) {
    for key in keys {
        let path = folder.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, key).unwrap();
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn files_go_with_their_post_and_that_is_said_once() {
    let mut stage = Stage::new("reactions-files");
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    put(&media, &["a/one.jpg", "a/one.small.jpg", "b/two.jpg", "c/stays.jpg", "d/foreign.jpg", "e/late.jpg"]);
    std::fs::write(folder.path().join("outside.jpg"), "x").unwrap();
    stage.world.set("REACTIONS_MEDIA_URL", &format!("file://{}", media.display()));
    let story = [
        uploaded("m1", "a/one.jpg", Some("p1")),
        processed("m1", "a/one.small.jpg"),
        uploaded("m2", "b/two.jpg", Some("p1")),
        // Never there, which is as good as deleted.
        uploaded("m3", "b/three.jpg", Some("p1")),
        uploaded("m4", "c/stays.jpg", Some("p2")),
        uploaded("m5", "d/foreign.jpg", None),
        event(DELETED, "foreign", 5, &json!({"mediaId": "m5"})),
        post_deleted("p1", "del-1"),
    ];
    stage.send(&story);
    let running = stage.start();
    let said = eventually("three media are said to be gone", || {
        Some(stage.emitted(DELETED, &story)).filter(|said| said.len() >= 3)
    });
    assert_eq!(said.len(), 3);
    assert_eq!(files(&media), set(&["c/stays.jpg", "e/late.jpg"]));
    // One that arrives after its post's deletion goes as well.
    let late = [uploaded("m6", "e/late.jpg", Some("p1"))];
    stage.send(&late);
    eventually("the late one", || (files(&media) == set(&["c/stays.jpg"])).then_some(()));
    let all = [story.to_vec(), late.to_vec()].concat();
    eventually("the late one is said", || (stage.emitted(DELETED, &all).len() == 4).then_some(()));
    assert!(folder.path().join("outside.jpg").exists());
    assert!(running.terminate().success());
    // Read back, and all of it once more: nothing is said again.
    put(&media, &["c/new.jpg"]);
    stage.send(&all);
    stage.run_once();
    assert_eq!(stage.emitted(DELETED, &all).len(), 4);
    assert_eq!(files(&media), set(&["c/new.jpg", "c/stays.jpg"]));
    let gone = stage.ask("SELECT media_id FROM SCHEMA.living_media ORDER BY 1");
    assert_eq!(gone, ["m4"]);
}

/// Seconds with a payment each, which the group of subscriptions applies.
fn pay_for_seconds(stage: &Stage, seconds: u64) {
    let begun = std::time::Instant::now();
    for turn in 0..seconds {
        let id = format!("pay-{turn}");
        let data =
            json!({"paymentId": id, "type": "subscription", "amount": "5", "currency": "EUR", "subscriptionId": id});
        stage.send(&[event("payment.completed", &id, 20, &data)]);
        eventually("the subscription", || {
            let active = format!("SELECT subscription_id FROM SCHEMA.subscriptions WHERE subscription_id = '{id}'");
            (!stage.ask(&active).is_empty()).then_some(())
        });
        eventually("a second of the outage", || (begun.elapsed().as_secs() > turn).then_some(()));
    }
}

#[test]
fn a_media_store_that_is_away_holds_up_nobody_and_is_caught_up_with() {
    let mut stage = Stage::new("reactions-s3");
    let bucket = Bucket::new("media");
    for (name, value) in bucket.variables() {
        stage.world.set(name, value);
    }
    stage.world.set("REACTIONS_MEDIA_URL", &format!("s3://{}/media", bucket.name));
    let count = scaled(20);
    (0..count).for_each(|number| bucket.put(&format!("media/{number}.jpg"), "file"));
    bucket.put("other/0.jpg", "file");
    let media = |number| uploaded(&format!("m{number}"), &format!("{number}.jpg"), Some(&format!("p{number}")));
    let media: Vec<Event> = (0..count).map(media).collect();
    let deleted = |number| post_deleted(&format!("p{number}"), &format!("del-{number}"));
    let deleted: Vec<Event> = (0..count).map(deleted).collect();
    let counted = |table: &str| stage.ask(&format!("SELECT count(*)::text FROM SCHEMA.{table}")) == [count.to_string()];
    let running = stage.start();
    running.await_ready();
    stage.send(&media);
    eventually("all media", || counted("media").then_some(()));
    services("pause", "s3");
    let away = std::time::Instant::now();
    stage.send(&deleted);
    // Meanwhile the other groups, and this one, go on.
    pay_for_seconds(&stage, scaled(5));
    eventually("the deletions are applied", || counted("file_tasks").then_some(()));
    assert_eq!(running.ready().0, 200, "{}", running.ready().1);
    assert!(stage.emitted(DELETED, &[]).is_empty());
    services("resume", "s3");
    println!("the media store was away for {:.0} s", away.elapsed().as_secs_f64());
    eventually("all files are gone", || (bucket.keys() == set(&["other/0.jpg"])).then_some(()));
    eventually("and said to be", || (stage.emitted(DELETED, &[]).len() as u64 == count).then_some(()));
    assert!(running.terminate().success());
    for topic in stage.topics() {
        assert!(stage.world.letters_of(&topic).is_empty(), "{topic}");
    }
}
