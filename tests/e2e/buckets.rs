//! A backfill from a bucket of S3.

use std::collections::HashMap;
use std::io::Write;

use flate2::write::GzEncoder;
use millrace::synthetic::GeneratorOptions;
use serde_json::{Value, json};
use testkit::bucket::{Bucket, ExpiringS3};
use testkit::program::{Running, printed};
use testkit::services::eventually;
use testkit::world::{World, scaled};

use crate::PROGRAM;

const STATE: [&str; 2] = ["--state", "s.json"];

fn options(count: u64) -> GeneratorOptions {
    let until = "2026-03-01T00:00:00Z".parse().unwrap();
    GeneratorOptions { count: scaled(count), update_ratio: 0.5, delete_ratio: 0.2, ..GeneratorOptions::new(19, until) }
}

/// The payloads of a stream, the last first.
fn lines(options: &GeneratorOptions) -> Vec<String> {
    let mut lines: Vec<String> = options.events().unwrap().filter_map(|event| event.payload).collect();
    lines.reverse();
    lines
}

/// A world whose bucket holds a stream in three objects, one of each compression, below `exports/`, and something else beside it.
fn exported(name: &str, options: &GeneratorOptions) -> (World, Bucket) {
    let (mut world, bucket) = (World::new(PROGRAM, name), Bucket::new(name));
    for (name, value) in bucket.variables() {
        world.set(name, value);
    }
    let lines = lines(options);
    let parts: Vec<String> = lines.chunks(lines.len().div_ceil(3)).map(|part| part.join("\n")).collect();
    bucket.put("exports/a.ndjson", parts[0].clone());
    bucket.put("exports/b.zst", zstd::encode_all(parts[1].as_bytes(), 1).unwrap());
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(parts[2].as_bytes()).unwrap();
    bucket.put("exports/c.gz", gzip.finish().unwrap());
    bucket.put("exports/deeper/d.ndjson", "no event");
    bucket.put("other.ndjson", "no event");
    (world, bucket)
}

fn run(world: &World, sources: &[&str]) -> (Value, String, Option<i32>) {
    let output = world.output(&[&["backfill", "transactions"], sources].concat());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = if output.stdout.is_empty() { Value::Null } else { printed(&output) };
    (summary, errors, output.status.code())
}

fn places(world: &World) -> HashMap<String, i64> {
    let Ok(text) = std::fs::read(world.dir.join("s.json")) else { return HashMap::new() };
    let state: Value = serde_json::from_slice(&text).unwrap();
    let parts = state["parts"].as_object().unwrap().iter();
    parts.map(|(name, part)| (name.clone(), part["place"]["next"].as_i64().unwrap())).collect()
}

#[test]
fn objects_that_match_are_read_and_after_a_kill_read_on() {
    let options = options(2_000);
    let (world, bucket) = exported("bucket", &options);
    let source = format!("s3://{}/exports/*", bucket.name);
    let total = lines(&options).len() as u64;
    let args = [&["backfill", "transactions", &*source, "--rate", "500"], STATE.as_slice()].concat();
    let running = Running::start(world.command(&args));
    eventually("a checkpoint", || places(&world).values().any(|next| *next > 1).then_some(()));
    running.kill();
    let before: i64 = places(&world).values().map(|next| next - 1).sum();
    assert!(before > 0 && before.unsigned_abs() < total, "{before} of {total} are behind");
    let (summary, errors, code) = run(&world, &[&[&*source], STATE.as_slice()].concat());
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(summary["lines"], total - before.unsigned_abs(), "{summary}");
    let names: Vec<&str> =
        summary["sources"].as_array().unwrap().iter().map(|one| one["source"].as_str().unwrap()).collect();
    let expected = ["a.ndjson", "b.zst", "c.gz"].map(|name| format!("s3://{}/exports/{name}", bucket.name));
    assert_eq!(names, expected);
    world.assert_complete(&options.expect_documents().unwrap());
    // The same by an address of a file.
    std::fs::write(world.dir.join("of the day.ndjson"), lines(&options).join("\n")).unwrap();
    let address = format!("file://{}/of%20the%20day.ndjson", world.dir.display());
    let (summary, errors, code) = run(&world, &[&address]);
    assert_eq!((code, &summary["applied"], &summary["lines"]), (Some(0), &json!(0), &json!(total)), "{errors}");
}

#[test]
fn what_was_written_before_the_credentials_expired_is_not_read_again() {
    let options = options(10_000);
    let (mut world, bucket) = (World::new(PROGRAM, "bucket-expired"), Bucket::new("bucket-expired"));
    for (name, value) in bucket.variables() {
        world.set(name, value);
    }
    bucket.put("all.ndjson", lines(&options).join("\n"));
    let source = format!("s3://{}/all.ndjson", bucket.name);
    // To look at it takes two requests, and its bytes take several.
    let expiring = ExpiringS3::after(5);
    let good = world.env["AWS_ENDPOINT"].clone();
    world.set("AWS_ENDPOINT", &expiring.endpoint);
    let (summary, errors, code) = run(&world, &[&[&*source], STATE.as_slice()].concat());
    assert_eq!(code, Some(75), "{errors}");
    let read = summary["lines"].as_u64().unwrap();
    assert!(read > 0 && read < lines(&options).len() as u64, "{summary}");
    assert!(errors.contains("ExpiredToken") || errors.contains("403"), "{errors}");
    world.set("AWS_ENDPOINT", &good);
    let (again, errors, code) = run(&world, &[&[&*source], STATE.as_slice()].concat());
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(again["lines"].as_u64().unwrap() + read, lines(&options).len() as u64, "{again}");
    world.assert_complete(&options.expect_documents().unwrap());
}

#[test]
fn a_bucket_that_refuses_and_an_object_that_changes_are_named() {
    let options = options(2_000);
    let (mut world, bucket) = exported("bucket-refused", &options);
    let of = |key: &str| format!("s3://{}/{key}", bucket.name);
    for (source, code, says) in [
        (of("exports/none.ndjson"), 64, "there is no s3://"),
        (of("exports/*.parquet"), 64, "nothing matches"),
        (of("exports/"), 64, "*.ndjson"),
        ("s3://no-such-bucket-of-tests/x".to_owned(), 64, "there is no s3://"),
        ("s3://".to_owned(), 69, "s3://BUCKET/KEY"),
    ] {
        let (_, errors, found) = run(&world, &[&source]);
        assert_eq!(found, Some(code), "{source}: {errors}");
        assert!(errors.contains(says), "{errors}");
    }
    let source = of("exports/a.ndjson");
    let args = [&["backfill", "transactions", &*source, "--rate", "200"], STATE.as_slice()].concat();
    let running = Running::start(world.command(&args));
    eventually("a checkpoint", || places(&world).values().any(|next| *next > 1).then_some(()));
    running.kill();
    bucket.put("exports/a.ndjson", lines(&options)[0].clone());
    let (_, errors, code) = run(&world, &[&[&*source], STATE.as_slice()].concat());
    assert!(code == Some(64) && errors.contains("was written anew"), "{code:?}: {errors}");

    let refusing = ExpiringS3::after(0);
    world.set("AWS_ENDPOINT", &refusing.endpoint);
    world.set("AWS_SECRET_ACCESS_KEY", "hunter2");
    let (_, errors, code) = run(&world, &[&source]);
    assert_eq!(code, Some(69), "{errors}");
    assert!(errors.contains("AWS_*") && !errors.contains("hunter2"), "{errors}");
}
