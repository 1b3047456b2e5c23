//! The demo, as a newcomer runs it: nothing is installed, and nothing in the environment is needed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the answer")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn demo(arguments: &[&str]) -> (Command, PathBuf) {
    let name = format!("millrace-demo-test-{}-{}.db", std::process::id(), arguments.len());
    let file = std::env::temp_dir().join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    // Variables that would be in the way, if they were asked.
    command.env_clear().env("KAFKA_BOOTSTRAP_SERVERS", "nowhere:1").env("CONSUMER_BATCH_SIZE", "many");
    command.args(["demo", "--seed", "7", "--file"]).arg(&file).args(arguments);
    (command, file)
}

fn remove(file: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        std::fs::remove_file(path).ok();
    }
}

/// The next line that starts so.
fn next(lines: &mut impl Iterator<Item = String>, start: &str) -> String {
    lines.find(|line| line.trim_start().starts_with(start)).unwrap_or_else(|| panic!("no line {start}"))
}

#[test]
fn it_checks_its_own_result_and_finds_things() {
    let (mut command, file) = demo(&[]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.matches("\n  ok ").count(), 5, "{text}");
    assert!(text.contains("20000 in ") && text.contains(&file.display().to_string()), "{text}");
    let hits: Vec<u32> = text
        .lines()
        .filter(|line| line.starts_with("Search "))
        .map(|line| line.split("): ").last().unwrap().trim_end_matches(" hits").parse().unwrap())
        .collect();
    assert!(hits.len() == 3 && hits.iter().all(|hits| *hits > 0), "{text}");
    let again = command.output().unwrap();
    assert_eq!(again.status.code(), Some(64), "a file that is there is not touched");
    assert!(String::from_utf8_lossy(&again.stderr).contains("it exists"));
    remove(&file);
}

#[test]
fn kept_it_serves_until_it_is_told_to_stop() {
    let (mut command, file) = demo(&["--keep"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let broker = next(&mut lines, "Broker").split_whitespace().nth(1).unwrap().to_owned();
    let url = next(&mut lines, "Serving").split_whitespace().nth(1).unwrap().to_owned();
    next(&mut lines, "millrace publish");
    let applied = || {
        let health: serde_json::Value =
            serde_json::from_str(&reqwest::blocking::get(&url).unwrap().text().unwrap()).unwrap();
        health["details"]["transactions"]["outcomes"]["applied"].as_u64().unwrap()
    };
    let before = applied();
    let mut publish = Command::new(env!("CARGO_BIN_EXE_millrace"));
    publish.env_clear().args(["publish", "--count", "100", "--update-ratio", "0", "--kafka-servers", &broker]);
    assert!(publish.stdout(Stdio::null()).status().unwrap().success());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while applied() < before + 100 {
        assert!(std::time::Instant::now() < deadline, "what is published is indexed");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let mut rest = String::new();
    lines.for_each(|line| rest.push_str(&line));
    assert!(child.wait().unwrap().success(), "{rest}");
    remove(&file);
}
