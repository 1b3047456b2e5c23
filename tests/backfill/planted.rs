//! Bugs that are switched on, and found: `cargo test --features mutants --test backfill mutants`.

use serde_json::json;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use testkit::services::eventually;

use crate::bench::{Bench, created, lines, of, payloads, stream};
use crate::resumed::signal;

/// Ends a backfill by this signal while its store takes nothing, after time for a checkpoint; gives whether the one that
/// follows leaves documents out.
fn ended_before_the_write(end: &str, mutant: Option<&str>) -> bool {
    let mut bench = Bench::new();
    bench.env.insert("CONSUMER_BATCH_SIZE", "20".to_owned());
    bench.write("first", &of(&[created("first", 1, "x")]));
    bench.run(&["first"]);
    let options = stream(500);
    bench.write("a", &lines(&payloads(&options)));
    if let Some(mutant) = mutant {
        bench.env.insert("MILLRACE_MUTANT", mutant.to_owned());
    }
    testkit::world::block_on(async {
        let store = SqliteConnectOptions::new().filename(bench.path("store.db"));
        let mut lock = SqliteConnection::connect_with(&store).await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut lock).await.unwrap();
        let mut child = bench.command(&["a", "--state", "s.json"]).spawn().unwrap();
        // Its first checkpoint, or its word that the store is busy.
        let mut errors = child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            let mut buffered = std::io::BufReader::new(&mut errors);
            while !line.contains("Not ready") && std::io::BufRead::read_line(&mut buffered, &mut line).unwrap() > 0 {}
        });
        reader.join().unwrap();
        let due = std::time::Instant::now() + std::time::Duration::from_secs(5);
        eventually("a checkpoint, or the time of two", || {
            (bench.next_line("s.json").is_some() || std::time::Instant::now() > due).then_some(())
        });
        signal(&child, end);
        child.wait().unwrap();
        sqlx::query("ROLLBACK").execute(&mut lock).await.unwrap();
    });
    let (summary, code) = bench.run(&["a", "--state", "s.json"]);
    assert_eq!((code, &summary["finished"]), (0, &json!(true)), "{summary}");
    bench.held().len() != options.expect_documents().unwrap().len() + 1
}

/// Whether a backfill overwrites what has its version.
fn equal_overwrites(mutant: Option<&str>) -> bool {
    let mut bench = Bench::new();
    bench.write("live", &of(&[created("a", 1, "live")]));
    bench.run(&["live"]);
    if let Some(mutant) = mutant {
        bench.env.insert("MILLRACE_MUTANT", mutant.to_owned());
    }
    bench.write("late", &of(&[created("a", 1, "late")]));
    bench.run(&["late"]);
    bench.document("a").unwrap()["status"] != "live"
}

#[test]
fn what_the_store_did_not_take_is_read_again() {
    assert!(!ended_before_the_write("KILL", None));
    assert!(!equal_overwrites(None));
}

#[test]
fn what_is_given_up_at_a_stop_is_read_again() {
    assert!(!ended_before_the_write("TERM", None));
}

#[cfg(feature = "mutants")]
mod mutants {
    use super::*;
    use crate::resumed::reads_twice;

    #[test]
    fn a_checkpoint_before_the_write_is_found() {
        assert!(ended_before_the_write("KILL", Some("checkpoint-before-write")));
    }

    #[test]
    fn a_resume_by_count_is_found() {
        assert!(reads_twice(Some("resume-by-count")));
    }

    #[test]
    fn an_equal_version_that_overwrites_is_found() {
        assert!(equal_overwrites(Some("backfill-equal")));
    }
}
