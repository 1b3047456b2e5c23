//! What is refused before anything is written, each with a sentence.

use crate::bench::{Bench, created, gzip, of};

#[test]
fn what_is_no_source_is_refused_before_anything_is_written() {
    let bench = Bench::new();
    let text = String::from_utf8(of(&[created("a", 1, "x")])).unwrap();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    bench.write("good", text.as_bytes());
    bench.write("utf16", &[b"\xff\xfe".as_slice(), &utf16].concat());
    bench.write("unmarked", &utf16);
    bench.write("inside", &gzip(&utf16));
    bench.write("array", format!("[{}]", text.trim()).as_bytes());
    bench.write("table.parquet", b"PAR1\x15\x04");
    bench.write("stub", b"\x1f\x8b\x08");
    std::fs::create_dir(bench.path("folder")).unwrap();
    for (source, says) in [
        ("utf16", "iconv"),
        ("unmarked", "iconv"),
        ("inside", "iconv"),
        ("array", "jq -c '.[]' array"),
        ("table.parquet", "Parquet"),
        ("stub", "ends before its first line"),
        ("folder", "folder/*.ndjson"),
        ("missing", "there is no missing"),
        ("nothing-*", "nothing matches nothing-*"),
        ("/dev/null", "/dev/null is no regular file"),
    ] {
        bench.refuses(&["good", source], 64, &[says]);
    }
    bench.refuses(&["-", "-"], 64, &["name it once"]);
    bench.refuses(&["-", "--state", "s"], 64, &["--state is of no use"]);
    bench.refuses(&["good", "--max-rejects", "many"], 64, &["0.5%"]);
    assert!(!bench.path("store.db").exists());
}

#[test]
fn no_file_of_somebody_is_overwritten() {
    let bench = Bench::new();
    let text = of(&[created("a", 1, "x")]);
    bench.write("good", &text);
    bench.write("theirs", b"something else\n");
    bench.refuses(&["good", "--rejects", "good"], 64, &["file:good is a source"]);
    bench.refuses(&["good", "--state", "./good", "--restart"], 64, &["file:good is a source"]);
    bench.refuses(&["good", "--rejects", "theirs"], 64, &["theirs cannot be written", "is no file of rejects"]);
    assert_eq!(std::fs::read(bench.path("good")).unwrap(), text);
    assert_eq!(std::fs::read(bench.path("theirs")).unwrap(), b"something else\n");
}

#[test]
fn a_system_whose_order_files_do_not_have_is_refused() {
    let bench = Bench::new();
    bench.write("good", &of(&[created("a", 1, "x")]));
    let mut command = bench.command(&[]);
    let output = command.args(["--help"]).output().unwrap();
    assert!(output.status.success());
    let mut command = std::process::Command::new(crate::PROGRAM);
    command.env_clear().envs(&bench.env).current_dir(bench.folder()).args(["backfill", "database", "good"]);
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{errors}");
    assert!(errors.contains("in the order of its log"), "{errors}");
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let mut bench = Bench::new();
    bench.write("a", &of(&[created("a", 1, "x")]));
    assert_eq!(bench.run(&["a", "--state", "s.json"]).1, 0);
    bench.env.insert("TRANSACTIONS_STORE", "sqlite:another.db".to_owned());
    bench.refuses(&["a", "--state", "s.json"], 64, &["s.json is of another store", "sqlite/store.db", "--restart"]);
    bench.env.insert("TRANSACTIONS_STORE", "sqlite:store.db".to_owned());
    // As large as before, and with other content.
    bench.write("a", &of(&[created("b", 1, "x")]));
    bench.refuses(&["a", "--state", "s.json"], 64, &["is not as it was when s.json was written"]);
    bench.write("s.json", b"{");
    bench.refuses(&["a", "--state", "s.json"], 64, &["s.json cannot be read", "--restart"]);
}
