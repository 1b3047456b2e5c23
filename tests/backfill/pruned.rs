//! A whole snapshot that is held against the store: what it lacks and is older is deleted, and nothing else.

use serde_json::{Value, json};

use crate::bench::{Bench, created, ended, gzip, lines, of};

/// The snapshots are of a moment an hour after the first events.
const AS_OF: [&str; 2] = ["--as-of", "2025-06-01T01:00:00Z"];

fn document(id: &str) -> String {
    json!({"id": id, "user_id": "u", "transaction_type": "card", "status": "of the snapshot"}).to_string()
}

fn snapshot(bench: &Bench, ids: &[&str]) {
    bench.write("snapshot", &lines(&ids.iter().map(|id| document(id)).collect::<Vec<_>>()));
}

/// A store with documents from before the snapshot, one of its very time, and one from after it.
fn stored() -> Bench {
    let bench = Bench::new();
    let events = [("kept", 1), ("gone-1", 2), ("gone-2", 3599), ("same-time", 3600), ("newer", 3601)];
    bench.write("events", &of(&events.map(|(id, second)| created(id, second, "live"))));
    assert_eq!(bench.run(&["events"]).1, 0);
    snapshot(&bench, &["kept", "new"]);
    bench
}

fn prune(bench: &Bench, args: &[&str]) -> (Value, i32) {
    ended(&bench.output(&[&["snapshot", "--prune"], &AS_OF[..], args].concat()))
}

fn living(bench: &Bench) -> Vec<String> {
    let held = bench.held().into_iter();
    held.filter(|(_, (_, deleted, _))| !deleted).map(|(id, _)| id).collect()
}

#[test]
fn what_is_older_than_the_snapshot_and_not_in_it_becomes_a_tombstone_and_nothing_newer_does() {
    let bench = stored();
    let before = bench.held();
    let (preview, code) = prune(&bench, &["--dry-run"]);
    assert_eq!((code, &preview["pruned"]["count"]), (0, &json!(2)), "{preview}");
    assert!(preview["pruned"]["examples"].to_string().contains("gone-1"), "{preview}");
    assert_eq!(bench.held(), before, "a look changes nothing");

    let (summary, code) = prune(&bench, &["--yes"]);
    assert_eq!(
        (code, &summary["prune"]["found"], &summary["prune"]["deleted"]),
        (0, &json!(2), &json!(2)),
        "{summary}"
    );
    assert_eq!(living(&bench), ["kept", "new", "newer", "same-time"]);
    let (held, of_time) = (bench.held(), before["same-time"].0);
    for id in ["gone-1", "gone-2"] {
        let (version, deleted, _) = held[id];
        assert!(deleted && before[id].0 < version && version < of_time, "{id}: {version}");
    }
    let (again, code) = prune(&bench, &["--yes"]);
    assert_eq!((code, &again["prune"]["found"]), (0, &json!(0)), "{again}");
    // A later event brings it back, as after any delete.
    bench.write("later", &of(&[created("gone-1", 3602, "live")]));
    assert_eq!(bench.run(&["later"]).1, 0);
    assert!(living(&bench).contains(&"gone-1".to_owned()));
}

#[test]
fn a_part_of_a_snapshot_is_not_taken_for_the_whole() {
    let bench = stored();
    let before = living(&bench);
    bench.write("ids", b"kept\n");
    let refused = |args: &[&str], says: &str| {
        bench.refuses(&[&["snapshot", "--prune"], args].concat(), 64, &[says]);
    };
    refused(&["--yes"], "--as-of");
    refused(&AS_OF, "nobody is at a terminal");
    for chosen in [
        ["--ids", "ids"],
        ["--from", "2025-01-01T00:00:00Z"],
        ["--to", "2027-01-01T00:00:00Z"],
        ["--where", "user_id=u"],
    ] {
        refused(&[&AS_OF[..], &["--yes"], &chosen].concat(), "whole snapshots");
    }
    for source in ["-", "kafka:t", "audit:"] {
        refused(&[&AS_OF[..], &["--yes", source]].concat(), "reads its sources twice");
    }
    assert_eq!(living(&bench), before, "nothing was written");
}

#[test]
fn with_rejects_a_cut_file_or_an_empty_snapshot_nothing_is_pruned() {
    let whole = lines(&[document("kept")]);
    let many: Vec<String> = (0..2_000).map(|n| document(&format!("new-{n}"))).collect();
    let compressed = gzip(&lines(&many));
    for (bytes, code) in [
        ([whole.clone(), b"{\"no\": \"id\"}\n".to_vec()].concat(), 1),
        (compressed[..compressed.len() * 2 / 3].to_vec(), 75),
        (b"\n\n".to_vec(), 64),
    ] {
        let bench = stored();
        bench.write("snapshot", &bytes);
        let output = bench.output(&[&["snapshot", "--prune", "--yes"], &AS_OF[..]].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        let left = living(&bench);
        assert!(["gone-1", "gone-2"].iter().all(|id| left.contains(&(*id).to_owned())), "{left:?}");
    }
}
