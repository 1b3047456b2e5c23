//! `explain` tells what became of each operation of a row; `erase` says that it cannot reach rows.

use serde_json::{Value, json};

use crate::bad_input::family;
use crate::buffer::{Buffer, Engine, operation};
use crate::on_each;

on_each!(what_became_of_each_operation_of_a_row_is_told, erasing_from_rows_is_refused);

fn explained(buffer: &Buffer, which: &[&str]) -> (Vec<Value>, i32) {
    let output = buffer.world.output(&[&["explain", "--system", "database", "--json"], which].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let told = text.lines().last().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told = told.map(|told| told["operations"].as_array().unwrap().clone()).unwrap_or_default();
    (told, output.status.code().unwrap())
}

fn fates(told: &[Value]) -> Vec<(&str, &str)> {
    told.iter().map(|one| (one["operation_id"].as_str().unwrap(), one["fate"].as_str().unwrap())).collect()
}

fn what_became_of_each_operation_of_a_row_is_told(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-explained");
    buffer.world.set("MAX_RETRY_ATTEMPTS", "1");
    family(&mut buffer);
    let child = |id: &str, verb: &str, data: Value| operation(id, verb, "Child", data);
    let parent = |id: u64| operation(&format!("p{id}"), "CREATE", "Parent", json!({"id": id}));
    let copy = child("named", "UPDATE", json!({"where": {"id": "1"}, "values": {"name": "b"}}));
    buffer.send(&[
        parent(1),
        child("made", "CREATE", json!({"id": 1, "parent": 1})),
        child("other", "CREATE", json!({"id": 11, "parent": 1})),
        copy.clone(),
        copy,
        child("moved", "UPDATE", json!({"id": 1, "parent": 2})),
        child("again", "BULK_CREATE", json!([{"id": 2, "parent": 1}, {"id": 1, "parent": 1}])),
    ]);
    buffer.run_once();
    let (told, code) = explained(&buffer, &["Child:1"]);
    let wanted =
        [("made", "applied"), ("named", "applied"), ("named", "superseded"), ("moved", "letter"), ("again", "letter")];
    assert_eq!((fates(&told), code), (wanted.to_vec(), 0));
    let made = &told[0];
    let who = ["user_id", "source", "action", "type", "entity"].map(|name| made[name].as_str().unwrap());
    assert_eq!(who, ["123", "test", "a", "CREATE", "Child"]);
    assert_eq!((&made["topic"], made["offset"].as_u64()), (&json!(buffer.topic()), Some(1)));
    let class = if engine == Engine::MariaDb { "sql_1452" } else { "sql_23503" };
    assert!(told[3]["why"].as_str().unwrap().contains(class), "{}", told[3]);

    // A letter that is replayed in vain, and one that waits for the group.
    buffer.send(&[parent(2), child("later", "UPDATE", json!({"id": 1, "parent": 1}))]);
    buffer.run_once();
    buffer.world.output(&["dlq", "replay", "--system", "database"]);
    buffer.send(&[child("waits", "DELETE", json!({"id": 1}))]);
    let (told, _) = explained(&buffer, &["Child:1"]);
    assert_eq!(fates(&told)[3], ("moved", "superseded"));
    assert_eq!(fates(&told)[5..], [("later", "applied"), ("waits", "waiting")]);

    let (told, code) = explained(&buffer, &["--operation", "named"]);
    assert_eq!((fates(&told), code), (vec![("named", "applied"), ("named", "superseded")], 0));
    assert_eq!(explained(&buffer, &["--operation", "nobody"]), (Vec::new(), 75));
    assert_eq!(explained(&buffer, &["Child:77"]), (Vec::new(), 75));

    // An id that the database made.
    buffer.world.set("DATABASE_ENTITIES", "Rating=Ratings");
    buffer.send(&[operation("rated", "CREATE", "Rating", json!({"businessId": 1, "score": 5}))]);
    buffer.run_once();
    let (told, _) = explained(&buffer, &["Rating:1"]);
    assert_eq!(fates(&told), [("rated", "applied")]);
    assert_eq!(told[0]["generated_id"], json!("1"));
}

fn erasing_from_rows_is_refused(engine: Engine) {
    let buffer = Buffer::new(engine, "database-erased");
    let ana = json!({"id": 1, "name": "Ana", "email": "a@x.co"});
    buffer.send(&[operation("1", "CREATE", "User", ana)]);
    buffer.run_once();
    let output = buffer.world.output(&["erase", "1", "--system", "database", "--yes", "--json"]);
    assert_eq!(output.status.code(), Some(69));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("rows and not documents"), "{told}");
    assert_eq!(buffer.count("Users"), 1);
}
