//! The database goes away, and comes back.

use serde_json::json;
use testkit::services::{eventually, services};
use testkit::world::World;

use crate::PROGRAM;
use crate::buffer::{Buffer, Engine};
use crate::model::Model;

#[test]
fn an_outage_is_no_letter_and_its_backlog_is_worked_off() {
    let buffer = Buffer::in_world(Engine::MariaDb, World::alone(PROGRAM, "database-outage"));
    let mut model = Model::new(11);
    let mut operations = |numbers: std::ops::Range<u64>| numbers.map(|number| model.next(number)).collect::<Vec<_>>();
    let (before, during) = (operations(0..500), operations(500..1_500));
    buffer.send(&before);
    let running = buffer.start();
    eventually("the first operations", || {
        (buffer.world.lag_on(&buffer.topic(), &buffer.world.env["KAFKA_GROUP_ID"]) == 0).then_some(())
    });
    services("kill", "mariadb");
    buffer.send(&during);
    running.await_events("Database is now UNHEALTHY", 1);
    running.await_reason("database");
    services("start", "mariadb");
    running.await_events("Database is now HEALTHY", 1);
    eventually("the backlog", || {
        (buffer.world.lag_on(&buffer.topic(), &buffer.world.env["KAFKA_GROUP_ID"]) == 0).then_some(())
    });
    running.await_ready();
    assert!(running.terminate().success());
    buffer.assert_rows("Users", &["id", "name", "email", "role"], &model.rows());
    let letters = buffer.letters();
    assert_eq!(letters.len() as u64, model.letters);
    let of_the_model = |class: &str| ["sql_1062", "row_twice"].contains(&class);
    assert!(letters.iter().all(|(class, _)| of_the_model(class)), "{letters:?}");
    assert_eq!(json!(buffer.count("millrace_operations")), json!(1_500 - model.letters));
}
