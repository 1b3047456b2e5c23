//! `bench` on the siblings' stores: verified, beside ready-made writes, and with nothing left behind.

use serde_json::Value;
use sqlx::{Connection, PgConnection};
use testkit::services::{block_on, variable};
use testkit::siblings::Siblings;

use crate::PROGRAM;

/// Measures a system, and gives the name of the topic, which that of each place began with.
fn measure(siblings: &Siblings, system: &str, store: &str) -> String {
    let args = ["bench", "--system", system, "--events", "3000", "--partitions", "3", "--rounds", "1"];
    let output = siblings.world.output(&[&args[..], &["--json", "result.json"]].concat());
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains(&format!("millrace into {store}")), "{shown}");
    assert!(shown.contains("Each of 1 runs was verified: missing 0, stale 0, twice 0, other findings 0."), "{shown}");
    let result: Value =
        serde_json::from_slice(&std::fs::read(siblings.world.dir.join("result.json")).unwrap()).unwrap();
    assert_eq!(result["workload"]["records"], 3_000);
    assert!(result["environment"]["store_version"].as_str().is_some_and(|version| !version.is_empty()));
    let rows = result["measured"]["rows"].as_array().unwrap();
    let subjects: Vec<&str> = rows.iter().map(|row| row["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["consumption", "bare_writes", "program"]);
    assert!(rows.iter().all(|row| row["records"].as_u64().unwrap() > 1_000), "{rows:?}");
    result["workload"]["topic"].as_str().unwrap().replace('-', "_")
}

#[test]
fn systems_on_mongodb_are_measured_in_databases_of_their_own() {
    let siblings = Siblings::new(PROGRAM, "bench-mongodb");
    for system in ["users", "ratings"] {
        let made = measure(&siblings, system, "MongoDB");
        let databases = siblings.ask(async |database| database.client().list_database_names().await.unwrap());
        assert!(!databases.iter().any(|name| name.starts_with(&made)), "{system}: {databases:?}");
        let kept = siblings.ask(async |database| database.list_collection_names().await.unwrap());
        assert!(kept.is_empty(), "{system} writes into the database that the settings name: {kept:?}");
    }
}

#[test]
fn the_audit_is_measured_in_a_schema_of_its_own() {
    let mut siblings = Siblings::new(PROGRAM, "bench-audit");
    // The address may come from a file, as a secret does.
    let file = siblings.world.dir.join("database_url");
    std::fs::write(&file, variable("DATABASE_URL")).unwrap();
    siblings.world.set("DATABASE_URL_FILE", file.to_str().unwrap());
    let made = measure(&siblings, "transactions-audit", "PostgreSQL");
    let left: Vec<String> = block_on(async {
        let mut connection = PgConnection::connect(&variable("DATABASE_URL")).await.unwrap();
        let schemas = sqlx::query_scalar("SELECT nspname::text FROM pg_namespace WHERE nspname LIKE $1 || '%'");
        schemas.bind(&made).fetch_all(&mut connection).await.unwrap()
    });
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is_sent() {
    let siblings = Siblings::new(PROGRAM, "bench-refused");
    for (args, why) in [
        (["--system", "reviews"], "Algolia bills each operation"),
        (["--system", "reactions"], "several consumer groups"),
        (["--system", "nobody"], "there is no system nobody"),
    ] {
        let output = siblings.world.output(&[&["bench"][..], &args].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains(why), "{said}");
    }
}
