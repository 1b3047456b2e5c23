//! The audit: complete whatever happens, and never in the primary's way.

use millrace::synthetic::GeneratorOptions;
use pipeline::sink::Order;
use serde_json::{Value, json};
pub use testkit::database::Audited;
use testkit::program::Running;
use testkit::services::{eventually, services};
use testkit::world::{World, block_on, options_of, scaled};

use crate::PROGRAM;

/// Publishes a stream with everything in it.
fn publish(world: &World, count: u64) -> GeneratorOptions {
    let count = scaled(count).to_string();
    let args = [
        ["--count", &count].as_slice(),
        &["--update-ratio", "0.3", "--delete-ratio", "0.2", "--late-ratio", "0.1"],
        &["--duplicate-ratio", "0.02", "--malformed-ratio", "0.01", "--null-ratio", "0.01", "--users", "50"],
    ]
    .concat();
    options_of(&world.publish(&args), |options| {
        (options.update_ratio, options.delete_ratio, options.late_ratio) = (0.3, 0.2, 0.1);
        (options.duplicate_ratio, options.malformed_ratio, options.null_ratio) = (0.02, 0.01, 0.01);
        options.users = Some(50);
    })
}

fn distinct(options: &GeneratorOptions) -> u64 {
    let counts = options.counts().unwrap();
    counts.creates + counts.updates + counts.deletes + counts.late
}

#[test]
fn state_and_history_are_complete_and_nothing_deleted_comes_back() {
    let audited = Audited::new(World::new(PROGRAM, "audit"));
    let options = publish(&audited.world, 5_000);
    let summaries = audited.world.run_all_once();
    let expected = options.expect_documents().unwrap();
    audited.world.assert_complete(&expected);
    audited.assert_complete(&expected, distinct(&options));
    let (primary, audit) = (&summaries["transactions"], &summaries["transactions-audit"]);
    assert_eq!(primary["records"], audit["records"]);
    let counts = options.counts().unwrap();
    assert!(
        audit["ignored"].as_u64().unwrap() >= counts.malformed + counts.nulls,
        "the primary buries what is no event"
    );
    assert_eq!(audit["dead_lettered"], 0);
    assert_eq!(audited.world.letters().len() as u64, primary["dead_lettered"].as_u64().unwrap());
}

/// The address of a world's database behind a pooler.
fn behind(audited: &Audited, pooler: &str) -> String {
    let (server, _) =
        testkit::services::variable(pooler).rsplit_once('/').map(|(s, n)| (s.to_owned(), n.to_owned())).unwrap();
    let (_, database) = audited.url.rsplit_once('/').unwrap();
    format!("{server}/{database}")
}

fn is_complete_behind(name: &str, pooler: &str) {
    let mut audited = Audited::new(World::new(PROGRAM, name));
    let url = behind(&audited, pooler);
    audited.world.set("DATABASE_URL", &url);
    audited.world.set("CONSUMER_BATCH_SIZE", "100");
    let options = publish(&audited.world, 5_000);
    let audit = audited.world.run_all_once().remove("transactions-audit").unwrap();
    assert_eq!(audit["dead_lettered"], 0);
    audited.assert_complete(&options.expect_documents().unwrap(), distinct(&options));
    let verified = audited.world.output(&["verify", "transactions-audit", "--json"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    assert!(audited.world.output(&["doctor"]).status.success());
}

#[test]
fn a_pool_of_transactions_is_as_good_as_the_server() {
    is_complete_behind("audit-pooled", "PGBOUNCER_URL");
}

#[test]
fn a_pool_that_ignores_what_it_does_not_know_is_as_good_as_the_server() {
    is_complete_behind("audit-lenient", "PGBOUNCER_LENIENT_URL");
}

#[test]
fn a_socket_is_as_good_as_a_port() {
    let mut audited = Audited::new(World::new(PROGRAM, "audit-socket"));
    let (server, database) =
        behind(&audited, "PGBOUNCER_URL").rsplit_once('/').map(|(s, n)| (s.to_owned(), n.to_owned())).unwrap();
    let (_, port) = server.rsplit_once(':').unwrap();
    let folder = testkit::services::variable("PGBOUNCER_SOCKET");
    audited.world.set("DATABASE_URL", &format!("postgresql://millrace@/{database}?host={folder}&port={port}"));
    let options = publish(&audited.world, 500);
    audited.world.run_all_once();
    audited.assert_complete(&options.expect_documents().unwrap(), distinct(&options));
    audited.world.set("DATABASE_URL", &format!("host={folder} port={port} user=millrace dbname={database}"));
    assert!(audited.world.output(&["verify", "transactions-audit"]).status.success());
}

#[test]
fn what_a_pooler_cannot_do_is_named() {
    let mut audited = Audited::new(World::new(PROGRAM, "audit-pooler"));
    publish(&audited.world, 50);
    let pooled = behind(&audited, "PGBOUNCER_URL");
    let (server, _) = pooled.rsplit_once('/').unwrap();
    for (url, reason) in [
        (format!("{pooled}?options=-c search_path=public"), "does not take what `options`"),
        (format!("{server}/by_statement"), "pools statements"),
    ] {
        audited.world.set("DATABASE_URL", &url);
        let running = audited.world.start();
        eventually(reason, || running.ready().1.contains(reason).then_some(()));
        assert!(running.terminate().success());
    }
}

#[test]
fn a_reset_of_its_group_rewrites_every_row() {
    let audited = Audited::new(World::new(PROGRAM, "audit-reset"));
    let options = publish(&audited.world, 2_000);
    audited.world.run_all_once();
    let first = audited.ask("SELECT (extract(epoch FROM max(written_at)) * 1000000)::bigint FROM transaction_state");
    audited.world.reset_group(&format!("{}.audit", audited.world.name));
    let again = audited.world.run_all_once();
    assert_eq!(again["transactions"]["records"], 0, "the primary's group was not touched");
    assert_eq!(again["transactions-audit"]["duplicate"], 0, "the marks are full, and nothing is skipped");
    let oldest = audited.ask("SELECT (extract(epoch FROM min(written_at)) * 1000000)::bigint FROM transaction_state");
    assert!(oldest > first, "every row was written again");
    audited.assert_complete(&options.expect_documents().unwrap(), distinct(&options));
}

#[test]
fn an_outage_of_its_database_is_lag_on_its_group_and_nothing_else() {
    let mut audited = Audited::new(World::alone(PROGRAM, "audit-outage"));
    audited.world.set("CONSUMER_BATCH_SIZE", "50");
    let options = publish(&audited.world, 5_000);
    let running = audited.world.start();
    running.await_events("Batch processed", 10);
    services("kill", "postgres");
    eventually("the audit's reason", || {
        let (status, text) = running.ready();
        let body: Value = serde_json::from_str(&text).unwrap();
        let named = |reason: &Value| reason["source"] == "transactions-audit: postgres";
        (status == 200 && body["projections"].as_array().is_some_and(|reasons| reasons.iter().any(named))).then_some(())
    });
    audited.world.await_drained();
    let audit = format!("{}.audit", audited.world.name);
    assert!(audited.world.lag_of(&audit) > 0, "it waits, and commits nothing that is not written");
    assert_eq!(running.ready().0, 200);
    services("start", "postgres");
    audited.world.await_drained_by(&audit);
    assert!(running.terminate().success());
    let expected = options.expect_documents().unwrap();
    audited.world.assert_complete(&expected);
    audited.assert_complete(&expected, distinct(&options));
    let names: Vec<_> = audited.world.letters().iter().map(system_of).collect();
    assert!(names.iter().all(|name| name == "transactions"), "an outage buries nothing");
}

fn system_of(letter: &pipeline::Record) -> String {
    let header = letter.headers.iter().find(|header| header.name == pipeline::dead_letters::header::SYSTEM).unwrap();
    String::from_utf8(header.value.clone().unwrap().to_vec()).unwrap()
}

#[test]
fn switched_off_it_leaves_no_trace() {
    let mut audited = Audited::new(World::new(PROGRAM, "audit-off"));
    audited.world.set("CONSUMER_ENABLE_AUDIT_DB", "false");
    let options = publish(&audited.world, 500);
    let summaries = audited.world.run_all_once();
    assert_eq!(summaries.keys().collect::<Vec<_>>(), ["transactions"]);
    audited.world.assert_complete(&options.expect_documents().unwrap());
    assert_eq!(audited.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), 0);
}

#[test]
fn what_the_database_cannot_hold_is_a_letter_of_the_audit_alone() {
    let audited = Audited::new(World::new(PROGRAM, "audit-letter"));
    audited.world.create_topic(&[]);
    let event = |id: &str, amount: Value| {
        json!({"event_type": "transaction.created", "timestamp": "2026-01-01T00:00:01Z",
            "transaction": {"id": id, "user_id": "u\u{0}", "transaction_type": "card", "amount": amount}})
    };
    for (id, amount) in [("good", json!("1.50")), ("nul\u{0}", json!(1)), ("large", json!("1e400000"))] {
        crate::commands::send(&audited.world, &event(id, amount));
    }
    let summaries = audited.world.run_all_once();
    assert_eq!(
        (&summaries["transactions"]["applied"], &summaries["transactions-audit"]["applied"]),
        (&json!(3), &json!(1))
    );
    let letters = audited.world.letters();
    assert_eq!(letters.iter().map(system_of).collect::<Vec<_>>(), ["transactions-audit"; 2]);
    assert_eq!(audited.ask("SELECT count(*) FROM transactions WHERE amount IS NULL"), 0, "no amount is left out");
    let listed = audited.world.output(&["dlq", "list", "--system", "transactions-audit", "--json"]);
    let listed = testkit::program::printed(&listed);
    let mut classes: Vec<&str> =
        listed["causes"].as_array().unwrap().iter().map(|cause| cause["class"].as_str().unwrap()).collect();
    classes.sort_unstable();
    assert_eq!(classes, ["amount_out_of_range", "nul_in_id"]);
    let replayed = audited.world.output(&["dlq", "replay", "--system", "transactions-audit"]);
    assert_eq!(testkit::program::printed(&replayed)["rejected"], 2, "neither can ever be held");
}

#[test]
fn a_row_that_the_database_refuses_is_found_alone() {
    let audited = Audited::new(World::new(PROGRAM, "audit-refused"));
    let options = publish(&audited.world, 500);
    audited.world.run_all_once();
    audited.run("ALTER TABLE transaction_state ADD CONSTRAINT not_bad CHECK (id <> 'bad')");
    let event = |id: &str| {
        json!({"event_type": "transaction.created", "timestamp": "2026-01-01T00:00:01Z",
            "transaction": {"id": id, "user_id": "u", "transaction_type": "card"}})
    };
    for id in ["one", "two", "bad", "three"] {
        crate::commands::send(&audited.world, &event(id));
    }
    let audit = &audited.world.run_all_once()["transactions-audit"];
    assert_eq!((&audit["applied"], &audit["dead_lettered"]), (&json!(3), &json!(1)));
    let listed = audited.world.output(&["dlq", "list", "--system", "transactions-audit", "--json"]);
    let listed = testkit::program::printed(&listed);
    assert_eq!(listed["causes"][0]["class"], "refused_by_store");
    let reason = listed["causes"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("not_bad") && reason.contains("transaction_state"), "{reason}");
    // Mended, and replayed.
    audited.run("ALTER TABLE transaction_state DROP CONSTRAINT not_bad");
    assert!(audited.world.output(&["dlq", "replay", "--system", "transactions-audit"]).status.success());
    let living = options.counts().unwrap().documents() as i64;
    assert_eq!(audited.ask("SELECT count(*) FROM transactions"), living + 4);
}

#[test]
fn a_table_that_is_away_is_waited_for_and_buries_nothing() {
    let audited = Audited::new(World::new(PROGRAM, "audit-away"));
    publish(&audited.world, 500);
    audited.world.run_all_once();
    audited.run("ALTER TABLE transaction_state RENAME TO elsewhere");
    audited.run("ALTER TABLE elsewhere RENAME CONSTRAINT transaction_state_pkey TO elsewhere_pkey");
    let running = audited.world.start();
    let options = publish(&audited.world, 500);
    eventually("the missing table", || running.ready().1.contains("42P01").then_some(()));
    audited.run("ALTER TABLE elsewhere RENAME TO transaction_state");
    audited.world.await_drained_by(&format!("{}.audit", audited.world.name));
    assert!(running.terminate().success());
    assert!(audited.world.letters().iter().all(|letter| system_of(letter) == "transactions"));
    let living = options.counts().unwrap().documents() as i64;
    assert_eq!(audited.ask("SELECT count(*) FROM transactions"), 2 * living);
}

#[test]
fn one_file_can_be_index_and_audit_on_a_real_broker() {
    let mut world = World::new(PROGRAM, "sqlite");
    let file = world.dir.join("store.db");
    world.set("DATABASE_URL", &format!("sqlite:{}", file.display()));
    let options = publish(&world, 3_000);
    let store = format!("sqlite:{}", file.display());
    let output = world.output(&["run", "transactions", "--store", &store, "--once"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    world.set("TRANSACTIONS_STORE", &store);
    for system in ["transactions", "transactions-audit"] {
        let verified = world.output(&["verify", system, "--json"]);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    }
    let expected = options.expect_documents().unwrap();
    let read = async {
        let sqlite = millrace::stores::sqlite::Sqlite::new(&file);
        let documents = millrace::stores::sqlite::SqliteDocuments::new(sqlite.clone(), Order::Log).all().await.unwrap();
        (documents, millrace::stores::sqlite::SqliteAudit::new(sqlite, Order::Log).all().await.unwrap())
    };
    let (documents, states) = block_on(read);
    assert_eq!((documents.len(), states.len()), (expected.len(), expected.len()));
    for document in documents {
        let expected = &expected[&document.id];
        assert_eq!((document.version, document.deleted), (expected.version, expected.deleted));
    }
    for state in states {
        let expected = &expected[&state.id];
        assert_eq!((state.version, state.deleted), (expected.version, expected.deleted));
    }
}

#[test]
fn two_groups_write_the_same_rows_without_locking_each_other_out() {
    let mut audited = Audited::new(World::new(PROGRAM, "audit-two"));
    audited.world.set("CONSUMER_BATCH_SIZE", "50");
    let options = publish(&audited.world, 5_000);
    let mut other = audited.world.command(&["run", "transactions-audit"]);
    let group = format!("{}-other", audited.world.name);
    other.env("KAFKA_CONSUMER_GROUP", &group);
    let one = Running::start(audited.world.command(&["run", "transactions-audit"]));
    let other = Running::start(other);
    for group in [&audited.world.name, &group] {
        audited.world.await_drained_by(&format!("{group}.audit"));
    }
    assert!(one.terminate().success() && other.terminate().success());
    audited.assert_complete(&options.expect_documents().unwrap(), distinct(&options));
}
