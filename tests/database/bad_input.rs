//! What producers should not send, and what becomes of it.

use serde_json::{Value, json};

use testkit::world::World;

use crate::buffer::{Buffer, Engine, operation};
use crate::{PROGRAM, on_each};

on_each!(
    what_can_never_be_applied_is_a_letter_at_once,
    a_bulk_with_one_bad_row_writes_nothing_and_names_the_row,
    the_same_id_twice_is_applied_once_and_with_another_payload_a_letter,
    a_second_unique_index_leaves_the_other_row_alone,
    an_address_may_go_from_one_row_to_another_in_a_batch,
    sql_in_every_string_and_name_is_data,
    an_operation_without_an_id_is_applied_once,
    a_large_operation_is_applied,
    a_column_that_was_added_is_found,
    a_child_waits_for_its_parent,
    what_never_comes_is_a_letter_and_so_is_what_waited_behind_it,
    who_takes_a_key_before_it_is_free_is_refused,
);

fn user(id: &str, data: Value) -> Value {
    operation(id, "CREATE", "User", data)
}

fn ana() -> Value {
    user("ana", json!({"id": 1, "name": "Ana", "email": "a@x.co"}))
}

fn what_can_never_be_applied_is_a_letter_at_once(engine: Engine) {
    let buffer = Buffer::new(engine, "database-letters");
    let bad = |data: Value| user("x", data);
    let nul = if engine == Engine::Postgres { "bad_text" } else { "accepted" };
    let mut operations = vec![
        (operation("x", "UPSERT", "User", json!({"id": 1})), "unknown_operation"),
        (operation("x", "CREATE", "Nobody", json!({"id": 1})), "unknown_entity"),
        (bad(json!({"id": 2, "name": "n", "email": "e", "nope": 1})), "unknown_column"),
        (bad(json!({"id": "two", "name": "n", "email": "e"})), "wrong_type"),
        (bad(json!({"id": 2, "name": 5, "email": "e"})), "wrong_type"),
        (bad(json!({"id": 2, "name": "n".repeat(256), "email": "e"})), "too_long"),
        (bad(json!({"id": 1e30, "name": "n", "email": "e"})), "out_of_range"),
        (operation("x", "UPDATE", "User", json!({"name": "n"})), "missing_key"),
        (operation("x", "UPDATE", "User", json!({"id": null, "name": "n"})), "missing_key"),
        (operation("x", "UPDATE", "User", json!({"where": {"email": "a"}, "values": {"name": "n"}})), "not_the_key"),
        (operation("x", "UPDATE", "User", json!({"where": {"id": 1}, "values": {"id": 2}})), "key_changed"),
        (operation("x", "UPDATE", "User", json!({"id": 1})), "no_values"),
        (operation("x", "DELETE", "User", json!({})), "missing_key"),
        (operation("x", "BULK_CREATE", "User", json!([])), "empty_bulk"),
        (operation("x", "BULK_UPDATE", "User", json!({"ids": [1, "1"], "values": {"name": "n"}})), "row_twice"),
        (operation("x", "CREATE", "Finance", json!({"id": 1, "businessId": 1, "income": 1.001})), "out_of_range"),
    ];
    if nul != "accepted" {
        operations.push((bad(json!({"id": 2, "name": "a\u{0}b", "email": "e"})), nul));
    }
    let not_null = if engine == Engine::MariaDb { "sql_1364" } else { "sql_23502" };
    operations.push((bad(json!({"id": 2, "name": "n"})), not_null));
    let taken = if engine == Engine::MariaDb { "sql_1062" } else { "sql_23505" };
    operations.push((user("again", json!({"id": 1, "name": "other", "email": "other"})), taken));
    let mut all = vec![ana()];
    all.extend(operations.iter().enumerate().map(|(number, (operation, _))| {
        let mut operation = operation.clone();
        operation["metadata"]["operationId"] = json!(format!("x{number}"));
        operation
    }));
    buffer.send(&all);
    buffer.send_raw(&["not json", "[]", "\u{feff}{}"]);
    buffer.run_once();
    let letters = buffer.letters();
    let classes: Vec<&str> = letters.iter().map(|(class, _)| class.as_str()).collect();
    let mut wanted: Vec<&str> = operations.iter().map(|(_, class)| *class).collect();
    wanted.extend(["not_json", "not_an_object", "not_json"]);
    // Those that are decoded are judged later than those that are not; each is there once.
    let sorted = |mut classes: Vec<&str>| {
        classes.sort_unstable();
        classes.join(" ")
    };
    assert_eq!(sorted(classes), sorted(wanted));
    assert_eq!(buffer.rows("Users", &["id", "name"]), [[Some("1".to_owned()), Some("Ana".to_owned())]]);
}

fn a_bulk_with_one_bad_row_writes_nothing_and_names_the_row(engine: Engine) {
    let buffer = Buffer::new(engine, "database-bulk");
    let rows: Vec<Value> = (0..1_000)
        .map(|id| json!({"id": id + 10, "name": "n", "email": if id == 617 { "a@x.co".to_owned() } else { format!("{id}") }}))
        .collect();
    buffer.send(&[
        ana(),
        operation("bulk", "BULK_CREATE", "User", json!(rows)),
        user("b", json!({"id": 2, "name": "Bo", "email": "b"})),
    ]);
    buffer.run_once();
    let letters = buffer.letters();
    assert!(letters.len() == 1 && letters[0].1.contains("row 617"), "{letters:?}");
    assert_eq!(buffer.count("Users"), 2);
    // The row that is mended goes through, as a whole.
    let mended: Vec<Value> = rows.iter().filter(|row| row["email"] != "a@x.co").cloned().collect();
    buffer.send(&[operation("mended", "BULK_CREATE", "User", json!(mended))]);
    buffer.run_once();
    assert_eq!(buffer.count("Users"), 2 + 999);
}

fn the_same_id_twice_is_applied_once_and_with_another_payload_a_letter(engine: Engine) {
    let buffer = Buffer::new(engine, "database-twice");
    let change = |name: &str| operation("u", "UPDATE", "User", json!({"id": 1, "name": name}));
    // In one batch, and in a later one.
    buffer.send(&[ana(), ana(), change("Anna"), change("Anna"), change("Hanna")]);
    let first = buffer.run_once();
    assert_eq!((&first["applied"], &first["superseded"], &first["dead_lettered"]), (&json!(2), &json!(2), &json!(1)));
    buffer.send(&[ana(), change("Anna"), change("Johanna")]);
    let second = buffer.run_once();
    assert_eq!(
        (&second["applied"], &second["superseded"], &second["dead_lettered"]),
        (&json!(0), &json!(2), &json!(1))
    );
    let classes: Vec<String> = buffer.letters().into_iter().map(|(class, _)| class).collect();
    assert_eq!(classes, ["operation_id_reused", "operation_id_reused"]);
    assert_eq!(buffer.rows("Users", &["id", "name"]), [[Some("1".to_owned()), Some("Anna".to_owned())]]);
}

fn a_second_unique_index_leaves_the_other_row_alone(engine: Engine) {
    let buffer = Buffer::new(engine, "database-unique");
    let all = ["id", "name", "email", "password", "phone", "role", "isActive", "createdAt", "updatedAt"];
    buffer.send(&[ana()]);
    buffer.run_once();
    let before = buffer.rows("Users", &all);
    buffer.send(&[
        user("b", json!({"id": 2, "name": "Bo", "email": "a@x.co"})),
        user("c", json!({"id": 3, "name": "Cy", "email": "c@x.co"})),
        operation("d", "UPDATE", "User", json!({"id": 3, "email": "a@x.co", "name": "never"})),
    ]);
    let summary = buffer.run_once();
    assert_eq!((&summary["applied"], &summary["dead_lettered"]), (&json!(1), &json!(2)));
    let after = buffer.rows("Users", &all);
    assert_eq!((&after[..1], after.len(), &after[1][1]), (&before[..], 2, &Some("Cy".to_owned())));
}

fn an_address_may_go_from_one_row_to_another_in_a_batch(engine: Engine) {
    let buffer = Buffer::new(engine, "database-moved");
    buffer.send(&[
        ana(),
        operation("d", "DELETE", "User", json!({"id": 1})),
        user("b", json!({"id": 2, "name": "Bo", "email": "a@x.co"})),
        operation("e", "UPDATE", "User", json!({"id": 2, "email": "b@x.co"})),
        user("c", json!({"id": 3, "name": "Cy", "email": "a@x.co"})),
    ]);
    let summary = buffer.run_once();
    assert_eq!(summary["applied"], json!(5), "{:?}", buffer.letters());
    let emails: Vec<_> =
        buffer.rows("Users", &["id", "email"]).into_iter().map(|row| row[1].clone().unwrap()).collect();
    assert_eq!(emails, ["b@x.co", "a@x.co"]);
}

/// In one statement the one could free the key before the other takes it.
fn who_takes_a_key_before_it_is_free_is_refused(engine: Engine) {
    let buffer = Buffer::new(engine, "database-taken");
    let email = |id: &str, user: u64, email: &str| operation(id, "UPDATE", "User", json!({"id": user, "email": email}));
    buffer.send(&[
        user("1", json!({"id": 1, "name": "n", "email": "b"})),
        user("2", json!({"id": 2, "name": "n", "email": "a"})),
        email("3", 2, "b"),
        email("4", 1, "c"),
    ]);
    assert_eq!(buffer.run_once()["dead_lettered"], json!(1));
    let value = |text: &str| Some(text.to_owned());
    assert_eq!(buffer.rows("Users", &["id", "email"]), [[value("1"), value("c")], [value("2"), value("a")]]);
}

fn sql_in_every_string_and_name_is_data(engine: Engine) {
    let buffer = Buffer::new(engine, "database-sql");
    let evil = "'; DROP TABLE \"Users\"; -- ` \\ \" %s ${x} ?";
    let named = |id: &str, key: &str| user(id, json!({"id": 9, "name": "n", "email": "e", key: 1}));
    let mut entity = operation("en", "CREATE", evil, json!({"id": 1}));
    entity["metadata"]["source"] = json!(evil);
    let mut sound = user(evil, json!({"id": 1, "name": evil, "email": evil, "phone": evil}));
    sound["metadata"]["userId"] = json!(evil);
    sound["metadata"]["source"] = json!(evil);
    sound["metadata"]["action"] = json!(evil);
    let update = operation("up", "UPDATE", "User", json!({"id": 1, "role": evil}));
    buffer.send(&[sound, update, entity, named("co", evil), operation("key", "DELETE", "User", json!({"id": evil}))]);
    buffer.run_once();
    let mut classes: Vec<String> = buffer.letters().into_iter().map(|(class, _)| class).collect();
    classes.sort_unstable();
    assert_eq!(classes, ["unknown_column", "unknown_entity", "wrong_type"]);
    let text = || Some(evil.to_owned());
    assert_eq!(
        buffer.rows("Users", &["id", "name", "email", "phone", "role"]),
        [[Some("1".to_owned()), text(), text(), text(), text()]]
    );
    let marks = buffer.rows("millrace_operations", &["kafka_offset", "user_id", "source", "action"]);
    assert_eq!(marks[0][1..], [text(), text(), text()]);
}

fn an_operation_without_an_id_is_applied_once(engine: Engine) {
    let buffer = Buffer::new(engine, "database-anonymous");
    let mut operation = operation("x", "CREATE", "Rating", json!({"businessId": 1, "score": 5}));
    operation["metadata"] = json!(null);
    buffer.send(&[operation.clone(), operation]);
    assert_eq!(buffer.run_once()["applied"], json!(2));
    buffer.world.reset_group(&buffer.world.env["KAFKA_GROUP_ID"]);
    assert_eq!(buffer.run_once()["superseded"], json!(2));
    assert_eq!(buffer.count("Ratings"), 2);
}

fn a_large_operation_is_applied(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-large");
    // What the topic takes is not what is tested here.
    buffer.world.set("CONSUMER_BATCH_BYTES", "64MiB");
    buffer.execute("CREATE TABLE \"documents\" (\"id\" INT PRIMARY KEY, \"body\" TEXT)");
    if engine == Engine::MariaDb {
        buffer.execute("ALTER TABLE \"documents\" MODIFY \"body\" LONGTEXT");
    }
    buffer.world.set("DATABASE_ENTITIES", "Document=documents,User=Users");
    let body = "x".repeat(900_000);
    buffer.send(&[operation("big", "CREATE", "Document", json!({"id": 1, "body": body})), ana()]);
    assert_eq!(buffer.run_once()["applied"], json!(2), "{:?}", buffer.letters());
    assert_eq!(buffer.rows("documents", &["id", "body"])[0][1].as_ref().map(String::len), Some(900_000));
}

#[test]
fn a_row_above_the_packet_of_the_server_is_a_letter() {
    let mut buffer = Buffer::in_world(Engine::MariaDb, World::alone(PROGRAM, "database-packet"));
    buffer.execute("CREATE TABLE \"documents\" (\"id\" INT PRIMARY KEY, \"body\" LONGTEXT)");
    buffer.world.set("DATABASE_ENTITIES", "Document=documents");
    let document =
        |id: u64, bytes| operation(&id.to_string(), "CREATE", "Document", json!({"id": id, "body": "x".repeat(bytes)}));
    buffer.execute("SET GLOBAL max_allowed_packet = 524288");
    buffer.send(&[document(1, 400_000), document(2, 600_000), document(3, 400_000)]);
    let summary = buffer.run_once();
    buffer.execute("SET GLOBAL max_allowed_packet = 16777216");
    assert_eq!((&summary["applied"], &summary["dead_lettered"]), (&json!(2), &json!(1)));
    assert_eq!(buffer.letters()[0].0, "too_large_for_server");
}

fn a_column_that_was_added_is_found(engine: Engine) {
    let buffer = Buffer::new(engine, "database-added");
    buffer.send(&[ana()]);
    let running = buffer.start();
    testkit::services::eventually("the first row", || {
        (buffer.letters().is_empty() && buffer.has_table("Users") && buffer.count("Users") == 1).then_some(())
    });
    buffer.execute("ALTER TABLE \"Users\" ADD \"nick\" VARCHAR(20)");
    buffer.send(&[operation("n", "UPDATE", "User", json!({"id": 1, "nick": "An"}))]);
    testkit::services::eventually("the nick", || {
        (buffer.rows("Users", &["id", "nick"])[0][1].as_deref() == Some("An")).then_some(())
    });
    // One that was taken away is unknown, and nothing else is held up.
    buffer.execute("ALTER TABLE \"Users\" DROP COLUMN \"nick\"");
    buffer.send(&[
        operation("o", "UPDATE", "User", json!({"id": 1, "nick": "No"})),
        operation("p", "UPDATE", "User", json!({"id": 1, "name": "An"})),
    ]);
    testkit::services::eventually("the name", || {
        (buffer.rows("Users", &["id", "name"])[0][1].as_deref() == Some("An")).then_some(())
    });
    assert!(running.terminate().success());
    let classes: Vec<String> = buffer.letters().into_iter().map(|(class, _)| class).collect();
    assert_eq!(classes, ["unknown_column"]);
}

/// Parents and children, whose parents have to be there.
pub fn family(buffer: &mut Buffer) {
    buffer.world.set("DATABASE_ENTITIES", "Parent=parents,Child=children");
    buffer.execute("CREATE TABLE \"parents\" (\"id\" INT PRIMARY KEY)");
    buffer.execute(
        "CREATE TABLE \"children\" (\"id\" INT PRIMARY KEY, \"parent\" INT NOT NULL, \"name\" VARCHAR(20), \
         FOREIGN KEY (\"parent\") REFERENCES \"parents\" (\"id\"))",
    );
}

fn a_child_waits_for_its_parent(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-parent");
    buffer.world.set("MAX_RETRY_ATTEMPTS", "8");
    family(&mut buffer);
    // In one batch, the parent later; and the operations of the child behind it.
    buffer.send(&[
        operation("c", "CREATE", "Child", json!({"id": 1, "parent": 7, "name": "a"})),
        operation("u", "UPDATE", "Child", json!({"id": 1, "name": "b"})),
        operation("p", "CREATE", "Parent", json!({"id": 7})),
        operation("v", "UPDATE", "Child", json!({"id": 1, "name": "c"})),
    ]);
    let summary = buffer.run_once();
    assert_eq!((&summary["applied"], &summary["dead_lettered"]), (&json!(4), &json!(0)), "{:?}", buffer.letters());
    assert_eq!(buffer.rows("children", &["id", "name"])[0][1].as_deref(), Some("c"));
}

fn what_never_comes_is_a_letter_and_so_is_what_waited_behind_it(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-orphan");
    family(&mut buffer);
    let mut operations = vec![operation("c", "CREATE", "Child", json!({"id": 1, "parent": 7}))];
    operations.extend((0..100).map(|n| operation(&format!("u{n}"), "UPDATE", "Child", json!({"id": 1, "name": "b"}))));
    operations.push(operation("p", "CREATE", "Parent", json!({"id": 8})));
    operations.push(operation("d", "CREATE", "Child", json!({"id": 2, "parent": 8})));
    buffer.send(&operations);
    let summary = buffer.run_once();
    assert_eq!((&summary["applied"], &summary["dead_lettered"]), (&json!(2), &json!(101)));
    let letters = buffer.letters();
    let foreign = if engine == Engine::MariaDb { "sql_1452" } else { "sql_23503" };
    let of = |class: &str| letters.iter().filter(|(known, _)| known == class).count();
    assert_eq!((of(foreign), of("no_such_row")), (1, 100), "{:?}", letters.first());
    // The first, and two retries; what waited behind it was tried once.
    let mut attempts = buffer.attempts();
    attempts.sort_unstable();
    assert_eq!((attempts.pop(), attempts.iter().all(|tries| *tries == 1)), (Some(3), true));
}
