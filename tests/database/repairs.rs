//! `verify` beside others: repairs that others are in the way of, tables that are large, and operations that come meanwhile.

use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::buffer::{Buffer, Engine, operation};
use crate::compared::{SHOWN, assert_right, read, user, verified, why};
use crate::model::Model;
use crate::on_each;

on_each!(
    a_repair_that_is_interrupted_is_tried_again,
    a_repair_leaves_what_was_written_since,
    tables_of_many_pages_are_read_whole,
    what_is_written_meanwhile_is_not_taken_for_wrong,
);

/// Verifies beside the test.
fn spawned(buffer: &Buffer, more: &[&str]) -> Child {
    let mut command = buffer.world.command(&[&["verify", "database", "--json"], more].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Ends the statement that waits for a row, and leaves its session.
fn interrupt(buffer: &Buffer) {
    buffer.await_a_repair();
    let sql = match buffer.engine {
        Engine::MariaDb => {
            let waits = buffer.ask(
                "SELECT CAST(ID AS CHAR) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND INFO LIKE '%FOR UPDATE' AND ID <> CONNECTION_ID()"
                    .to_owned(),
            );
            format!("KILL QUERY {}", waits[0][0].as_ref().unwrap())
        }
        Engine::Postgres => "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'".to_owned(),
    };
    buffer.execute(&sql);
}

fn a_repair_that_is_interrupted_is_tried_again(engine: Engine) {
    let buffer = Buffer::new(engine, "database-interrupted");
    buffer.send(&[operation("1", "CREATE", "User", user(1))]);
    buffer.run_once();
    buffer.execute("UPDATE \"Users\" SET \"name\" = 'other'");
    let lock = buffer.hold_user();
    let child = spawned(&buffer, &["--repair"]);
    interrupt(&buffer);
    interrupt(&buffer);
    buffer.await_a_repair();
    lock.release();
    let (names, found, code) = read(&child.wait_with_output().unwrap());
    assert_eq!((names, code), (vec!["altered User:1".to_owned()], 0), "{found:?}");
    assert_eq!(buffer.rows("Users", &["id", "name"])[0][1].as_deref(), Some("n1"));
}

fn a_repair_leaves_what_was_written_since(engine: Engine) {
    let buffer = Buffer::new(engine, "database-since");
    buffer.send(&[operation("1", "CREATE", "User", user(1))]);
    buffer.run_once();
    buffer.execute("UPDATE \"Users\" SET \"name\" = 'other'");
    let lock = buffer.hold_user();
    let child = spawned(&buffer, &["--repair"]);
    buffer.await_a_repair();
    // Somebody whose operation is newer was there first: its mark is committed with the row.
    lock.commit_newer(engine);
    let (names, found, code) = read(&child.wait_with_output().unwrap());
    assert_eq!((names, code), (vec!["altered User:1".to_owned()], 1));
    assert!(why(&found, "User:1").contains("newer operation"), "{found:?}");
    assert_eq!(buffer.rows("Users", &["id", "name"])[0][1].as_deref(), Some("other"));
}

fn tables_of_many_pages_are_read_whole(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-pages");
    buffer.world.set("DATABASE_ENTITIES", "Stock=stock");
    buffer.execute(
        "CREATE TABLE \"stock\" (\"shop\" INT NOT NULL, \"sku\" VARCHAR(20) NOT NULL, \"amount\" DECIMAL(9, 2), \
         \"at\" TIMESTAMP NULL, \"more\" JSON, PRIMARY KEY (\"shop\", \"sku\"))",
    );
    let row = |n: u64| json!({"shop": n % 7, "sku": format!("s{n}"), "amount": n, "at": "2024-02-03T04:05:06Z", "more": {"b": [n], "a": null}});
    let bulk = |from: u64| {
        operation(&from.to_string(), "BULK_CREATE", "Stock", json!((from..from + 1_500).map(row).collect::<Vec<_>>()))
    };
    buffer.send(&[bulk(0), bulk(1_500), bulk(3_000)]);
    assert_eq!(buffer.run_once()["applied"], json!(3), "{:?}", buffer.letters());
    assert_right(&buffer);
    buffer.execute("DELETE FROM \"stock\" WHERE \"sku\" = 's4499'");
    buffer.execute("UPDATE \"stock\" SET \"amount\" = 0.01, \"more\" = '{}' WHERE \"sku\" IN ('s0', 's2345')");
    buffer.execute("INSERT INTO \"stock\" (\"shop\", \"sku\") VALUES (6, 'other')");
    let wanted = ["altered Stock:0:s0", "altered Stock:0:s2345", "missing Stock:5:s4499", "phantom Stock:6:other"];
    let (names, found, code) = verified(&buffer, &["--memory", "2MB"]);
    assert_eq!((&names[..], code), (&wanted.map(str::to_owned)[..], 1));
    assert_eq!(why(&found, "Stock:0:s0"), "not as they were written: amount, more");
    assert_eq!(verified(&buffer, &["--repair"]).2, 1);
    let (names, ..) = verified(&buffer, &[]);
    assert_eq!(names, ["phantom Stock:6:other"]);
}

fn what_is_written_meanwhile_is_not_taken_for_wrong(engine: Engine) {
    let buffer = Buffer::new(engine, "database-meanwhile");
    let mut model = Model::new(5);
    let mut next = 0;
    let mut some = |buffer: &Buffer| {
        let operations: Vec<Value> = (next..next + 40).map(|number| model.next(number)).collect();
        next += 40;
        buffer.send(&operations);
    };
    some(&buffer);
    let running = buffer.start();
    for _ in 0..3 {
        let mut child = spawned(&buffer, &[]);
        while child.try_wait().unwrap().is_none() {
            some(&buffer);
        }
        let (names, found, code) = read(&child.wait_with_output().unwrap());
        assert_eq!((names, code), (Vec::new(), 0), "{found:?}");
    }
    assert!(running.terminate().success());
    buffer.run_once();
    assert_right(&buffer);
    buffer.assert_rows("Users", &SHOWN, &model.rows());
}
