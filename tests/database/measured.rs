//! `bench` on a database of rows.

use serde_json::Value;

use crate::buffer::{Buffer, Engine};
use crate::on_each;

on_each!(operations_are_measured_in_tables_of_their_own);

fn operations_are_measured_in_tables_of_their_own(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-bench");
    // A place of its own is made, which the least-rights user may not.
    let admin = buffer.admin.clone();
    buffer.world.set("DATABASE_CONSUMER_URL", &admin);
    let args = ["bench", "--system", "database", "--events", "3000", "--partitions", "3", "--rounds", "1"];
    let output = buffer.world.output(&[&args[..], &["--json", "result.json"]].concat());
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&std::fs::read(buffer.world.dir.join("result.json")).unwrap()).unwrap();
    assert_eq!(result["measured"]["bare_in_flight"], 1, "operations are not to pass one another");
    let rows = result["measured"]["rows"].as_array().unwrap();
    let subjects: Vec<&str> = rows.iter().map(|row| row["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["consumption", "bare_writes", "program"]);
    assert!(rows.iter().all(|row| row["records"].as_u64().unwrap() > 1_000), "{rows:?}");
    let made = result["workload"]["topic"].as_str().unwrap().replace('-', "_");
    let left =
        buffer.ask(format!("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '{made}%'"));
    assert!(left.is_empty(), "{left:?}");
    assert!(!buffer.has_table("Users"), "the database that the settings name is left alone");
}
