//! Verify: silent where all is well, exact where it is not, and able to mend it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use testkit::services::{elasticsearch, source_of, variable};
use testkit::world::{World, scaled};

use crate::PROGRAM;
use crate::audit::Audited;

/// Runs `verify`, and gives its exit code, its findings as `name id`, and the sums.
fn verify(world: &World, args: &[&str]) -> (i32, BTreeSet<String>, Value) {
    verify_system(world, "transactions", args)
}

fn verify_system(world: &World, system: &str, args: &[&str]) -> (i32, BTreeSet<String>, Value) {
    let output = world.output(&[&["verify", system, "--json"], args].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sums = lines.pop().unwrap_or_else(|| panic!("{errors}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = lines.iter().map(|line| format!("{} {}", text(&line["finding"]), text(&line["id"]))).collect();
    (output.status.code().unwrap(), findings, sums)
}

fn filled(name: &str) -> World {
    let world = World::new(PROGRAM, name);
    fill(&world);
    world
}

fn fill(world: &World) {
    let count = scaled(3_000).to_string();
    let ratios = ["--update-ratio", "0.3", "--delete-ratio", "0.2", "--late-ratio", "0.1", "--duplicate-ratio", "0.02"];
    world.publish(&[&["--count", &count, "--malformed-ratio", "0.01", "--users", "50"], &ratios[..]].concat());
    world.run_all_once();
}

/// Puts a document into the index by hand, whatever version it had.
fn put(world: &World, id: &str, version: i64, source: &str) {
    let index = format!("/{}-000001", world.name);
    // A deleted document's version is remembered for a while, unless the index is told not to.
    let forget = json!({"index.gc_deletes": "0s"});
    assert_eq!(elasticsearch("PUT", &format!("{index}/_settings"), Some(&forget)).0, 200);
    elasticsearch("DELETE", &format!("{index}/_doc/{id}"), None);
    let path = format!("{index}/_doc/{id}?version={version}&version_type=external");
    let url = format!("{}{path}", variable("ELASTICSEARCH_URL"));
    testkit::services::eventually("the old version to be forgotten", || {
        let request = reqwest::blocking::Client::new().put(&url).header("content-type", "application/json");
        let status = request.body(source.to_owned()).send().unwrap().status();
        (status == 201).then_some(())
    });
}

#[test]
fn six_wrongs_are_named_and_mended() {
    let world = filled("verify");
    let (code, findings, sums) = verify(&world, &[]);
    assert_eq!((code, findings.len()), (0, 0), "{findings:?} {sums}");
    let documents = world.documents();
    let mut living = documents.iter();
    let mut expected = BTreeSet::new();
    for _ in 0..3 {
        let (id, _) = living.next().unwrap();
        elasticsearch("DELETE", &format!("/{}-000001/_doc/{id}", world.name), None);
        expected.insert(format!("missing {id}"));
    }
    let (id, (version, source)) = living.next().unwrap();
    put(&world, id, version - 4, &source.to_string());
    expected.insert(format!("stale {id}"));
    put(&world, "foreign", 7, &json!({"id": "foreign"}).to_string());
    expected.insert("phantom foreign".to_owned());
    elasticsearch("POST", &format!("/{}-000001/_refresh", world.name), None);
    let tombstones = json!({"size": 1, "version": true, "query": {"term": {"_deleted": true}}});
    let (_, found) = elasticsearch("POST", &format!("/{}-000001/_search", world.name), Some(&tombstones));
    let hit = &found["hits"]["hits"][0];
    let id = hit["_id"].as_str().unwrap();
    put(&world, id, hit["_version"].as_i64().unwrap() - 4, &json!({"id": id, "status": "completed"}).to_string());
    expected.insert(format!("resurrected {id}"));

    let (code, findings, sums) = verify(&world, &[]);
    assert_eq!((code, findings), (1, expected.clone()), "{sums}");
    let (code, findings, sums) = verify(&world, &["--repair"]);
    assert_eq!((code, findings), (1, expected), "nothing that cannot be explained is removed: {sums}");
    assert_eq!((&sums["repaired"], &sums["removed"]), (&json!(5), &json!(0)));
    let (code, findings, _) = verify(&world, &["--repair", "--delete-phantoms"]);
    assert_eq!((code, findings), (0, BTreeSet::from(["phantom foreign".to_owned()])));
    assert_eq!(verify(&world, &[]).0, 0);
    assert_eq!(world.documents(), documents);
}

#[test]
fn a_group_that_is_behind_is_waited_for_and_then_said_to_be() {
    let world = World::new(PROGRAM, "verify-behind");
    world.publish(&["--count", "100"]);
    let output = world.output(&["verify", "--wait", "10"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{errors}");
    assert!(errors.contains(&world.name) && errors.contains("110 records to go"), "{errors}");
}

#[test]
fn the_audit_is_held_to_the_same() {
    let audited = Audited::new(World::new(PROGRAM, "verify-audit"));
    fill(&audited.world);
    let audit = |args: &[&str]| verify_system(&audited.world, "transactions-audit", args);
    let (code, findings, sums) = audit(&[]);
    assert_eq!((code, findings.len()), (0, 0), "{findings:?} {sums}");
    audited.run("DELETE FROM transaction_state WHERE id IN (SELECT id FROM transactions ORDER BY id LIMIT 2)");
    audited.run("UPDATE transaction_state SET version = version - 4 WHERE id = (SELECT id FROM transactions ORDER BY id LIMIT 1)");
    audited.run(
        "UPDATE transaction_state SET payload = '{}' WHERE id = (SELECT id FROM transactions ORDER BY id DESC LIMIT 1)",
    );
    audited.run(
        "UPDATE transaction_state SET deleted = false, version = version - 4, payload = '{}'
         WHERE id = (SELECT id FROM transaction_state WHERE deleted ORDER BY id LIMIT 1)",
    );
    let (code, findings, _) = audit(&["--repair"]);
    assert_eq!(kinds(&findings), ["altered", "missing", "missing", "resurrected", "stale"]);
    assert_eq!(code, 0, "all of them can be mended");
    let (code, findings, _) = audit(&[]);
    assert_eq!((code, findings.len()), (0, 0), "{findings:?}");
}

fn kinds(findings: &BTreeSet<String>) -> Vec<String> {
    findings.iter().map(|finding| finding.split(' ').next().unwrap().to_owned()).collect()
}

/// A document, each of its values as it is written.
type Source = BTreeMap<String, Box<RawValue>>;

#[test]
fn a_field_that_did_not_pass_through_is_named_and_what_enrichment_made_is_another_matter() {
    let audited = Audited::new(World::new(PROGRAM, "verify-altered"));
    let world = &audited.world;
    fill(world);
    let documents = world.documents();
    let mut living = documents.iter();
    let mut expected = BTreeSet::new();
    // Numbers keep their digits: only what is planted is another.
    let mut change = |kind: &str, change: &dyn Fn(&mut Source)| {
        let (id, (version, _)) = living.next().unwrap();
        let mut source: Source = serde_json::from_str(&source_of(&world.name, id)).unwrap();
        change(&mut source);
        put(world, id, *version, &serde_json::to_string(&source).unwrap());
        expected.insert(format!("{kind} {id}"));
    };
    let planted = || to_raw_value("planted").unwrap();
    change("altered", &|source| drop(source.insert("status".to_owned(), planted())));
    change("altered", &|source| {
        let mut metadata: Source = serde_json::from_str(source["metadata"].get()).unwrap();
        metadata.insert("planted".to_owned(), planted());
        source.insert("metadata".to_owned(), to_raw_value(&metadata).unwrap());
    });
    change("altered", &|source| drop(source.remove("amount")));
    change("different", &|source| drop(source.insert("search_content".to_owned(), planted())));
    let (code, findings, sums) = verify(world, &[]);
    assert_eq!((code, findings), (1, expected), "{sums}");

    // The audit's columns are nothing that the consumer itself ever compares.
    let audit = |args: &[&str]| verify_system(world, "transactions-audit", args);
    assert_eq!(audit(&[]).0, 0);
    audited.run("UPDATE transaction_state SET status = 'planted' WHERE id = (SELECT min(id) FROM transactions)");
    audited.run("UPDATE transaction_state SET amount = amount + 0.001 WHERE id = (SELECT max(id) FROM transactions)");
    let (code, findings, sums) = audit(&["--repair"]);
    assert_eq!((code, kinds(&findings)), (0, vec!["altered".to_owned(); 2]), "{sums}");
    assert_eq!(audit(&[]).0, 0);

    // Written at the version that is there already, and nothing else is touched.
    let (code, _, sums) = verify(world, &["--repair"]);
    assert_eq!((code, &sums["repaired"]), (0, &json!(4)), "{sums}");
    assert_eq!(verify(world, &[]).0, 0);
    assert_eq!(world.documents(), documents);
}
