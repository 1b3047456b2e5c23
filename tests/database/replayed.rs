//! Letters that are replayed after later operations, and marks that are purged.

use serde_json::{Value, json};

use crate::bad_input::family;
use crate::buffer::{Buffer, Engine, operation};
use crate::on_each;

on_each!(an_older_letter_writes_the_columns_that_nobody_wrote_later, old_marks_are_purged_and_how_far_is_noted,);

fn child(id: &str, verb: &str, data: Value) -> Value {
    operation(id, verb, "Child", data)
}

fn parent(id: u64) -> Value {
    operation(&format!("p{id}"), "CREATE", "Parent", json!({"id": id}))
}

fn replay(buffer: &Buffer) -> Value {
    let output = buffer.world.output(&["dlq", "replay", "--system", "database"]);
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn an_older_letter_writes_the_columns_that_nobody_wrote_later(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-older");
    buffer.world.set("MAX_RETRY_ATTEMPTS", "1");
    family(&mut buffer);
    buffer.execute("ALTER TABLE \"children\" ADD \"note\" VARCHAR(20)");
    buffer.execute("ALTER TABLE \"children\" ADD \"hint\" VARCHAR(20)");
    let old = json!({"id": 1, "parent": 2, "name": "old", "note": "old", "hint": "old"});
    buffer.send(&[
        parent(1),
        child("1", "BULK_CREATE", json!([{"id": 1, "parent": 1}, {"id": 2, "parent": 1}])),
        child("2", "UPDATE", old),
    ]);
    assert_eq!(buffer.run_once()["dead_lettered"], json!(1));
    buffer.send(&[
        child("3", "UPDATE", json!({"id": "1", "name": "new"})),
        child("4", "BULK_UPDATE", json!({"ids": [1, 2], "values": {"note": "both"}})),
        parent(2),
    ]);
    assert_eq!(buffer.run_once()["applied"], json!(3));
    let summary = replay(&buffer);
    assert_eq!((&summary["applied"], &summary["rejected"]), (&json!(1), &json!(0)), "{summary}");
    let rows = || buffer.rows("children", &["id", "parent", "name", "note", "hint"]);
    let row = |values: [Option<&str>; 5]| values.map(|value| value.map(str::to_owned)).to_vec();
    assert_eq!(
        rows(),
        [
            row([Some("1"), Some("2"), Some("new"), Some("both"), Some("old")]),
            row([Some("2"), Some("1"), None, Some("both"), None]),
        ]
    );
    // Of this one nothing is left, and of one that was deleted since neither.
    buffer.send(&[
        child("5", "UPDATE", json!({"id": 1, "parent": 3})),
        child("6", "UPDATE", json!({"id": 2, "parent": 3})),
        child("7", "CREATE", json!({"id": 3, "parent": 3})),
    ]);
    assert_eq!(buffer.run_once()["dead_lettered"], json!(3));
    buffer.send(&[
        child("8", "UPDATE", json!({"id": 1, "parent": 1})),
        child("9", "DELETE", json!({"id": 2})),
        child("10", "DELETE", json!({"id": 3})),
        parent(3),
    ]);
    buffer.run_once();
    let summary = replay(&buffer);
    assert_eq!((&summary["superseded"], &summary["applied"]), (&json!(3), &json!(0)), "{summary}");
    assert_eq!(rows(), [row([Some("1"), Some("1"), Some("new"), Some("both"), Some("old")])]);
}

fn old_marks_are_purged_and_how_far_is_noted(engine: Engine) {
    let buffer = Buffer::new(engine, "database-purged");
    let rows = |ids: [u64; 2]| json!(ids.map(|id| json!({"id": id, "name": "n", "email": format!("{id}@x.co")})));
    buffer.send(&[
        operation("old", "BULK_CREATE", "User", rows([1, 2])),
        operation("new", "BULK_CREATE", "User", rows([3, 4])),
    ]);
    buffer.run_once();
    let purge = |older: &str| buffer.world.output(&["purge", "database", "--older-than", older, "--json"]);
    assert!(!purge("1h").status.success(), "the topic keeps records for longer");
    let old = if engine == Engine::MariaDb { "NOW() - INTERVAL 60 DAY" } else { "now() - INTERVAL '60 days'" };
    buffer.execute(&format!("UPDATE millrace_operations SET applied_at = {old} WHERE kafka_offset = 0"));
    let report = testkit::program::printed(&purge("40d"));
    assert_eq!((&report["removed"], &report["looked_at"]), (&json!(1), &json!(2)), "{report}");
    assert_eq!(buffer.rows("millrace_operations", &["kafka_offset"]), [[Some("1".to_owned())]]);
    assert_eq!(buffer.rows("millrace_bulk_rows", &["row_hash"]).len(), 2);
    assert_eq!(buffer.rows("millrace_operations_horizon", &["only_one"]).len(), 1);
    assert_eq!(testkit::program::printed(&purge("40d"))["removed"], json!(0));
}
