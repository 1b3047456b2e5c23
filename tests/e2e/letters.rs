//! Dead letters and limits of size: a limit is of batches as they are compressed, and a batch is refused as a whole.

use std::time::Duration;

use bytes::Bytes;
use pipeline::dead_letters::{DeadLetter, DeadLetters, header};
use pipeline::kafka::KafkaDeadLetters;

use pipeline::sink::Reject;
use pipeline::{Header, Record, TopicPartition};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;
use testkit::program::printed;
use testkit::world::{World, block_on};

use crate::PROGRAM;

fn send(world: &World, codec: &str, payload: &[u8]) {
    let mut client = world.client();
    client.set("compression.codec", codec).set("message.max.bytes", "200000000");
    let producer: FutureProducer = client.create().unwrap();
    let record: FutureRecord<'_, str, [u8]> = FutureRecord::to(&world.name).partition(0).payload(payload);
    block_on(producer.send(record, Duration::from_secs(60))).unwrap();
}

/// Undecodable, and small when it is compressed.
fn repeated(bytes: usize) -> Vec<u8> {
    let mut payload = b"{\"event_type\": oops, \"rest\": \"".to_vec();
    payload.extend(b"{\"a\": 1, \"b\": \"cafe\"}, ".iter().cycle().take(bytes));
    payload
}

/// Undecodable, and hardly smaller when it is compressed.
fn random(seed: u64, bytes: usize) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut payload = b"{oops ".to_vec();
    payload.extend((0..bytes).map(|_| rng.random_range(33_u8..126)));
    payload
}

fn text(letter: &Record, name: &str) -> String {
    let found = letter.headers.iter().find(|header| header.name == name);
    let value = found.unwrap_or_else(|| panic!("no {name}")).value.clone().unwrap();
    String::from_utf8(value.to_vec()).unwrap()
}

/// Each has its reason, its time and what other tools read.
fn assert_whole(letters: &[Record], count: usize) {
    assert_eq!(letters.len(), count);
    for letter in letters {
        assert!(header::OPTIONAL.iter().all(|name| !text(letter, name).is_empty()));
    }
}

#[test]
fn what_a_producer_compressed_far_above_the_limit_has_its_letter() {
    for codec in ["zstd", "gzip"] {
        let world = World::new(PROGRAM, &format!("compressed-{codec}"));
        world.create_topic(&[]);
        // As an older version made it; the letter has more room than that.
        world.create_letters(&[("max.message.bytes", "1114124"), ("retention.ms", "691200000")]);
        let payload = repeated(5_400_000);
        send(&world, codec, &payload);
        assert_eq!(world.run_once()["dead_lettered"], 1);
        let letters = world.letters();
        assert_whole(&letters, 1);
        assert!(letters[0].payload.as_deref() == Some(&payload[..]), "byte for byte, after decompression");
        let shown = world.output(&["doctor", "transactions"]);
        let shown = String::from_utf8_lossy(&shown.stdout);
        assert!(shown.contains("room for letters of 2097176 bytes"), "{shown}");
        let kept = block_on(
            world
                .admin()
                .describe_configs([&ResourceSpecifier::Topic(&format!("{}.dlq", world.name))], &AdminOptions::new()),
        );
        let kept = kept.unwrap().remove(0).unwrap();
        assert_eq!(kept.get("retention.ms").unwrap().value.as_deref(), Some("691200000"), "what else was set stays");
    }
}

#[test]
fn letters_of_a_topic_with_small_messages_keep_their_reasons() {
    let world = World::new(PROGRAM, "small-limit");
    world.create_topic(&[("max.message.bytes", "100000")]);
    for seed in 0..200 {
        send(&world, "none", &random(seed, 4_000));
    }
    assert_eq!(world.run_once()["dead_lettered"], 200);
    assert_whole(&world.letters(), 200);
}

#[test]
fn a_batch_that_is_refused_costs_none_of_its_letters_a_header() {
    let world = World::new(PROGRAM, "refused");
    world.create_letters(&[("max.message.bytes", "2000000")]);
    let record = |offset: i64, bytes: usize| Record {
        at: TopicPartition::new(world.name.as_str(), 0),
        offset,
        timestamp_ms: None,
        key: None,
        payload: Some(Bytes::from(random(offset as u64, bytes))),
        headers: vec![Header { name: "trace".into(), value: Some(Bytes::from_static(b"\x00\xff")) }],
    };
    let letter = |record| DeadLetter {
        record,
        reject: Reject::new("not_json", "a reason"),
        attempts: 0,
        system: "transactions",
        group: "g",
        failed_at: "2026-01-01T00:00:00Z".into(),
    };
    let dead_letters = KafkaDeadLetters::new(&world.client()).unwrap();
    let first = record(0, 100);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(dead_letters.send(&[letter(&first)])), [Ok(())]);
    // The limit is known now, and becomes another.
    let topic = format!("{}.dlq", world.name);
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("max.message.bytes", "20000");
    block_on(world.admin().alter_configs([&change], &AdminOptions::new())).unwrap().remove(0).unwrap();
    let records: Vec<Record> = (1..=50).map(|offset| record(offset, 5_000)).chain([record(51, 30_000)]).collect();
    let letters: Vec<DeadLetter<'_>> = records.iter().map(letter).collect();
    let answers = runtime.block_on(dead_letters.send(&letters));
    let (large, fit) = answers.split_last().unwrap();
    assert!(fit.iter().all(Result::is_ok), "{fit:?}");
    let why = large.as_ref().unwrap_err().why.to_string();
    assert!(why.contains(&format!("{}[0]@51", world.name)) && why.contains("raise max.message.bytes of"), "{why}");
    assert_whole(&world.letters(), 51);
}

#[test]
fn a_record_above_the_receive_limit_says_what_to_raise_and_then_passes() {
    let mut world = World::new(PROGRAM, "receive");
    world.set("CONSUMER_BATCH_TIMEOUT", "0.1");
    world.create_topic(&[]);
    let payload = repeated(110_000_000);
    send(&world, "zstd", &payload);
    let program = world.start();
    program.await_reason("raise receive.message.max.bytes");
    let (_, why) = program.ready();
    assert!(why.contains(&format!("{}[0]@0 stands still", world.name)), "{why}");
    assert!(!why.contains("KAFKA_BOOTSTRAP_SERVERS"), "{why}");
    assert!(program.terminate().success());
    let settings = "[kafka.properties]\n\"receive.message.max.bytes\" = \"200000000\"\n";
    std::fs::write(world.dir.join("millrace.toml"), settings).unwrap();
    assert_eq!(world.run_once()["dead_lettered"], 1);
}

#[test]
fn the_publisher_sends_no_batch_that_its_topic_refuses() {
    let world = World::new(PROGRAM, "small-batches");
    world.create_topic(&[("max.message.bytes", "5000")]);
    let report = world.publish(&["--count", "2000", "--update-ratio", "0"]);
    assert_eq!(report["creates"], 2000);
    assert_eq!(world.lag(), 2000);
}

#[test]
fn a_sound_event_above_mongodbs_limit_is_a_dead_letter_with_a_class_of_its_own() {
    let mut world = World::new(PROGRAM, "above-16-mib");
    world.set("MONGODB_URL", &testkit::services::variable("MONGODB_URL"));
    world.create_topic(&[]);
    // 4.8 MB of JSON, 40 MB of BSON, and a few KB under way.
    let event = |id: &str, numbers: usize| {
        let list = vec!["1"; numbers].join(",");
        format!(
            r#"{{"event_type":"transaction.created","timestamp":"2026-01-01T12:00:00Z","transaction":{{"id":"{id}","user_id":"u","transaction_type":"card","amount":1.5,"metadata":{{}},"list":[{list}]}}}}"#
        )
    };
    let large = event("large", 2_400_000);
    send(&world, "zstd", large.as_bytes());
    send(&world, "zstd", event(&format!("small-{}", world.name), 3).as_bytes());
    let output = world.output(&["run", "transactions-mongo", "--once"]);
    let summary = testkit::program::printed(&output);
    assert_eq!((summary["applied"].as_i64(), summary["dead_lettered"].as_i64()), (Some(1), Some(1)), "{summary}");
    let letters = world.letters();
    assert_whole(&letters, 1);
    assert_eq!(text(&letters[0], header::CLASS), "document_too_large");
    assert!(letters[0].payload.as_deref() == Some(large.as_bytes()));
}

#[test]
fn a_letter_that_is_mended_comes_through_and_is_shown_no_more() {
    let world = World::new(PROGRAM, "mended");
    world.create_topic(&[]);
    let bad = r#"{"event_type":"transaction.created","timestamp":"2026-01-01T00:00:01Z","transaction":{"id":"t1","transaction_type":"card"}}"#;
    world.send(&world.name, &[("k", bad)]);
    assert_eq!(world.run_once()["dead_lettered"], 1);
    let list = |more: &[&str]| printed(&world.output(&[&["dlq", "list", "--json"], more].concat()));
    let at = list(&[])["causes"][0]["first"].as_str().unwrap().to_owned();
    let file = world.dir.join("payload.json");
    let file = file.to_str().unwrap();
    assert!(world.output(&["dlq", "show", "--at", &at, "--payload", file]).status.success());
    assert_eq!(std::fs::read_to_string(file).unwrap(), bad);

    let replay = || world.output(&["dlq", "replay", "--at", &at, "--payload", file]);
    let refused = |code: i32, why: &str| {
        let output = replay();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && said.contains(why), "{:?} {said}", output.status);
    };
    refused(64, "mend it first");
    std::fs::write(file, bad.replace("t1", "")).unwrap();
    refused(1, "missing_id");
    std::fs::write(file, bad.replace("\"id\"", "\"user_id\":\"u\",\"id\"")).unwrap();
    let sent = replay();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let place = printed(&sent)["mended_as"].as_str().unwrap().to_owned();

    assert_eq!(world.run_once()["applied"], 1);
    assert_eq!(world.documents().into_keys().collect::<Vec<_>>(), ["t1"]);
    assert_eq!((&list(&[])["letters"], &list(&["--all"])["letters"]), (&json!(0), &json!(1)));
    let mut records = Vec::new();
    pipeline::kafka::read_topic(&world.client(), &world.name, |record| records.push(record)).unwrap();
    let (first, mended) = (&records[0], &records[1]);
    assert_eq!((&mended.key, mended.timestamp_ms), (&first.key, first.timestamp_ms));
    assert_eq!(place, format!("{}/{}/{}", mended.at.topic, mended.at.partition, mended.offset));
    let header = |name: &str| header_of(mended, name).unwrap();
    assert_eq!(header("millrace.mended.from"), at);
    assert_ne!(header("millrace.mended.original_sha256"), header("millrace.mended.payload_sha256"));
    assert!(world.output(&["verify", "transactions"]).status.success());
    let story = world.output(&["explain", "t1"]);
    let told = String::from_utf8_lossy(&story.stdout);
    assert!(told.contains("dead-lettered") && told.contains(&format!("mended as {place}")), "{told}");
}

/// The text of a header.
fn header_of(record: &pipeline::Record, name: &str) -> Option<String> {
    let found = record.headers.iter().find(|header| header.name == name)?;
    Some(String::from_utf8(found.value.as_ref()?.to_vec()).unwrap())
}
