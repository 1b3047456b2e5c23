//! A backfill that is held up, let go and told another rate while it goes on.

use std::io::{BufRead, BufReader};
use std::process::Child;

use serde_json::{Value, json};
use testkit::services::eventually;

use crate::bench::{Bench, assert_complete, lines, payloads, stream};
use crate::resumed::{SLOWLY, signal};

const STATE: &str = "s.json";

/// Runs one that listens, and gives where.
fn listening(bench: &Bench, args: &[&str]) -> (Child, String) {
    let mut child = bench.command(&[&["a", "--state", STATE, "--http-port", "0"], args].concat()).spawn().unwrap();
    let (heard, addr) = std::sync::mpsc::channel();
    let errors = BufReader::new(child.stderr.take().unwrap());
    // Read to its end, so that the program can go on writing.
    std::thread::spawn(move || {
        for line in errors.lines().map_while(Result::ok) {
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if line["event"] == "HTTP server listening" {
                heard.send(line["addr"].as_str().unwrap().to_owned()).ok();
            }
        }
    });
    (child, format!("http://{}", addr.recv().unwrap()))
}

fn post(url: &str) -> (u16, Value) {
    let answer = reqwest::blocking::Client::new().post(url).send().unwrap();
    (answer.status().as_u16(), answer.json().unwrap())
}

fn standing(addr: &str) -> Value {
    reqwest::blocking::get(format!("{addr}/backfill")).unwrap().json().unwrap()
}

#[test]
fn paused_resumed_and_given_another_rate_by_http_it_comes_to_the_same() {
    let options = stream(1_000);
    let bench = Bench::new();
    bench.write("a", &lines(&payloads(&options)));
    // At this rate it would take twenty minutes.
    let (child, addr) = listening(&bench, &["--rate", "1"]);
    let (status, answer) = post(&format!("{addr}/backfill/pause"));
    assert_eq!((status, &answer["paused"], &answer["rate"]), (202, &json!(true), &json!(1)));
    eventually("what it waits for", || {
        let waits = standing(&addr)["waits_for"].to_string();
        waits.contains("paused by hand").then_some(())
    });
    let ready = reqwest::blocking::get(format!("{addr}/readyz")).unwrap();
    assert_eq!(ready.status().as_u16(), 503);
    assert_eq!(post(&format!("{addr}/backfill/rate/fast")).0, 400);
    assert_eq!(post(&format!("{addr}/backfill/rate/0")).1["rate"], json!(null));
    let foreign = reqwest::blocking::Client::new()
        .post(format!("{addr}/backfill/resume"))
        .header("Origin", "http://evil.example");
    assert_eq!(foreign.send().unwrap().status().as_u16(), 403, "no page of somebody else steers it");
    assert_eq!(standing(&addr)["paused"], true);
    assert_eq!(post(&format!("{addr}/backfill/resume")).1["paused"], false);
    assert!(child.wait_with_output().unwrap().status.success());
    assert_complete(&bench.held(), &options);
}

#[test]
fn signals_pause_and_resume_it() {
    let options = stream(2_000);
    let bench = Bench::new();
    bench.write("a", &lines(&payloads(&options)));
    let (child, addr) = listening(&bench, &SLOWLY);
    signal(&child, "USR1");
    eventually("a pause", || (standing(&addr)["paused"] == true).then_some(()));
    signal(&child, "USR2");
    eventually("no pause", || (standing(&addr)["paused"] == false).then_some(()));
    assert!(child.wait_with_output().unwrap().status.success());
    assert_complete(&bench.held(), &options);
}

#[test]
fn a_lag_that_nobody_tells_holds_it_up_and_it_can_be_stopped_meanwhile() {
    let bench = Bench::new();
    bench.write("a", &lines(&payloads(&stream(100))));
    let (child, addr) = listening(&bench, &["--max-lag", "10"]);
    eventually("what it waits for", || {
        standing(&addr)["waits_for"].to_string().contains("the lag of the live consumer is not known").then_some(())
    });
    signal(&child, "TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75));
    assert_eq!(bench.held().len(), 0, "unknown is not zero");
}
