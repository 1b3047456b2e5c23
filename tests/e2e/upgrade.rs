//! An upgrade: what an older version left in Kafka, Redis and Elasticsearch is read, verified and replayed by this one.
//!
//! `fixtures/upgrade.json` was recorded from a run of the version that it names. `NAME` stands for topic, group and alias.

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testkit::program::printed;
use testkit::services::{elasticsearch, variable};
use testkit::world::{World, block_on};

use crate::PROGRAM;

const RECORDED: &str = include_str!("fixtures/upgrade.json");
const DAY: u64 = 24 * 60 * 60;

/// The world as the older version left it.
fn left() -> (World, Value) {
    let world = World::new(PROGRAM, "upgrade");
    let left: Value = serde_json::from_str(&RECORDED.replace("NAME", &world.name)).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    // Records keep their old timestamps, which retention would take for a reason.
    let partitions = left["topic"]["partitions"].as_i64().unwrap() as i32;
    world.create_topic_with(partitions, &[("retention.ms", "-1")]);
    let limit = text(&left["letters_topic"]["max.message.bytes"]);
    world.create_letters(&[("max.message.bytes", &limit), ("retention.ms", "-1")]);
    send(&world, &world.name, left["records"].as_array().unwrap());
    send(&world, &format!("{}.dlq", world.name), left["letters"].as_array().unwrap());
    commit(&world, &left["offsets"]);
    mark(left["redis"].as_array().unwrap());
    let put = |path: String, body: &Value| {
        let (status, answer) = elasticsearch("PUT", &path, Some(body));
        assert!(status < 300, "{path}: {status} {answer}");
    };
    put(format!("/_index_template/{}", world.name), &left["template"]);
    let index = &left["index"];
    let own = json!({"aliases": index["aliases"], "mappings": index["mappings"], "settings": index["settings"]});
    put(format!("/{}", text(&index["name"])), &own);
    // As text, for the order of the members and the digits of the numbers are part of a document.
    for document in left["documents"].as_array().unwrap() {
        let (id, version) = (text(&document["id"]), &document["version"]);
        let path = format!("/{}/_doc/{id}?version={version}&version_type=external", text(&index["name"]));
        let url = format!("{}{path}", variable("ELASTICSEARCH_URL").trim_end_matches('/'));
        let put = reqwest::blocking::Client::new().put(url).header("content-type", "application/json");
        let answer = put.body(text(&document["source"])).send().unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }
    (world, left)
}

fn send(world: &World, topic: &str, records: &[Value]) {
    let producer: FutureProducer = world.client().create().unwrap();
    for record in records {
        let pairs: Vec<(&str, Option<&str>)> = record["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str()))
            .collect();
        let headers = pairs.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: value.map(str::as_bytes) })
        });
        let mut message: FutureRecord<'_, str, str> = FutureRecord::to(topic).headers(headers);
        (message.key, message.payload) = (record["key"].as_str(), record["payload"].as_str());
        message.partition = record["partition"].as_i64().map(|partition| partition as i32);
        message.timestamp = record["timestamp"].as_i64();
        let sent = block_on(producer.send(message, Duration::from_secs(20))).unwrap();
        assert_eq!(sent.offset, record["offset"].as_i64().unwrap(), "each stands where it stood");
    }
}

fn commit(world: &World, offsets: &Value) {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets.as_object().unwrap() {
        let next = Offset::Offset(offset.as_i64().unwrap());
        list.add_partition_offset(&world.name, partition.parse().unwrap(), next).unwrap();
    }
    world.group(&world.name).commit(&list, CommitMode::Sync).unwrap();
}

/// As if the marks had been made today.
fn mark(left: &[Value]) {
    let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / DAY;
    let mut redis = redis();
    for entry in left {
        let key = entry["key"].as_str().unwrap();
        if let Some(highest) = entry["highest"].as_f64() {
            let key = format!("{key}:highest");
            redis::cmd("ZADD").arg(&key).arg(highest).arg("offset").exec(&mut redis).unwrap();
            redis::cmd("EXPIRE").arg(&key).arg(3 * DAY).exec(&mut redis).unwrap();
            continue;
        }
        let key = format!("{key}:{today}");
        for (mark, offset) in entry["marks"].as_object().unwrap() {
            let bytes: Vec<u8> =
                (0..mark.len()).step_by(2).map(|at| u8::from_str_radix(&mark[at..at + 2], 16).unwrap()).collect();
            redis::cmd("HSET").arg(&key).arg(bytes).arg(offset.as_i64().unwrap()).exec(&mut redis).unwrap();
        }
        redis::cmd("EXPIRE").arg(&key).arg(2 * DAY).exec(&mut redis).unwrap();
    }
}

fn redis() -> redis::Connection {
    redis::Client::open(variable("REDIS_URL")).unwrap().get_connection().unwrap()
}

fn verified(world: &World) {
    let output = world.output(&["verify", "transactions", "--json"]);
    let found = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{found} {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_an_older_version_left_is_read_verified_and_replayed() {
    let (world, left) = left();
    verified(&world);

    // One copy of what was marked, and one that is new: consumption goes on behind what was committed.
    let copy = left["records"].as_array().unwrap().iter().find(|record| record["key"] == "tx-2").unwrap();
    let next = &left["offsets"]["0"];
    let mut copy = copy.clone();
    copy["offset"] = next.clone();
    let mut new = copy.clone();
    new["offset"] = json!(next.as_i64().unwrap() + 1);
    new["key"] = json!("tx-new");
    new["payload"] = json!(new["payload"].as_str().unwrap().replace("tx-2", "tx-new"));
    send(&world, &world.name, &[copy, new]);
    let summary = world.run_once();
    assert_eq!(
        (&summary["records"], &summary["duplicate"], &summary["applied"]),
        (&json!(2), &json!(1), &json!(1)),
        "{summary}"
    );
    let (_, kept) = elasticsearch("GET", &format!("/{}/_doc/tx-2", world.name), None);
    let before = left["documents"].as_array().unwrap().iter().find(|document| document["id"] == "tx-2").unwrap();
    let source: Value = serde_json::from_str(before["source"].as_str().unwrap()).unwrap();
    assert_eq!((&kept["_source"], &kept["_version"]), (&source, &before["version"]), "not written again");
    verified(&world);

    // The letters are read as they were written, and what was mended since goes through.
    let list = printed(&world.output(&["dlq", "list", "--json"]));
    assert_eq!(list["letters"], left["letters"].as_array().unwrap().len());
    let mended = left["letters"].as_array().unwrap().iter().find(|letter| letter["key"] == "mended").unwrap();
    let header = |name: &str| {
        let headers = mended["headers"].as_array().unwrap();
        headers.iter().find(|pair| pair[0] == name).unwrap()[1].as_str().unwrap().to_owned()
    };
    let at = format!("{}/{}/{}", world.name, header("__connect.errors.partition"), header("__connect.errors.offset"));
    let replay = world.output(&["dlq", "replay", "--at", &at]);
    assert_eq!(replay.status.code(), Some(0), "{}", String::from_utf8_lossy(&replay.stderr));
    assert_eq!(printed(&replay)["applied"], 1);
    assert!(world.documents().contains_key("mended"));
    verified(&world);

    // A group that is reset reads everything once more: marks at or below the highest offset skip nothing, and nothing changes.
    let documents = world.documents();
    world.reset();
    let again = world.run_once();
    assert_eq!(again["records"].as_i64(), Some(left["records"].as_array().unwrap().len() as i64 + 2));
    let mut after = world.documents();
    // What the index refused then is kept as JSON text now.
    let conflict = after.remove("conflict").unwrap().1;
    assert_eq!(conflict["_unindexed"], json!([{"field": "status", "json": "{\"a\": 1}"}]));
    assert_eq!(after, documents, "{again}");
    verified(&world);
}

#[test]
fn a_mark_is_kept_in_redis_for_24_hours_at_least_and_the_highest_offset_for_longer() {
    let world = World::new(PROGRAM, "mark-ttl");
    world.create_topic(&[]);
    world.publish(&["--count", "20", "--update-ratio", "0"]);
    assert_eq!(world.run_once()["applied"], 20);
    let mut redis = redis();
    let keys: Vec<String> = redis::cmd("KEYS").arg(format!("millrace:{}:*", world.name)).query(&mut redis).unwrap();
    let mut lives = |highest: bool| -> Vec<u64> {
        let of_kind = keys.iter().filter(|key| key.ends_with(":highest") == highest);
        of_kind.map(|key| redis::cmd("TTL").arg(key).query(&mut redis).unwrap()).collect()
    };
    let (marks, highest) = (lives(false), lives(true));
    assert!(!marks.is_empty() && marks.len() == highest.len(), "{keys:?}");
    // A mark is asked for on the day after the one it was made on, so its key lives through that day.
    assert!(marks.iter().all(|seconds| *seconds > 2 * DAY - 600), "{marks:?}");
    assert!(highest.iter().min() > marks.iter().max(), "{highest:?} {marks:?}");
}
