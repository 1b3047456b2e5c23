//! Bugs that are switched on, and found: `cargo test --features mutants --test database planted`.

use serde_json::json;

use crate::buffer::{Buffer, Engine, operation};
use crate::on_each;

on_each!(an_operation_that_dies_before_its_commit_is_applied_later);

/// The program is killed while an operation waits for a lock. Gives whether the operation is lost when the program is back.
fn killed_before_the_commit(engine: Engine, mutant: Option<&str>) -> bool {
    let mut buffer = Buffer::new(engine, "database-apart");
    buffer.send(&[operation("a", "CREATE", "User", json!({"id": 1, "name": "Ana", "email": "a@x.co"}))]);
    buffer.run_once();
    if let Some(mutant) = mutant {
        buffer.world.set("MILLRACE_MUTANT", mutant);
    }
    let lock = buffer.hold_user();
    let running = buffer.start();
    buffer.send(&[operation("b", "UPDATE", "User", json!({"id": 1, "name": "Anna"}))]);
    buffer.await_a_waiting_session();
    running.kill();
    lock.release();
    buffer.run_once();
    buffer.rows("Users", &["id", "name"])[0][1].as_deref() != Some("Anna")
}

fn an_operation_that_dies_before_its_commit_is_applied_later(engine: Engine) {
    assert!(!killed_before_the_commit(engine, None));
}

#[cfg(feature = "mutants")]
mod mutants {
    use super::*;
    use crate::cache::read_during_a_commit;
    use crate::results::is_done_untold;

    #[test]
    fn a_cache_that_is_told_before_the_commit_is_found() {
        for engine in [Engine::MariaDb, Engine::Postgres] {
            assert!(read_during_a_commit(engine, Some("cached-before-commit")));
        }
    }

    #[test]
    fn a_mark_outside_the_transaction_is_found() {
        for engine in [Engine::MariaDb, Engine::Postgres] {
            assert!(killed_before_the_commit(engine, Some("marked-apart")));
        }
    }

    #[test]
    fn a_batch_that_is_done_without_its_result_events_is_found() {
        for engine in [Engine::MariaDb, Engine::Postgres] {
            assert!(is_done_untold(engine, Some("result-untold")));
        }
    }
}
