//! What `doctor` says of the consumer's own tables and of its Redis.

use serde_json::{Value, json};

use crate::buffer::{Buffer, Engine, operation};
use crate::on_each;

on_each!(the_doctor_tells_what_waits_and_what_is_odd);

fn said(buffer: &Buffer) -> Vec<(String, String)> {
    let output = buffer.world.output(&["doctor", "database", "--json"]);
    let findings = String::from_utf8(output.stdout).unwrap();
    let of = |line: &str| {
        let finding: Value = serde_json::from_str(line).unwrap();
        (finding["level"].as_str().unwrap().to_owned(), finding["what"].as_str().unwrap().to_owned())
    };
    findings.lines().map(of).collect()
}

fn the_doctor_tells_what_waits_and_what_is_odd(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-doctor");
    let has = |said: &[(String, String)], level: &str, what: &str| {
        said.iter().any(|(known, text)| known == level && text.contains(what))
    };
    // Nothing of ours is there yet.
    let before = said(&buffer);
    assert!(!has(&before, "note", "wait to be taken out"), "{before:?}");
    let user = |id: u64| {
        operation(&id.to_string(), "CREATE", "User", json!({"id": id, "name": "n", "email": format!("{id}@x.co")}))
    };
    buffer.send(&[user(1), user(2)]);
    buffer.run_once();
    let well = said(&buffer);
    assert!(has(&well, "ok", "epoch"), "{well:?}");
    assert!(!has(&well, "note", "more than one partition") && !has(&well, "note", "wait to be"), "{well:?}");
    // One operation more on a row, from another partition; a code that nobody knows; a key that waits.
    let (digest, cast) = if engine == Engine::MariaDb { ("UNHEX('01')", "UNHEX(") } else { ("'\\x01'", "decode(") };
    let hex = if engine == Engine::MariaDb { ")" } else { ", 'hex')" };
    buffer.execute(&format!(
        "INSERT INTO millrace_operations (operation_id, payload_digest, operation, entity, occurred_micros, kafka_topic, \
         kafka_partition, kafka_offset, row_hash, written_columns, rejected) SELECT {digest}, payload_digest, operation, entity, \
         occurred_micros, kafka_topic, kafka_partition + 1, kafka_offset, row_hash, written_columns, 'sql_9999\nwhy' FROM millrace_operations \
         WHERE operation_id = {cast}'31'{hex}"
    ));
    let bytes = "00".repeat(32);
    let entry = "00".repeat(16);
    buffer.execute(&format!(
        "INSERT INTO millrace_dirty_keys (key_digest, entry, cache_key) VALUES ({cast}'{bytes}'{hex}, {cast}'{entry}'{hex}, 'user:1')"
    ));
    buffer.world.set("DATABASE_RESULTS_TOPIC", "database-doctor-nowhere");
    let odd = said(&buffer);
    for (level, what) in [
        ("note", "1 keys of rows wait"),
        ("note", "of 2 rows that were looked at, 1 have operations from more than one partition"),
        ("note", "the error code 9999 is not in the table"),
        ("fault", "database-doctor-nowhere for result events does not exist"),
    ] {
        assert!(has(&odd, level, what), "{what}: {odd:?}");
    }
    buffer.world.set("DATABASE_CACHE", "off");
    assert!(has(&said(&buffer), "ok", "left alone"));
}
