//! What the worker says of itself: lines that people know by their words, in the log and in files.

use serde_json::{Value, json};

use crate::buffer::{Buffer, Engine, operation};
use crate::on_each;

on_each!(the_lines_of_the_worker_are_kept);

fn the_lines_of_the_worker_are_kept(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-lines");
    let dir = buffer.world.dir.join("logs");
    buffer.world.set("LOG_LEVEL", "debug");
    buffer.world.set("LOG_DIR", dir.to_str().unwrap());
    buffer.send(&[
        operation("a", "CREATE", "User", json!({"id": 1, "name": "hunter2", "email": "a@x.co"})),
        operation("b", "UPDATE", "User", json!({"id": 1, "nope": "hunter2"})),
    ]);
    buffer.send_raw(&["not json"]);
    let mut running = buffer.start();
    running.await_events("Operation processed successfully", 1);
    running.await_events("DEAD LETTER QUEUE - Operation failed after all retries", 2);
    buffer.await_drained();
    running.signal("TERM");
    assert!(running.wait().success());
    assert_eq!(running.events("Received operation from Kafka").len(), 3);
    let subscribed = format!("Subscribed to topic: {}", buffer.topic());
    let all = [
        "Kafka Consumer connected",
        &subscribed,
        "Health monitoring stopped",
        "Kafka Consumer disconnected",
        "Database connection closed",
        "Redis disconnected",
    ];
    let lines: Vec<Value> = running.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let said: Vec<&str> =
        lines.iter().filter_map(|line| line["event"].as_str()).filter(|said| all.contains(said)).collect();
    assert_eq!(said, all);
    let letters = running.events("DEAD LETTER QUEUE - Operation failed after all retries");
    let letter = letters.iter().find(|letter| letter["operationId"] == "b").unwrap();
    assert_eq!((&letter["entity"], &letter["level"]), (&json!("User"), &json!("error")));
    assert!(letter["error"].as_str().unwrap().contains("`nope`") && letter["timestamp"].is_string(), "{letter}");
    assert!(letter["stack"].as_str().unwrap().starts_with("unknown_column: "), "{letter}");
    let file = |name| std::fs::read_to_string(dir.join(name)).unwrap();
    let (combined, errors) = (file("combined.log"), file("error.log"));
    assert!(!combined.contains("hunter2"), "a value of a payload is in the log");
    assert!(said.iter().all(|said| combined.contains(*said)) && combined.contains("DEAD LETTER QUEUE"));
    assert_eq!(errors.lines().count(), 2, "{errors}");
}
