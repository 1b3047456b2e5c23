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
