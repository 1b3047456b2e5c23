//! A snapshot that another writer has made old: 1020 of MariaDB.

use serde_json::json;
use testkit::services::{eventually, variable};
use testkit::world::World;

use crate::PROGRAM;
use crate::buffer::{Buffer, Engine, operation};
use crate::rewriter::Rewriter;

/// The program pins READ COMMITTED, in which there is no such snapshot.
const REPEATABLE: &[(&str, &str)] = &[
    (
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET SESSION tx_isolation = 'REPEATABLE-READ', innodb_snapshot_isolation = ON",
    ),
    ("BEGIN", "START TRANSACTION WITH CONSISTENT SNAPSHOT"),
];

#[test]
fn a_row_that_has_changed_since_it_was_read_begins_the_batch_anew() {
    let ours = variable("DATABASE_CONSUMER_URL");
    let server = ours.split(['@', '/']).nth(3).unwrap().to_owned();
    let rewriter = Rewriter::before(server.clone(), REPEATABLE);
    let world = World::new(PROGRAM, "database-repeatable");
    let through = ours.replace(&server, &rewriter.at.to_string());
    let buffer = Buffer::on(Engine::MariaDb, world, &variable("MARIADB_ROOT_URL"), &through);
    let users: Vec<_> = (1..=200).map(|id| json!({"id": id, "name": "n", "email": format!("{id}@x.co")})).collect();
    buffer.send(&[operation("all", "BULK_CREATE", "User", json!(users))]);
    buffer.run_once();
    let other = buffer.session();
    other.run("BEGIN");
    other.run("UPDATE Users SET phone = '1' WHERE id = 100");
    let renamed = |id: u64| operation(&format!("u{id}"), "UPDATE", "User", json!({"id": id, "name": "m"}));
    buffer.send(&(1..=200).map(renamed).collect::<Vec<_>>());
    let running = buffer.start();
    eventually("the consumer to wait for a lock", || other.somebody_waits().then_some(()));
    other.run("COMMIT");
    let restarted = running.await_events("Transaction restarted", 1);
    assert!(restarted.iter().any(|one| one["code"] == "1020"), "{restarted:?}");
    buffer.await_drained();
    assert!(running.terminate().success());
    assert!(rewriter.said() >= 2, "the statements are still said as the test expects");
    let rows = buffer.rows("Users", &["id", "name", "phone"]);
    let applied = rows.iter().filter(|row| row[1].as_deref() == Some("m")).count();
    assert_eq!((applied, rows[99][2].as_deref()), (200, Some("1")));
    assert_eq!((buffer.letters().len(), buffer.applied()), (0, 201));
}
