//! The program measured: everything of its own is taken away again, and a figure counts only where the result is right.

use rdkafka::consumer::Consumer;
use serde_json::Value;
use testkit::services::elasticsearch;
use testkit::world::World;

use crate::PROGRAM;

#[test]
fn a_measured_run_is_verified_and_leaves_nothing_behind() {
    let world = World::new(PROGRAM, "bench");
    let args = ["bench", "--events", "6000", "--partitions", "3", "--rounds", "1", "--scenario", "dups"];
    let output = world.output(&[&args[..], &["--json", "result.json", "--svg", "result.svg"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("Each of 1 runs was verified: missing 0, stale 0, twice 0, other findings 0."), "{shown}");

    let result: Value = serde_json::from_slice(&std::fs::read(world.dir.join("result.json")).unwrap()).unwrap();
    let rows = result["measured"]["rows"].as_array().unwrap();
    let subjects: Vec<&str> = rows.iter().map(|row| row["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["consumption", "null_store", "bare_writes", "program"]);
    let records = |row: usize| rows[row]["records"].as_u64().unwrap();
    let sent = result["workload"]["records"].as_u64().unwrap();
    assert_eq!(records(0), sent, "all of the topic is read");
    assert!(records(2) < sent, "copies are no writes");
    assert!(records(3) > 0 && rows.iter().all(|row| row["seconds"].as_f64().unwrap() > 0.0));
    assert!(result["environment"]["elasticsearch"].as_str().is_some_and(|version| !version.is_empty()));
    assert!(std::fs::read_to_string(world.dir.join("result.svg")).unwrap().contains("</svg>"));

    let topic = result["workload"]["topic"].as_str().unwrap();
    let (_, left) = elasticsearch("GET", &format!("/_cat/indices/{topic}*?format=json"), None);
    assert_eq!(left.as_array().map(Vec::len), Some(0), "{left}");
    let topics = world.group("look").fetch_metadata(None, std::time::Duration::from_secs(10)).unwrap();
    assert!(!topics.topics().iter().any(|found| found.name().starts_with(topic)));
}

#[test]
fn runs_of_different_workloads_are_not_compared() {
    let world = World::new(PROGRAM, "bench-compare");
    let small = ["bench", "--partitions", "2", "--rounds", "1", "--events"];
    assert!(world.output(&[&small[..], &["2000", "--json", "before.json"]].concat()).status.success());
    let output = world.output(&[&small[..], &["3000", "--compare", "before.json"]].concat());
    let why = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{why}");
    assert!(why.contains("they did not read the same"), "{why}");
    let output = world.output(&[&small[..], &["2000", "--compare", "missing.json"]].concat());
    assert_eq!(output.status.code(), Some(64), "it is said before anything is measured");
}

#[test]
fn latency_is_measured_under_live_traffic_and_nothing_is_left_behind() {
    let mut world = World::new(PROGRAM, "bench-steady");
    world.set("CONSUMER_BATCH_TIMEOUT", "0.2");
    let args =
        ["bench", "--events", "2000", "--partitions", "3", "--rounds", "1", "--scenario", "steady", "--seconds", "1"];
    let output = world.output(&[&args[..], &["--json", "result.json", "--svg", "result.svg"]].concat());
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("Each of 1 runs was verified: missing 0, stale 0, twice 0, other findings 0."), "{shown}");

    let result: Value = serde_json::from_slice(&std::fs::read(world.dir.join("result.json")).unwrap()).unwrap();
    let latency = &result["latency"];
    let number = |value: &Value| value.as_f64().unwrap();
    let tried = latency["tried"].as_array().unwrap();
    let capacity = number(&latency["capacity"]);
    assert!(tried.iter().any(|tried| tried["sustainable"] == true && number(&tried["rate"]) == capacity), "{tried:?}");
    let rows = latency["rows"].as_array().unwrap();
    let loads: Vec<(&str, f64)> =
        rows.iter().map(|row| (row["subject"].as_str().unwrap(), number(&row["share"]))).collect();
    let each = |share| [("program", share), ("bare_writes", share)];
    assert_eq!(loads, [each(0.25), each(0.5), each(0.8)].concat());
    for row in rows {
        let times = &row["latency"];
        let (half, most) = (number(&times["p50_ms"]), number(&times["max_ms"]));
        assert!(0.0 < half && half <= number(&times["p99_ms"]) && number(&times["p99_ms"]) <= most, "{row}");
        let percentiles = times["percentiles"].as_array().unwrap();
        assert_eq!(percentiles.last().unwrap()[0], 100.0, "the whole distribution is there");
        if row["subject"] == "program" {
            let (due, counted) = (number(&row["rate"]) * number(&row["seconds"]), number(&times["records"]));
            assert!((counted - due).abs() <= 2.0, "every record that was to be sent counts: {counted} of {due}");
            assert_eq!((row["unfinished"].as_u64(), row["publishing"]["records"].as_f64()), (Some(0), Some(counted)));
            assert!(number(&row["publishing"]["p50_ms"]) < most, "a record is in Kafka before it is in the store");
            assert_eq!(row["verified"]["missing"], 0);
        }
    }
    assert!(std::fs::read_to_string(world.dir.join("result.svg")).unwrap().contains("capacity "));

    let topic = result["workload"]["topic"].as_str().unwrap();
    let (_, left) = elasticsearch("GET", &format!("/_cat/indices/{topic}*?format=json"), None);
    assert_eq!(left.as_array().map(Vec::len), Some(0), "{left}");
    let topics = world.group("look").fetch_metadata(None, std::time::Duration::from_secs(10)).unwrap();
    assert!(!topics.topics().iter().any(|found| found.name().starts_with(topic)));
}
