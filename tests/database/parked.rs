//! A key that waits waits alone.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::program;
use testkit::services::eventually;
use testkit::world::World;

use crate::bad_input::family;
use crate::buffer::{Buffer, Engine, operation};
use crate::{PROGRAM, on_each};

on_each!(
    ten_parked_keys_wait_alone_and_keep_their_order,
    a_taken_key_waits_while_something_is_parked_that_may_free_it,
    what_is_parked_is_left_to_whoever_comes_next,
);

fn child(id: u64, parent: u64) -> Value {
    operation(&format!("c{id}"), "CREATE", "Child", json!({"id": id, "parent": parent, "name": "new"}))
}

fn parent(id: u64) -> Value {
    operation(&format!("p{id}"), "CREATE", "Parent", json!({"id": id}))
}

/// So many children, every thirtieth of them without its parent; and behind each of those an update, its id written otherwise.
fn children(count: u64) -> Vec<Value> {
    let mut operations = vec![parent(1)];
    for id in 1..=count {
        operations.push(child(id, if id % 30 == 0 { 1_000 + id } else { 1 }));
    }
    for id in (30..=count).step_by(30) {
        let renamed = json!({"where": {"id": id.to_string()}, "values": {"name": "renamed"}});
        operations.push(operation(&format!("u{id}"), "UPDATE", "Child", renamed));
    }
    operations
}

fn ten_parked_keys_wait_alone_and_keep_their_order(engine: Engine) {
    ten(engine, 600);
}

/// `cargo test --test database -- --ignored measured --nocapture`, with the services.
mod measured {
    use super::{Engine, passed_while_parked, ten};

    #[test]
    #[ignore = "minutes"]
    fn ten_parked_keys_on_the_ladder_of_the_seed() {
        ten(Engine::MariaDb, 5_000);
    }

    #[test]
    #[ignore = "minutes"]
    fn memory_while_a_key_is_parked_and_many_operations_pass() {
        passed_while_parked(Engine::MariaDb);
    }
}

/// Each of ten keys has an operation that waits, and one behind it.
fn ten(engine: Engine, delay_ms: u64) {
    let mut buffer = Buffer::new(engine, "database-ten");
    buffer.world.set("RETRY_DELAY_MS", &delay_ms.to_string());
    buffer.world.set("MAX_RETRY_ATTEMPTS", "5");
    buffer.world.set("CONSUMER_BATCH_SIZE", "50");
    family(&mut buffer);
    buffer.send(&children(300));
    let begun = Instant::now();
    let running = buffer.start();
    eventually("all others", || (buffer.has_table("millrace_operations") && buffer.applied() == 291).then_some(()));
    println!("291 others after {:?}", begun.elapsed());
    assert_eq!((buffer.letters().len(), buffer.count("children")), (0, 290));
    assert!(buffer.lag() > 270, "the commit waits at the first that is parked: {}", buffer.lag());
    // Five get their parents in time.
    buffer.send(&(1..=5).map(|n| parent(1_000 + n * 30)).collect::<Vec<_>>());
    eventually("two thirds of the ladder", || {
        (begun.elapsed() > Duration::from_millis(delay_ms * 31 * 2 / 3)).then_some(())
    });
    eventually("the letters", || (buffer.letters().len() == 10).then_some(()));
    println!("ten letters after {:?}", begun.elapsed());
    buffer.await_drained();
    assert!(running.terminate().success());
    let rows = buffer.rows("children", &["id", "name"]);
    let renamed: Vec<&str> =
        rows.iter().filter(|row| row[1].as_deref() == Some("renamed")).filter_map(|row| row[0].as_deref()).collect();
    assert_eq!((rows.len(), renamed), (295, vec!["30", "60", "90", "120", "150"]));
    let mut attempts = buffer.attempts();
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 1, 1, 1, 1, 6, 6, 6, 6, 6]);
    let of = |class: &str| buffer.letters().iter().filter(|(known, _)| known == class).count();
    let foreign = if engine == Engine::MariaDb { "sql_1452" } else { "sql_23503" };
    assert_eq!((of(foreign), of("no_such_row")), (5, 5));
}

/// `PASSING` operations pass one that is parked the whole time.
fn passed_while_parked(engine: Engine) {
    const BUDGET: u64 = 64 << 20;
    let passing = std::env::var("PASSING").map_or(1_000_000, |text| text.parse().unwrap());
    let mut buffer = Buffer::in_world(engine, World::new(program::measured(PROGRAM), "database-passed"));
    buffer.world.set("RETRY_DELAY_MS", "600000");
    buffer.world.set("MEMORY_BUDGET", "64MiB");
    family(&mut buffer);
    buffer.world.set("DATABASE_ENTITIES", "Parent=parents,Child=children,User=Users");
    let users: Vec<Value> =
        (0..1_000).map(|id| json!({"id": id, "name": "n", "email": format!("{id}@x.co")})).collect();
    buffer.send(&[operation("users", "BULK_CREATE", "User", json!(users)), child(1, 9)]);
    let update =
        |n: u64| operation(&format!("o{n}"), "UPDATE", "User", json!({"id": n % 1_000, "name": format!("n{n}")}));
    for first in (0..passing).step_by(50_000) {
        buffer.send(&(first..passing.min(first + 50_000)).map(update).collect::<Vec<_>>());
    }
    let begun = Instant::now();
    let running = buffer.start();
    let counted = r#"millrace_records_total{system="database",outcome="applied"}"#;
    let mut passed = 0.0;
    while passed < (passing + 1) as f64 {
        let before = passed;
        eventually("more of them", || {
            passed = running.metric(counted).unwrap_or_default();
            (passed > before).then_some(())
        });
    }
    let (took, peak) = (begun.elapsed(), running.peak_memory().unwrap());
    let parked = running.metric(r#"millrace_parked_records{system="database"}"#);
    println!(
        "{passing} operations in {took:?} past {parked:?} parked, VmHWM {} MiB of a budget of {} MiB",
        peak >> 20,
        BUDGET >> 20
    );
    assert!(peak <= BUDGET + (64 << 20), "{} MiB", peak >> 20);
    assert_eq!((parked, buffer.lag() > passing as i64 - 1), (Some(1.0), true));
    assert!(running.terminate().success());
}

fn a_taken_key_waits_while_something_is_parked_that_may_free_it(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-freed");
    buffer.world.set("MAX_RETRY_ATTEMPTS", "8");
    family(&mut buffer);
    buffer.execute("CREATE UNIQUE INDEX \"names\" ON \"children\" (\"name\")");
    let named = |id: &str, verb: &str, child: u64, parent: u64, name: &str| {
        operation(id, verb, "Child", json!({"id": child, "parent": parent, "name": name}))
    };
    buffer.send(&[
        parent(1),
        named("1", "CREATE", 1, 1, "a"),
        // It waits for its parent, and frees the name when it comes.
        named("2", "UPDATE", 1, 2, "b"),
        named("3", "CREATE", 2, 1, "a"),
        parent(2),
    ]);
    let summary = buffer.run_once();
    assert_eq!((&summary["applied"], &summary["dead_lettered"]), (&json!(5), &json!(0)), "{:?}", buffer.letters());
    // Nothing is parked any more.
    buffer.send(&[named("4", "CREATE", 3, 1, "a")]);
    assert_eq!(buffer.run_once()["dead_lettered"], json!(1));
    assert_eq!(buffer.attempts(), [1]);
}

fn what_is_parked_is_left_to_whoever_comes_next(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-left");
    buffer.world.set("RETRY_DELAY_MS", "60000");
    family(&mut buffer);
    let update = |name: &str| operation(name, "UPDATE", "Child", json!({"id": 7, "name": name}));
    buffer.send(&[parent(1), child(7, 2), update("b"), child(8, 1)]);
    let running = buffer.start();
    eventually("what is not parked", || {
        (buffer.has_table("millrace_operations") && buffer.applied() == 2).then_some(())
    });
    assert!(running.terminate().success(), "at once, though the next try is a minute away");
    assert_eq!((buffer.lag(), buffer.letters().len()), (3, 0));
    buffer.send(&[parent(2)]);
    buffer.world.set("RETRY_DELAY_MS", "200");
    let summary = buffer.run_once();
    assert_eq!((&summary["applied"], &summary["superseded"]), (&json!(3), &json!(1)), "{:?}", buffer.letters());
    let row = |id: &str, name: &str| vec![Some(id.to_owned()), Some(name.to_owned())];
    assert_eq!(buffer.rows("children", &["id", "name"]), [row("7", "b"), row("8", "new")]);
}
