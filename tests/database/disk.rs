//! The database has no room left.

use serde_json::{Value, json};
use testkit::services::{eventually, variable};
use testkit::world::World;

use crate::PROGRAM;
use crate::buffer::{Buffer, Engine, operation};

/// A user of some hundred bytes.
fn user(id: u64) -> Value {
    let row = json!({"id": id, "name": "n".repeat(200), "email": format!("{id}@x.co"), "role": "r".repeat(40)});
    operation(&format!("o{id}"), "CREATE", "User", row)
}

/// Operations come while the disk is full, until `free` makes room: no letter, and nothing is lost.
fn full(buffer: &Buffer, reason: &str, free: impl FnOnce()) {
    let (before, all) = (200, 5_000);
    buffer.drop_others();
    let mut running = buffer.start();
    buffer.send(&(1..=before).map(user).collect::<Vec<_>>());
    eventually("the first", || (buffer.has_table("Users") && buffer.count("Users") == 200).then_some(()));
    buffer.await_drained();
    fill(buffer);
    buffer.send(&(before + 1..=all).map(user).collect::<Vec<_>>());
    running.await_events("Database is now UNHEALTHY", 1);
    running.await_reason(reason);
    let failures =
        || running.metric(r#"millrace_write_failures_total{sink="database",kind="unavailable"}"#).unwrap_or_default();
    let seen = failures();
    eventually("more attempts", || (failures() >= seen + 5.0).then_some(()));
    assert_eq!(running.events("Database is now HEALTHY").len(), 0, "a server that answers has no room yet");
    assert_eq!(running.events("Database is now UNHEALTHY").len(), 1);
    assert_eq!(buffer.letters(), []);
    free();
    running.await_events("Database is now HEALTHY", 1);
    buffer.await_drained();
    running.await_ready();
    assert!(running.log().contains("pending operations"), "the backlog is named");
    running.signal("TERM");
    assert!(running.wait().success());
    assert_eq!((buffer.count("Users"), buffer.applied(), buffer.letters().len()), (5_000, 5_000, 0));
}

/// Takes all the room: by halves, to the last row that fits.
fn fill(buffer: &Buffer) {
    buffer.execute("CREATE TABLE filler (id INT, pad CHAR(250))");
    let mut rows = 65_536;
    while rows > 0 {
        let numbers = match buffer.engine {
            Engine::MariaDb => format!("SELECT seq, REPEAT('x', 250) FROM seq_1_to_{rows}"),
            Engine::Postgres => format!("SELECT n, repeat('x', 250) FROM generate_series(1, {rows}) n"),
        };
        if !buffer.try_execute(&format!("INSERT INTO filler {numbers}")) {
            rows /= 2;
        }
    }
}

#[test]
fn a_full_table_space_of_mariadb_is_an_outage() {
    let world = World::new(PROGRAM, "database-full");
    let (root, ours) = (variable("MARIADB_SMALL_ROOT_URL"), variable("MARIADB_SMALL_URL"));
    let buffer = Buffer::on(Engine::MariaDb, world, &root, &ours);
    full(&buffer, "1114", || buffer.execute("DROP TABLE filler"));
}

/// `scripts/services up postgres_small`, and its environment; then `cargo test --test database -- --ignored disk`.
#[test]
#[ignore = "wants a server that mounts a file system, and root for it"]
fn a_full_disk_of_postgresql_is_an_outage() {
    let (server, disk) = (variable("POSTGRES_SMALL_URL"), variable("POSTGRES_SMALL_DISK"));
    let buffer = Buffer::on(Engine::Postgres, World::new(PROGRAM, "database-full"), &server, &server);
    buffer.lay_on(&disk);
    full(&buffer, "53100", || buffer.execute("DROP TABLE filler"));
}
