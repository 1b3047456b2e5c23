//! A part of what the sources hold, tables, documents alone, and a look before anything is written.

use serde_json::{Value, json};

use crate::bench::{Bench, assert_complete, created, event, lines, of, payloads, stream};
use crate::resumed::SLOWLY;

fn ids(bench: &Bench) -> Vec<String> {
    bench.held().into_keys().collect()
}

/// Events of five documents, ten minutes apart, of two users.
fn five() -> Vec<Value> {
    let one = |n: u32| {
        let user = if n.is_multiple_of(2) { "even" } else { "odd" };
        event("transaction.created", &format!("t{n}"), n * 600, &json!({"user_id": user, "amount": n}))
    };
    (0..5).map(one).collect()
}

#[test]
fn a_part_by_ids_by_time_by_field_or_by_all_of_them() {
    for (args, expected) in [
        (vec!["--ids", "ids"], vec!["t1", "t3"]),
        (vec!["--from", "2025-06-01T00:10:00Z", "--to", "2025-06-01T02:30:00+02:00"], vec!["t1", "t2"]),
        (vec!["--where", "user_id=odd"], vec!["t1", "t3"]),
        (vec!["--where", "transaction.user_id=even", "--where", "amount=4"], vec!["t4"]),
        (vec!["--where", "user_id=odd", "--ids", "ids", "--from", "2025-06-01T00:20:00Z"], vec!["t3"]),
    ] {
        let bench = Bench::new();
        bench.write("ids", b"\xef\xbb\xbft1\r\n\n t3\nmissing\n");
        bench.write("a", &[of(&five()), b"no json\n".to_vec()].concat());
        let (summary, code) = bench.run(&[&["a", "--state", "s.json"], &*args].concat());
        assert_eq!(ids(&bench), expected, "{summary}");
        // A line that cannot be read may be one of those that were asked for.
        assert_eq!((code, &summary["unchosen"], &summary["rejected"]), (1, &json!(5 - expected.len()), &json!(1)));
        bench.refuses(&["a", "--state", "s.json"], 64, &["s.json is of another selection", "--restart"]);
        let (again, _) = bench.run(&["a", "--state", "s.json", "--restart"]);
        assert_eq!((&again["applied"], &again["superseded"]), (&json!(5 - expected.len()), &json!(expected.len())));
    }
}

#[test]
fn a_choice_that_cannot_be_is_refused() {
    let bench = Bench::new();
    bench.write("a", &of(&five()));
    bench.write("none", b"\n");
    for (args, says) in [
        (["--ids", "missing"], "--ids missing"),
        (["--ids", "none"], "it has no ids"),
        (["--from", "yesterday"], "--from is a time"),
        (["--where", "user_id"], "--where is a field and its value"),
        (["--format", "xml"], "--format is auto, ndjson or csv"),
        (["--as-of", "2999-01-01T00:00:00Z"], "a time that has come"),
        (["--partition", "1"], "for sources such as kafka:TOPIC alone"),
        (["--to", "100"], "for sources such as kafka:TOPIC alone"),
        (["--rate", "0"], "--rate is a number"),
    ] {
        bench.refuses(&[&["a"], args.as_slice()].concat(), 64, &[says]);
    }
}

#[test]
fn a_table_of_events_has_its_fields_by_the_header() {
    let bench = Bench::new();
    let table = "event_type;timestamp;transaction.id;transaction.user_id;transaction.transaction_type;transaction.note\r\n\
        transaction.created;2025-06-01T00:00:01Z;007;u;card;\"two\r\nlines; \"\"quoted\"\"\"\r\n\
        transaction.created;2025-06-01T00:00:01Z;b;u\r\n\
        transaction.created;2025-06-01T00:00:02Z;c;u;card;\r\n\
        transaction.created;2025-06-01T00:00:02Z;d;u;card;\"open";
    bench.write("a", table.as_bytes());
    let (summary, code) = bench.run(&["a", "--state", "s.json"]);
    assert_eq!((code, &summary["applied"], &summary["rejected"]), (1, &json!(2), &json!(2)), "{summary}");
    assert_eq!(bench.rejects("s.rejects.ndjson"), [(4, "csv_fields".to_owned()), (6, "cut_line".to_owned())]);
    assert_eq!(bench.document("007").unwrap()["note"], "two\nlines; \"quoted\"");
    assert_eq!(bench.document("c").unwrap()["note"], Value::Null);
    let (headless, code) = bench.run_with(&["-"], b"transaction.created,2025-06-01T00:00:01Z,a,u,card\n");
    assert_eq!(code, 75, "{headless}");
    let why = headless["sources"][0]["failed"].as_str().unwrap();
    assert!(why.contains("it needs a header"), "{why}");
    bench.write("headless.csv", b"tx_1,u1,card\ntx_2,u1,card\n");
    bench.refuses(&["headless.csv"], 64, &["headless.csv", "it needs a header"]);
}

#[test]
fn documents_alone_create_and_never_overwrite_newer_ones_nor_bring_deleted_ones_back() {
    let bench = Bench::new();
    let live = [
        created("older", 1, "live"),
        created("newer", 7200, "live"),
        event("transaction.deleted", "gone", 1, &json!({})),
        event("transaction.deleted", "going", 7200, &json!({})),
    ];
    bench.write("live", &of(&live));
    bench.run(&["live"]);
    let bare =
        |id: &str| format!(r#"{{"id":"{id}","user_id":"u","transaction_type":"card","status":"bare","amount":1.50}}"#);
    let names = ["older", "newer", "gone", "going", "fresh"];
    let mut lines: Vec<String> = names.iter().map(|id| bare(id)).collect();
    // Neither may say more than a document can.
    lines.push(r#"{"id":"x"},"timestamp":"2030-01-01T00:00:00Z","transaction":{"id":"x"}"#.to_owned());
    lines.push("[]".to_owned());
    bench.write("bare", lines.join("\n").as_bytes());
    let (summary, code) = bench.run(&["bare", "--as-of", "2025-06-01T01:00:00Z"]);
    assert_eq!((code, &summary["applied"], &summary["superseded"]), (1, &json!(2), &json!(3)), "{summary}");
    assert_eq!(summary["rejected"], 2);
    let status = |id: &str| bench.document(id).map(|document| document["status"].clone());
    assert_eq!(["older", "newer", "fresh"].map(status), ["bare", "live", "bare"].map(|text| Some(json!(text))));
    assert!(bench.held()["gone"].1 && bench.held()["going"].1, "nothing comes back");
    bench.write("table", b"id,user_id,transaction_type,status,metadata.tag\nrow,u,card,bare,t\n");
    assert_eq!(bench.run(&["table", "--as-of", "2025-06-01T01:00:00Z"]).1, 0);
    assert_eq!(bench.document("row").unwrap()["metadata"]["tag"], "t");
}

#[test]
fn a_look_before_says_what_the_run_then_does_and_writes_nothing() {
    let bench = Bench::new();
    let live = [created("older", 1, "live"), created("newer", 9, "live"), created("doomed", 1, "live")];
    bench.write("live", &of(&live));
    bench.run(&["live"]);
    let before = bench.held();
    let gone = event("transaction.deleted", "doomed", 5, &json!({}));
    let late =
        [created("older", 5, "x"), created("newer", 5, "x"), created("fresh", 5, "x"), created("fresh", 4, "x"), gone];
    bench.write("a", &[of(&late), b"no json\n".to_vec()].concat());
    let (found, code) = bench.run(&["a", "--dry-run"]);
    assert_eq!(code, 1, "{found}");
    let kinds = ["created", "updated", "deleted", "superseded", "rejected"];
    let counts = kinds.map(|kind| found[kind]["count"].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1, 2, 1], "{found}");
    assert_eq!(found["created"]["examples"], json!(["fresh"]));
    assert_eq!(found["superseded"]["examples"], json!(["newer", "fresh"]));
    assert!(found["rejected"]["examples"][0].as_str().unwrap().starts_with("line 6: not_json"), "{found}");
    assert!(bench.held() == before);
    let files: Vec<String> = std::fs::read_dir(bench.folder())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!files.iter().any(|name| name.contains("rejects")), "{files:?}");
    let (summary, _) = bench.run(&["a"]);
    assert_eq!((&summary["applied"], &summary["superseded"], &summary["rejected"]), (&json!(3), &json!(2), &json!(1)));
}

#[test]
fn an_audit_is_read_page_by_page_and_read_on_after_a_kill() {
    let options = stream(3_000);
    let mut bench = Bench::new();
    bench.env.insert("DATABASE_URL", "sqlite:audit.db".to_owned());
    bench.write("a", &lines(&payloads(&options)));
    let mut command = std::process::Command::new(crate::PROGRAM);
    command.env_clear().envs(&bench.env).current_dir(bench.folder());
    assert!(command.args(["backfill", "transactions-audit", "a"]).output().unwrap().status.success());
    let mut child = bench.start(&[&["audit:", "--state", "s.json"], &SLOWLY[..]].concat());
    let line = bench.await_line("s.json", 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let (summary, code) = bench.run(&["audit:", "--state", "s.json"]);
    assert_eq!((code, &summary["finished"]), (0, &json!(true)), "{summary}");
    let counts = options.counts().unwrap();
    let rest = summary["lines"].as_u64().unwrap();
    assert!(rest + line.unsigned_abs() - 1 <= counts.distinct() && rest < counts.distinct(), "{line} {summary}");
    assert_complete(&bench.held(), &options);
}

#[test]
fn the_audit_has_the_whole_history_of_what_was_deleted_too() {
    let mut bench = Bench::new();
    bench.env.insert("DATABASE_URL", "sqlite:audit.db".to_owned());
    bench.write("first", &of(&[event("transaction.deleted", "a", 10, &json!({}))]));
    bench.write("late", &of(&[created("a", 5, "x"), created("b", 5, "x")]));
    for file in ["first", "late"] {
        let mut command = std::process::Command::new(crate::PROGRAM);
        command.env_clear().envs(&bench.env).current_dir(bench.folder());
        assert!(command.args(["backfill", "transactions-audit", file]).output().unwrap().status.success());
    }
    let history = testkit::world::block_on(async {
        let audit = millrace::stores::sqlite::Sqlite::new(&bench.path("audit.db"));
        let reader = millrace::stores::sqlite::SqliteReader::audit(audit);
        millrace::stores::reader::StoreReader::history(&reader, "a").await.unwrap().unwrap()
    });
    let mut places: Vec<String> =
        history.iter().map(|event| format!("{}/{}/{}", event.at.topic, event.at.partition, event.offset)).collect();
    places.sort();
    assert_eq!(places, ["file:first/0/1", "file:late/0/1"], "each event says the file and the line that it is from");
}
