//! The database goes away, and comes back.

use std::time::Duration;

use serde_json::json;
use testkit::services::{eventually, services};
use testkit::world::World;

use crate::buffer::{Buffer, Engine, operation};
use crate::model::Model;
use crate::{PROGRAM, on_each};

on_each!(killed_again_and_again_each_operation_is_applied_once, a_read_only_database_is_an_outage);

#[test]
fn an_outage_is_no_letter_and_its_backlog_is_worked_off() {
    let buffer = Buffer::in_world(Engine::MariaDb, World::alone(PROGRAM, "database-outage"));
    let mut model = Model::new(11);
    let mut operations = |numbers: std::ops::Range<u64>| numbers.map(|number| model.next(number)).collect::<Vec<_>>();
    let (before, during) = (operations(0..500), operations(500..1_500));
    buffer.send(&before);
    let running = buffer.start();
    buffer.await_drained();
    services("kill", "mariadb");
    buffer.send(&during);
    running.await_events("Database is now UNHEALTHY", 1);
    running.await_reason("database");
    services("start", "mariadb");
    running.await_events("Database is now HEALTHY", 1);
    buffer.await_drained();
    running.await_ready();
    assert!(running.log().contains("pending operations"), "the backlog is named");
    assert!(running.terminate().success());
    holds(&buffer, &model, 1_500);
}

/// The table equals the model, each operation is marked or a letter, and no letter is one that the model does not have.
fn holds(buffer: &Buffer, model: &Model, operations: u64) {
    buffer.assert_rows("Users", &["id", "name", "email", "role"], &model.rows());
    let letters = buffer.letters();
    let of_the_model = |class: &str| ["sql_1062", "sql_23505", "row_twice"].contains(&class);
    assert!(letters.iter().all(|(class, _)| of_the_model(class)), "{letters:?}");
    assert_eq!(json!(buffer.applied()), json!(operations - model.letters));
    // A process that was killed may have buried what it had not committed yet, and the next buries it again.
    assert!(letters.len() as u64 >= model.letters, "{} letters, {} expected", letters.len(), model.letters);
}

fn killed_again_and_again_each_operation_is_applied_once(engine: Engine) {
    killed(engine, 3_000, 5, "50");
}

/// `cargo test --test database -- --ignored a_hundred_thousand`, with the services.
mod a_hundred_thousand_operations_through_ten_kills {
    use super::{Engine, killed};

    #[test]
    #[ignore = "minutes"]
    fn mariadb() {
        killed(Engine::MariaDb, 100_000, 10, "500");
    }

    #[test]
    #[ignore = "minutes"]
    fn postgres() {
        killed(Engine::Postgres, 100_000, 10, "500");
    }
}

/// Kills the program so often while it works on so many operations.
fn killed(engine: Engine, count: u64, kills: u64, batch: &str) {
    let mut buffer = Buffer::new(engine, "database-killed");
    buffer.world.set("CONSUMER_BATCH_SIZE", batch);
    let mut model = Model::new(5);
    let operations: Vec<_> = (0..count).map(|number| model.next(number)).collect();
    buffer.send(&operations);
    let mut marked = 0;
    // Spread over the whole log.
    let all = count - model.letters;
    for kill in 1..=kills {
        let from = (all * kill / (kills + 1)) as usize;
        let running = buffer.start();
        eventually("some operations more", || {
            let now = if buffer.has_table("millrace_operations") { buffer.applied() } else { 0 };
            (now >= from || now as u64 == all).then(|| marked = now)
        });
        running.kill();
        println!("killed with {marked} applied");
    }
    buffer.run_once();
    holds(&buffer, &model, count);
}

#[test]
fn no_connection_that_is_free_is_an_outage() {
    let buffer = Buffer::in_world(Engine::MariaDb, World::alone(PROGRAM, "database-connections"));
    let mut model = Model::new(13);
    let operations: Vec<_> = (0..600).map(|number| model.next(number)).collect();
    buffer.send(&operations[..300]);
    let running = buffer.start();
    buffer.await_drained();
    buffer.execute("SET GLOBAL max_connections = 10");
    // Others take what it gives back.
    let mut others = Vec::new();
    eventually("no connection to be free", || {
        buffer.end_sessions(&others);
        while let Some(session) = buffer.session_of_user() {
            others.push(session);
        }
        running.log().contains("Database is now UNHEALTHY").then_some(())
    });
    buffer.send(&operations[300..]);
    running.await_reason("connections");
    drop(others);
    running.await_events("Database is now HEALTHY", 1);
    buffer.await_drained();
    buffer.execute("SET GLOBAL max_connections = 151");
    assert!(running.terminate().success());
    holds(&buffer, &model, 600);
    assert_eq!(buffer.letters().len() as u64, model.letters);
}

fn a_read_only_database_is_an_outage(engine: Engine) {
    read_only_for(engine, Duration::ZERO);
}

/// As [`a_read_only_database_is_an_outage`], for so long as a failover may take.
mod read_only_for_twenty_seconds {
    use super::{Duration, Engine, read_only_for};

    #[test]
    #[ignore = "waits for twenty seconds"]
    fn mariadb() {
        read_only_for(Engine::MariaDb, Duration::from_secs(20));
    }

    #[test]
    #[ignore = "waits for twenty seconds"]
    fn postgres() {
        read_only_for(Engine::Postgres, Duration::from_secs(20));
    }
}

fn read_only_for(engine: Engine, time: Duration) {
    // The server of the tests is everybody's, and MariaDB knows read-only of a whole server alone.
    let world = if engine == Engine::MariaDb {
        World::alone(PROGRAM, "database-readonly")
    } else {
        World::new(PROGRAM, "database-readonly")
    };
    let buffer = Buffer::in_world(engine, world);
    let mut model = Model::new(3);
    let operations: Vec<_> = (0..600).map(|number| model.next(number)).collect();
    buffer.send(&operations[..300]);
    let running = buffer.start();
    buffer.await_drained();
    buffer.read_only(true);
    buffer.send(&operations[300..]);
    running.await_events("Database is now UNHEALTHY", 1);
    running.await_reason("read-only");
    std::thread::sleep(time);
    buffer.read_only(false);
    running.await_events("Database is now HEALTHY", 1);
    buffer.await_drained();
    assert!(running.terminate().success());
    holds(&buffer, &model, 600);
    assert_eq!(buffer.letters().len() as u64, model.letters);
}

#[test]
fn a_deadlock_begins_the_batch_anew() {
    let buffer = Buffer::new(Engine::MariaDb, "database-deadlock");
    let users = |ids: std::ops::Range<u64>| {
        let rows = ids.map(|id| json!({"id": id, "name": "n", "email": format!("{id}@x.co")}));
        rows.collect::<Vec<_>>()
    };
    buffer.send(&[operation("all", "BULK_CREATE", "User", json!(users(1..1_001)))]);
    buffer.run_once();
    // Whoever has written more survives a deadlock.
    let other = buffer.session();
    other.run("BEGIN");
    other.run("UPDATE Users SET phone = '1' WHERE id > 10");
    let renamed = |id: u64| operation(&format!("u{id}"), "UPDATE", "User", json!({"id": id, "name": "m"}));
    let operations: Vec<_> = (1..=200).map(renamed).collect();
    buffer.send(&operations);
    let running = buffer.start();
    eventually("the consumer to wait for a lock", || other.somebody_waits().then_some(()));
    other.run("UPDATE Users SET phone = '2' WHERE id = 1");
    other.run("COMMIT");
    let restarted = running.await_events("Transaction restarted", 1);
    assert!(restarted.iter().any(|one| one["code"] == "1213"), "{restarted:?}");
    buffer.await_drained();
    assert!(running.terminate().success());
    let rows = buffer.rows("Users", &["id", "name", "phone"]);
    let applied = rows.iter().filter(|row| row[1].as_deref() == Some("m")).count();
    assert_eq!((applied, rows[0][2].as_deref(), rows[500][2].as_deref()), (200, Some("2"), Some("1")));
    assert_eq!((buffer.letters().len(), buffer.applied()), (0, 201));
}
