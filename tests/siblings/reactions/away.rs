//! PostgreSQL goes away under load, and comes back.

use rand::SeedableRng;
use rand::rngs::StdRng;
use testkit::services::{eventually, services};
use testkit::world::scaled;

use super::model::Model;
use super::stage::Stage;
use super::story;

#[test]
fn a_database_that_is_away_is_lag_and_no_letter() {
    let stage = Stage::alone("reactions-away");
    let mut random = StdRng::seed_from_u64(37);
    let before = story::numbered(&mut random, "before");
    let during = story::numbered(&mut random, "during");
    stage.send(&before);
    let running = stage.start();
    running.await_ready();
    services("kill", "postgres");
    let away = std::time::Instant::now();
    stage.send(&during);
    running.await_reason("postgres");
    eventually("the outage", || (away.elapsed().as_secs() >= scaled(4)).then_some(()));
    services("start", "postgres");
    let all = [before, during].concat();
    let model = Model::of(&all);
    eventually("all marks", || {
        let marks = stage.ask("SELECT count(DISTINCT event_id)::text FROM SCHEMA.marks WHERE event_id NOT IN (SELECT id FROM SCHEMA.outbox)");
        (marks == [all.len().to_string()]).then_some(())
    });
    running.await_ready();
    assert!(running.terminate().success());
    stage.run_once();
    stage.compare(&model, "after the outage");
    for topic in stage.topics() {
        assert!(stage.world.letters_of(&topic).is_empty(), "{topic}");
    }
}
