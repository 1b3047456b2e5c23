//! What `jobs`, `explain` and `verify` know of backfills.

use serde_json::{Value, json};
use testkit::program::Running;
use testkit::services::eventually;
use testkit::world::World;

use crate::PROGRAM;

/// Where the last line of a file stands among documents that only a backfill wrote.
fn line(id: &str, second: u32) -> String {
    json!({"event_type": "transaction.created", "timestamp": format!("2026-01-01T00:00:{second:02}Z"),
        "transaction": {"id": id, "user_id": "u", "transaction_type": "card"}})
    .to_string()
}

fn write(world: &World, file: &str, lines: &[String]) {
    std::fs::write(world.dir.join(file), lines.join("\n") + "\n").unwrap();
}

/// The jobs whose first source is this file of the world.
fn jobs(world: &World, file: &str) -> Vec<Value> {
    let output = world.output(&["jobs", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let source = format!("file:{}", world.dir.canonicalize().unwrap().join(file).display());
    let text = String::from_utf8(output.stdout).unwrap();
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|job| job["sources"][0]["source"] == source.as_str()).collect()
}

fn backfill(world: &World, args: &[&str]) -> Option<i32> {
    world.output(&[&["backfill", "transactions"], args].concat()).status.code()
}

#[test]
fn a_backfill_is_seen_while_it_runs_when_it_was_killed_and_when_it_ended() {
    let world = World::new(PROGRAM, "jobs");
    let lines: Vec<String> = (0..400).map(|n| line(&format!("t{n}"), 1)).collect();
    write(&world, "a.ndjson", &lines);
    let args = ["backfill", "transactions", "a.ndjson", "--state", "s.json", "--rate", "2"];
    let running = Running::start(world.command(&args));
    let seen = eventually("the job", || jobs(&world, "a.ndjson").pop().filter(|job| job["lines"].as_u64() > Some(0)));
    assert_eq!((&seen["state"], &seen["alive"]), (&json!("running"), &json!(true)), "{seen}");
    assert_eq!((&seen["system"], &seen["command"]), (&json!("transactions"), &json!("backfill")), "{seen}");
    assert!(seen["percent"].as_u64().is_some() && seen["process"].as_u64().is_some(), "{seen}");
    running.kill();
    let silent = eventually("no sign of life", || jobs(&world, "a.ndjson").pop().filter(|job| job["alive"] == false));
    assert_eq!(silent["state"], "running", "it did not say that it ends: {silent}");
    let text = String::from_utf8(world.output(&["jobs"]).stdout).unwrap();
    let id = silent["job"].as_str().unwrap();
    let shown = text.lines().find(|line| line.starts_with(id)).unwrap();
    assert!(shown.contains("no sign of life since") && shown.contains("was running"), "{shown}");
    // The same job goes on, and ends.
    assert_eq!(backfill(&world, &["a.ndjson", "--state", "s.json"]), Some(0));
    let known = jobs(&world, "a.ndjson");
    assert_eq!(known.len(), 1, "{known:?}");
    let ended = &known[0];
    assert_eq!((&ended["job"], &ended["state"], &ended["lines"]), (&silent["job"], &json!("finished"), &json!(400)));
    assert_eq!(ended["sources"][0]["finished"], true, "{ended}");
    // One that fails says why.
    write(&world, "b.ndjson", &vec!["no event".to_owned(); 20]);
    assert_eq!(backfill(&world, &["b.ndjson", "--max-rejects", "3"]), Some(75));
    let failed = &jobs(&world, "b.ndjson")[0];
    assert!(failed["state"] == "failed" && failed["why"].as_str().unwrap().contains("--max-rejects"), "{failed}");
    assert!(world.output(&["jobs", "--forget", failed["job"].as_str().unwrap()]).status.success());
    assert!(jobs(&world, "b.ndjson").is_empty());
    assert_eq!(world.output(&["jobs", "--forget", "nothing"]).status.code(), Some(64));
}

#[test]
fn a_paused_backfill_is_seen_as_paused() {
    let world = World::new(PROGRAM, "jobs-paused");
    write(&world, "a.ndjson", &(0..40).map(|n| line(&format!("t{n}"), 1)).collect::<Vec<_>>());
    let args = ["backfill", "transactions", "a.ndjson", "--rate", "1", "--http-port", "0"];
    let running = Running::start(world.command(&args));
    let url = format!("http://{}/backfill/pause", running.addr());
    assert!(reqwest::blocking::Client::new().post(url).send().unwrap().status().is_success());
    let seen = eventually("a pause", || jobs(&world, "a.ndjson").pop().filter(|job| job["state"] == "paused"));
    assert!(seen["why"].as_str().unwrap().contains("paused by hand"), "{seen}");
    assert_eq!(running.terminate().code(), Some(75));
    assert_eq!(jobs(&world, "a.ndjson")[0]["state"], "stopped");
}

fn findings(world: &World) -> (Option<i32>, Value, String) {
    let output = world.output(&["verify", "transactions", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let sums: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    (output.status.code(), sums["findings"].clone(), text)
}

fn explain(world: &World, id: &str) -> (Option<i32>, String) {
    let output = world.output(&["explain", id]);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_document_of_a_backfill_is_explained_by_its_line_and_is_no_phantom() {
    let world = World::new(PROGRAM, "jobs-provenance");
    world.create_topic(&[]);
    world.send(&world.name, &[("live", &line("live", 1))]);
    world.run_once();
    write(&world, "a.ndjson", &[line("other", 2), String::new(), line("filed", 3)]);
    assert_eq!(backfill(&world, &["a.ndjson"]), Some(0));
    let id = jobs(&world, "a.ndjson")[0]["job"].as_str().unwrap().to_owned();
    let file = world.dir.canonicalize().unwrap().join("a.ndjson").display().to_string();

    let (code, text) = explain(&world, "filed");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("created by backfill {file} line 3 ")), "{text}");
    let (code, found, lines) = findings(&world);
    assert_eq!((code, &found), (Some(75), &json!({"unexplained": 2})), "{lines}");
    assert!(lines.contains(&format!("may be of the backfill {id} of file:{file}")), "{lines}");
    let repaired = world.output(&["verify", "transactions", "--repair", "--delete-phantoms"]);
    assert_eq!(repaired.status.code(), Some(75), "nothing is removed");
    assert_eq!(world.documents().len(), 3);

    // Its file is another now: the backfill alone is named.
    write(&world, "a.ndjson", &[line("other", 2)]);
    let (code, text) = explain(&world, "filed");
    assert_eq!(code, Some(75), "{text}");
    assert!(text.contains(&format!("the backfill {id} of ")) && text.contains("it has changed since"), "{text}");
    // Outside of its versions, and once it is forgotten, a document that no event is about is a phantom.
    assert!(world.output(&["jobs", "--forget", &id]).status.success());
    let (code, found, lines) = findings(&world);
    assert_eq!((code, &found), (Some(1), &json!({"phantom": 2})), "{lines}");
    let (code, text) = explain(&world, "filed");
    assert!(code == Some(1) && text.contains("--delete-phantoms"), "{text}");
}
