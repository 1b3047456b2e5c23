//! Three brokers, of which one dies under load; run by hand:
//!
//! `scripts/services up kafka_broker1 kafka_broker2 kafka_broker3`, the variables of the other tests, `KAFKA_BOOTSTRAP_SERVERS` with
//! what `scripts/services env kafka_broker1` says, and `cargo test --test siblings -- --ignored reactions::brokers`.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::rngs::StdRng;
use testkit::services::{eventually, services};

use super::model::Model;
use super::stage::Stage;
use super::story;

#[test]
#[ignore = "needs three brokers"]
fn one_of_three_brokers_is_killed_under_load_and_nothing_is_lost() {
    let stage = Stage::on_brokers("reactions-brokers");
    let mut random = StdRng::seed_from_u64(38);
    let before = story::numbered(&mut random, "before");
    let during: Vec<_> = (0..10).flat_map(|part| story::numbered(&mut random, &format!("during{part}."))).collect();
    stage.send(&before);
    let running = [stage.start(), stage.start()];
    running.iter().for_each(testkit::program::Running::await_ready);
    let (first, rest) = during.split_at(during.len() / 2);
    stage.send(first);
    services("kill", "kafka_broker2");
    stage.send(rest);
    let all = [before, during.clone()].concat();
    let marked =
        "SELECT count(DISTINCT event_id)::text FROM SCHEMA.marks WHERE event_id NOT IN (SELECT id FROM SCHEMA.outbox)";
    eventually("all marks", || (stage.ask(marked) == [all.len().to_string()]).then_some(()));
    services("start", "kafka_broker2");
    let open = "SELECT id FROM SCHEMA.outbox WHERE published_at IS NULL";
    eventually("all is published", || stage.ask(open).is_empty().then_some(()));
    for one in running {
        assert!(one.terminate().success());
    }
    stage.run_once();
    let model = Model::of(&all);
    stage.compare(&model, "with a broker killed");
    let emitted = stage.emitted("subscription.updated", &all);
    let distinct: BTreeSet<String> = emitted.iter().cloned().collect();
    println!("{} events, {} said, {} of them twice", all.len(), distinct.len(), emitted.len() - distinct.len());
    assert_eq!(distinct, model.emitted);
    stage.assert_verified();
}
