//! Bugs that are switched on, and found: `cargo test --features mutants --test siblings planted`.

use rand::SeedableRng;
use rand::rngs::StdRng;
use testkit::services::eventually;

use super::model::Model;
use super::stage::Stage;
use super::story;

/// The program is killed while a batch waits for a row. Gives whether something of the batch is missing when the program is back.
fn loses_what_waited(name: &str, mutant: Option<&str>) -> bool {
    let mut stage = Stage::new(name);
    stage.run_once();
    if let Some(mutant) = mutant {
        stage.world.set("MILLRACE_MUTANT", mutant);
    }
    let events = story::story(&mut StdRng::seed_from_u64(36));
    let held = stage.hold("LOCK TABLE SCHEMA.posts, SCHEMA.subscriptions, SCHEMA.offers, SCHEMA.media IN SHARE MODE");
    let running = stage.start();
    stage.send(&events);
    eventually("a batch that waits", || {
        let waiting = "SELECT pid::text FROM pg_locks WHERE NOT granted AND relation = 'SCHEMA.posts'::regclass";
        (!stage.ask(waiting).is_empty()).then_some(())
    });
    running.kill();
    held.roll_back();
    stage.run_once();
    let (_, query, expected) =
        Model::of(&events).questions().into_iter().find(|(what, ..)| *what == "counters").unwrap();
    testkit::world::block_on(super::rows(&stage.schema, &query)) != expected
}

#[test]
fn a_batch_that_dies_before_its_commit_is_applied_later() {
    assert!(!loses_what_waited("reactions-dies", None));
}

#[cfg(feature = "mutants")]
mod mutants {
    use super::super::flow::misses_a_late_commit;
    use super::*;

    #[test]
    fn an_effect_outside_the_transaction_of_its_mark_is_found() {
        assert!(loses_what_waited("reactions-apart", Some("effect-apart")));
    }

    #[test]
    fn a_relay_with_a_cursor_is_found() {
        assert!(misses_a_late_commit("reactions-cursor", Some("relay-by-cursor")));
    }
}
