//! What an outsider can do at the HTTP port, and how the program ends all the same.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};
use testkit::program::Running;
use testkit::services::{elasticsearch, eventually};
use testkit::world::World;

use crate::PROGRAM;
use crate::commands::send;

fn post(running: &Running, path: &str, headers: &[(&str, &str)]) -> u16 {
    let url = format!("http://{}{path}", running.addr());
    let request = reqwest::blocking::Client::new().post(url);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().unwrap().status().as_u16()
}

/// An index whose mapping refuses what is sent: a text is no number.
pub fn spoiled(world: &World) {
    let mappings = json!({"properties": {"product": {"type": "integer"}}});
    let index = json!({"mappings": mappings, "aliases": {&world.name: {"is_write_index": true}}});
    assert_eq!(elasticsearch("PUT", &format!("/{}-000001", world.name), Some(&index)).0, 200);
}

fn publish_refused(world: &World, count: usize) {
    let event = |n: usize| {
        json!({"event_type": "transaction.created", "timestamp": "2026-01-01T00:00:01Z",
            "transaction": {"id": format!("t{n}"), "user_id": "u", "transaction_type": "card", "product": "no number"}})
        .to_string()
    };
    let events: Vec<(String, String)> = (0..count).map(|n| (format!("u{n}"), event(n))).collect();
    let records: Vec<(&str, &str)> = events.iter().map(|(key, event)| (key.as_str(), event.as_str())).collect();
    world.send(&world.name, &records);
}

#[test]
fn a_foreign_page_buries_nothing() {
    let world = World::new(PROGRAM, "page");
    world.create_topic(&[]);
    spoiled(&world);
    let running = world.start();
    running.await_ready();
    // While nothing is wrong: from a foreign page, from an own one, and without any.
    assert_eq!(post(&running, "/continue/transactions", &[("Origin", "http://evil.example")]), 403);
    assert_eq!(post(&running, "/continue/transactions", &[("Sec-Fetch-Site", "cross-site")]), 403);
    assert_eq!(post(&running, "/continue/transactions", &[("Host", "evil.example")]), 403);
    assert_eq!(post(&running, "/continue/transactions", &[]), 409);
    assert_eq!(post(&running, "/continue", &[]), 400);
    publish_refused(&world, 4_000);
    running.await_reason("/continue/transactions");
    let buried = world.letters().len();
    assert!(buried < 1_500, "{buried} letters: the breaker was disarmed");
    assert_eq!(post(&running, "/continue/transactions", &[("Origin", "http://evil.example")]), 403);
    assert_eq!(post(&running, "/continue/transactions-audit", &[]), 404);
    // What was refused before it opened may still be on its way.
    assert!(world.letters().len() < 1_500, "the breaker was disarmed");
    assert_eq!(post(&running, "/continue/transactions", &[]), 202);
    eventually("all letters", || (world.letters().len() == 4_000).then_some(()));
    assert!(running.terminate().success());
}

#[test]
fn half_a_request_holds_up_no_stop() {
    let world = World::new(PROGRAM, "half");
    world.create_topic(&[]);
    send(&world, &json!({"event_type": "transaction.created"}));
    let running = world.start();
    running.await_ready();
    let held: Vec<TcpStream> = (0..300)
        .map(|n| {
            let mut stream = TcpStream::connect(running.addr()).unwrap();
            stream
                .write_all(&b"POST /continue HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"[..n % 60])
                .ok();
            stream
        })
        .collect();
    assert_eq!(running.ready().0, 200, "others are answered");
    assert!(running.terminate().success());
    drop(held);

    let mut once = Running::start(world.command(&["run", "transactions", "--once"]));
    let held = TcpStream::connect(once.addr()).unwrap();
    (&held).write_all(b"GET /livez HTTP/1.1\r\n").unwrap();
    assert!(once.wait().success());
}

#[test]
fn it_is_not_ready_before_it_has_partitions() {
    let world = World::new(PROGRAM, "early");
    world.create_topic(&[]);
    let running = world.start();
    running.await_events("Partitions assigned", 1);
    let log = running.log();
    let mut standing = BTreeSet::new();
    for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        match line["event"].as_str() {
            Some("Not ready") => standing.insert(line["source"].to_string()),
            // Said just before the line that counts the partitions.
            Some("Ready again") if line["source"] == "assignment" => break,
            Some("Ready again") => standing.remove(&line["source"].to_string()),
            _ => continue,
        };
        assert!(!standing.is_empty(), "ready too early: {log}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut world = World::new(PROGRAM, "second");
    world.create_topic(&[]);
    world.set("CONSUMER_SESSION_TIMEOUT", "30000");
    // Without its index the store takes no write, so what is in flight stays there until the drain gives up.
    let mut running = world.start();
    let event = json!({"event_type": "transaction.created", "timestamp": "2026-01-01T00:00:01Z",
        "transaction": {"id": "t", "user_id": "u", "transaction_type": "card"}});
    running.await_ready();
    elasticsearch("DELETE", &format!("/{}-000001", world.name), None);
    send(&world, &event);
    running.await_reason("elasticsearch");
    running.signal("TERM");
    running.await_events("Stopping: finishing what is in flight", 1);
    running.signal("INT");
    let status = running.wait();
    assert_eq!((status.code(), status.signal()), (Some(75), None));
    let said = running.events("Ended at once");
    assert!(
        said[0]["left"].as_str().unwrap().contains("read again") && said[0]["why"].as_str().unwrap().contains("SIGINT")
    );
    assert_eq!(world.lag(), 1, "it is read again");
}

#[test]
fn a_signal_ends_other_commands() {
    let mut world = World::new(PROGRAM, "verify-signal");
    // Nobody answers there, and the command waits.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    world.set("KAFKA_BOOTSTRAP_SERVERS", &silent.local_addr().unwrap().to_string());
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut running = Running::start(world.command(&["verify", "transactions"]));
        silent.accept().unwrap();
        running.signal(signal);
        assert_eq!(running.wait().code(), Some(code));
    }
}
