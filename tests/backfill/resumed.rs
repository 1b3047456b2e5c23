//! A backfill that is killed or stopped goes on where the store's word ends.

use std::process::{Child, Command};

use serde_json::json;

use crate::bench::{Bench, assert_complete, ended, gzip, lines, payloads, stream, zstd};

const STATE: &str = "s.json";

/// At this rate there is time to interrupt a backfill of a few thousand records.
pub const SLOWLY: [&str; 2] = ["--rate", "500"];

pub fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap().success());
}

#[test]
fn killed_five_times_and_resumed_it_equals_an_undisturbed_one() {
    let options = stream(8_000);
    let all = lines(&payloads(&options));
    let frames: Vec<u8> = all.chunks(100_000).flat_map(zstd).collect();
    for (name, bytes) in [("plain", all.clone()), ("members", [gzip(&all), gzip(b"\n")].concat()), ("frames", frames)] {
        let bench = Bench::new();
        bench.write(name, &bytes);
        let mut line = 1;
        for _ in 0..5 {
            let mut child = bench.start(&[&[name, "--state", STATE], &SLOWLY[..]].concat());
            line = bench.await_line(STATE, line);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let last = bench.next_line(STATE).unwrap();
        let (summary, code) = Bench::run(&bench, &[name, "--state", STATE]);
        assert_eq!((code, &summary["finished"]), (0, &json!(true)), "{summary}");
        let read = summary["lines"].as_i64().unwrap();
        assert!(last > 5 && read + last - 1 == lines_of(&all), "it reads on at the checkpoint's line: {summary}");
        assert_complete(&bench.held(), &options);
    }
}

fn lines_of(bytes: &[u8]) -> i64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as i64
}

#[test]
fn told_to_stop_it_finishes_what_is_in_flight_and_goes_on_behind_it() {
    assert!(!reads_twice(None));
}

/// Stops a backfill in the middle and goes on; gives whether lines were read twice.
pub fn reads_twice(mutant: Option<&str>) -> bool {
    let mut bench = Bench::new();
    let events = payloads(&stream(4_000));
    // What is no event, and no line, has a position all the same.
    let text: Vec<String> = events.iter().map(|event| format!("\n{event}")).collect();
    bench.write("a", &lines(&text));
    if let Some(mutant) = mutant {
        bench.env.insert("MILLRACE_MUTANT", mutant.to_owned());
    }
    let child = bench.command(&[&["a", "--state", STATE], &SLOWLY[..]].concat()).spawn().unwrap();
    bench.await_line(STATE, 1);
    signal(&child, "TERM");
    let output = child.wait_with_output().unwrap();
    let (first, code) = ended(&output);
    assert_eq!((code, &first["stopped"]), (75, &json!("told to")), "{first}");
    let finished = |summary: &serde_json::Value| -> u64 {
        ["applied", "superseded", "duplicate"].iter().map(|name| summary[name].as_u64().unwrap()).sum()
    };
    let (second, code) = bench.run(&["a", "--state", STATE]);
    assert_eq!((code, &second["finished"]), (0, &json!(true)), "{second}");
    finished(&first) + finished(&second) != events.len() as u64
}

#[test]
fn of_two_runners_on_one_checkpoint_the_second_is_refused() {
    let bench = Bench::new();
    bench.write("a", &lines(&payloads(&stream(3_000))));
    let mut child = bench.start(&[&["a", "--state", STATE], &SLOWLY[..]].concat());
    bench.await_line(STATE, 1);
    bench.refuses(&["a", "--state", STATE], 75, &["s.json is in use by another backfill"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(bench.run(&["a", "--state", STATE]).1, 0, "a lock ends with its holder");
}

#[test]
fn a_source_that_is_added_is_read_and_those_before_are_not_read_again() {
    let bench = Bench::new();
    let events = payloads(&stream(200));
    let (first, second) = events.split_at(50);
    bench.write("b", &lines(first));
    bench.run(&["b", "--state", STATE]);
    bench.write("a", &lines(second));
    let (summary, code) = bench.run(&["a", "b", "--state", STATE]);
    assert_eq!((code, &summary["lines"]), (0, &json!(second.len())), "{summary}");
    assert_complete(&bench.held(), &stream(200));
}

#[test]
fn rejects_of_a_killed_run_stand_once() {
    let bench = Bench::new();
    let mut events = payloads(&stream(3_000));
    let wrong: Vec<usize> = (0..events.len()).step_by(10).collect();
    wrong.iter().for_each(|index| events[*index] = "{\"wrong\": true}".to_owned());
    bench.write("a", &lines(&events));
    let mut child = bench.start(&[&["a", "--state", STATE], &SLOWLY[..]].concat());
    bench.await_line(STATE, 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let (summary, code) = bench.run(&["a", "--state", STATE]);
    assert_eq!((code, &summary["rejected"]), (1, &json!(wrong.len())), "{summary}");
    let mut lines: Vec<i64> = bench.rejects("s.rejects.ndjson").into_iter().map(|(line, _)| line).collect();
    lines.sort_unstable();
    assert_eq!(lines, wrong.iter().map(|index| *index as i64 + 1).collect::<Vec<_>>());
}
