//! Every form of a source comes to the same documents.

use crate::bench::{Bench, assert_complete, created, event, gzip, lines, of, payloads, stream, zstd};
use serde_json::json;

#[test]
fn plain_compressed_in_several_members_and_frames_and_standard_input_come_to_the_same() {
    let options = stream(2_000);
    let events = payloads(&options);
    let all = lines(&events);
    let (first, second) = all.split_at(all.len() / 3);
    let windows: Vec<u8> = [b"\xef\xbb\xbf".to_vec(), events.join("\r\n").into_bytes()].concat();
    let files: [(&str, Vec<u8>); 5] = [
        ("plain.ndjson", all.clone()),
        ("windows.txt", windows),
        // Their names say nothing, or something else.
        ("members", [gzip(first), gzip(b""), gzip(second)].concat()),
        ("frames.gz", [zstd(first), zstd(second)].concat()),
        (
            "empty-lines",
            all.iter().flat_map(|byte| if *byte == b'\n' { b"\n\n".to_vec() } else { vec![*byte] }).collect(),
        ),
    ];
    let mut held = Vec::new();
    for (name, bytes) in files {
        let mut bench = Bench::new();
        bench.env.insert("TRANSACTIONS_STORE", format!("sqlite:{name}.db"));
        bench.write(name, &bytes);
        let (summary, code) = bench.run(&[name]);
        assert_eq!(
            (code, &summary["lines"], &summary["finished"]),
            (0, &json!(events.len()), &json!(true)),
            "{summary}"
        );
        let of = |name: &str| summary[name].as_u64().unwrap();
        let sum: u64 = ["applied", "superseded", "duplicate"].into_iter().map(of).sum();
        assert_eq!(sum, events.len() as u64, "every line has one outcome: {summary}");
        held.push(bench.held_in(&format!("{name}.db")));
    }
    assert_complete(&held[0], &options);
    held.iter().for_each(|one| assert!(*one == held[0]));
    for input in [all.clone(), gzip(&all), zstd(&all)] {
        let bench = Bench::new();
        let (summary, code) = bench.run_with(&["-"], &input);
        assert_eq!((code, &summary["state"]), (0, &json!(null)), "{summary}");
        assert!(bench.held() == held[0]);
    }
}

#[test]
fn files_of_a_pattern_are_read_each_once_and_an_empty_one_is_behind_at_once() {
    let bench = Bench::new();
    bench.write("a-1.ndjson", &of(&[created("a", 1, "x")]));
    bench.write("a-2.ndjson", &of(&[created("b", 1, "x")]));
    bench.write("a-3.ndjson", b"");
    bench.write("a[1].ndjson", &of(&[created("c", 1, "x")]));
    let (summary, code) = bench.run(&["a-*.ndjson", "./a-1.ndjson", "a[1].ndjson"]);
    assert_eq!((code, &summary["applied"]), (0, &json!(3)), "{summary}");
    let sources = summary["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 4, "{summary}");
    assert!(sources.iter().all(|source| source["finished"] == true), "{summary}");
    let (again, code) = bench.run(&["a-*.ndjson", "a[1].ndjson"]);
    assert_eq!((code, &again["lines"], &again["finished"]), (0, &json!(0), &json!(true)), "all are behind: {again}");
    let (anew, _) = bench.run(&["a-*.ndjson", "a[1].ndjson", "--restart"]);
    assert_eq!((&anew["lines"], &anew["superseded"]), (&json!(3), &json!(3)), "{anew}");
}

#[test]
fn only_newer_versions_win() {
    let bench = Bench::new();
    let live = [created("older", 10, "live"), created("equal", 10, "live"), created("newer", 10, "live")];
    let gone = event("transaction.deleted", "gone", 10, &json!({}));
    bench.write("live", &of(&[live.as_slice(), &[gone]].concat()));
    bench.run(&["live"]);
    let late = [created("older", 9, "late"), created("equal", 10, "late"), created("newer", 11, "late")];
    bench.write("late", &of(&[late.as_slice(), &[created("gone", 9, "late"), created("fresh", 1, "late")]].concat()));
    let (summary, code) = bench.run(&["late"]);
    assert_eq!((code, &summary["applied"], &summary["superseded"]), (0, &json!(2), &json!(3)), "{summary}");
    let status = |id: &str| bench.document(id).unwrap()["status"].clone();
    assert_eq!(["older", "equal", "newer", "fresh"].map(status), ["live", "live", "late", "late"]);
    assert!(bench.held()["gone"].1, "what was deleted does not come back");
}
