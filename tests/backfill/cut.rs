//! Sources that are cut, damaged, too long or changed: what is whole is written, and what is not is said.

use std::io::Write;
use std::process::Stdio;

use serde_json::json;
use testkit::services::eventually;

use crate::bench::{Bench, created, ended, gzip, lines, of, payloads, stream, zstd};
use crate::resumed::SLOWLY;

#[test]
fn a_line_that_is_cut_is_a_reject_and_the_lines_before_it_are_written() {
    let bench = Bench::new();
    let whole = of(&[created("a", 1, "x"), created("b", 1, "x")]);
    bench.write("cut", &whole[..whole.len() - 20]);
    let (summary, code) = bench.run(&["cut", "--state", "s.json"]);
    assert_eq!((code, &summary["applied"], &summary["rejected"]), (1, &json!(1), &json!(1)), "{summary}");
    assert_eq!(bench.rejects("s.rejects.ndjson"), [(2, "cut_line".to_owned())]);
    // A last line without its end is a line like any other.
    bench.write("whole", whole.trim_ascii_end());
    assert_eq!(bench.run(&["whole"]).1, 0);
}

#[test]
fn of_a_compressed_file_that_is_cut_or_damaged_whatever_is_whole_is_written_and_the_others_are_read() {
    let events = payloads(&stream(2_000));
    let other = of(&[created("other", 1, "x")]);
    let all = lines(&events);
    let frames: Vec<u8> = all.chunks(20_000).flat_map(zstd).collect();
    for (what, compressed) in [("gzip member", gzip(&all)), ("zstd frame", frames)] {
        let bench = Bench::new();
        bench.write("a", &compressed[..compressed.len() * 2 / 3]);
        bench.write("b", &other);
        let output = bench.output(&["a", "b", "--state", "s.json"]);
        let (summary, code) = ended(&output);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(code, 75, "{errors}");
        assert!(errors.contains(&format!("ends in the middle of a {what}")), "{errors}");
        let read = summary["sources"][0]["lines"].as_u64().unwrap() as usize;
        assert!(read > 100 && read < events.len(), "{summary}");
        assert_eq!((&summary["sources"][1]["finished"], &summary["rejected"]), (&json!(true), &json!(0)));
        let first = Bench::new();
        first.write("first", &[lines(&events[..read]), other.clone()].concat());
        first.run(&["first"]);
        assert!(first.held() == bench.held(), "what is whole is written");
        // Asked again, it says so again, and reads nothing twice.
        let (again, code) = bench.run(&["a", "b", "--state", "s.json"]);
        assert_eq!((code, &again["lines"]), (75, &json!(0)), "{again}");
    }
    let bench = Bench::new();
    let mut damaged = gzip(&all);
    let middle = damaged.len() / 2;
    damaged[middle..middle + 40].fill(0xff);
    bench.write("a", &damaged);
    let output = bench.output(&["a"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{errors}");
    assert!(errors.contains("is damaged"), "{errors}");
}

#[test]
fn a_line_of_two_hundred_megabytes_is_a_reject_and_not_memory() {
    let bench = Bench::new();
    let mut child = bench.command(&["-", "--rejects", "r"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&of(&[created("a", 1, "x")])).unwrap();
    let part = vec![b'x'; 1 << 20];
    (0..200).for_each(|_| input.write_all(&part).unwrap());
    // Whatever was written is read, but for a pipe's worth.
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(peak < 150_000, "{peak} kB");
    input.write_all(b"\n").unwrap();
    input.write_all(&of(&[created("b", 1, "x")])).unwrap();
    drop(input);
    let (summary, code) = ended(&child.wait_with_output().unwrap());
    assert_eq!((code, &summary["applied"], &summary["rejected"]), (1, &json!(2), &json!(1)), "{summary}");
    assert_eq!(bench.rejects("r"), [(2, "line_too_long".to_owned())]);
}

#[test]
fn a_file_that_grows_while_it_is_read_is_refused() {
    let bench = Bench::new();
    bench.write("a", &lines(&payloads(&stream(3_000))));
    let child = bench.command(&[&["a", "--state", "s.json"], &SLOWLY[..]].concat()).spawn().unwrap();
    bench.await_line("s.json", 1);
    let mut file = std::fs::File::options().append(true).open(bench.path("a")).unwrap();
    file.write_all(&of(&[created("late", 1, "x")])).unwrap();
    drop(file);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{errors}");
    assert!(errors.contains("has changed while it was read"), "{errors}");
    bench.refuses(&["a", "--state", "s.json"], 64, &["file:", "/a is not as it was", "its size differs", "--restart"]);
    assert_eq!(bench.run(&["a", "--state", "s.json", "--restart"]).1, 0);
}

#[test]
fn too_many_rejects_end_it_and_the_checkpoint_is_kept() {
    let bench = Bench::new();
    let mut events: Vec<String> = payloads(&stream(3_000));
    events.splice(0..0, (0..50).map(|n| format!("no json {n}")));
    bench.write("a", &lines(&events));
    for most in ["10", "0.1%"] {
        let output = bench.output(&["a", "--state", "s.json", "--max-rejects", most, "--restart"]);
        let (summary, code) = ended(&output);
        assert_eq!((code, &summary["finished"]), (75, &json!(false)), "{summary}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("--max-rejects") && errors.contains("s.rejects.ndjson"), "{errors}");
    }
    let (summary, code) = bench.run(&["a", "--state", "s.json", "--max-rejects", "50"]);
    assert_eq!((code, &summary["finished"], &summary["rejected"]), (1, &json!(true), &json!(50)), "{summary}");
    let rejects = bench.rejects("s.rejects.ndjson");
    assert_eq!(rejects.iter().map(|(line, _)| *line).collect::<Vec<_>>(), (1..=50).collect::<Vec<_>>(), "each once");
    let text = std::fs::read_to_string(bench.path("s.rejects.ndjson")).unwrap();
    assert!(!text.contains("no json"), "what a line holds stays in its source");
    let share = bench.run(&["a", "--restart", "--max-rejects", "90%"]);
    assert_eq!(share.1, 1, "{share:?}");
}

#[test]
fn a_store_that_is_not_there_is_waited_for() {
    let bench = Bench::new();
    bench.write("a", &of(&[created("a", 1, "x")]));
    // In place of the file of the store.
    std::fs::create_dir(bench.path("store.db")).unwrap();
    let mut child = bench.start(&["a"]);
    eventually("the lock", || {
        let files = std::fs::read_dir(bench.folder()).unwrap();
        files.map(|file| file.unwrap().path()).find(|path| path.extension().is_some_and(|ending| ending == "lock"))
    });
    std::fs::remove_dir(bench.path("store.db")).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(bench.held().len(), 1);
}
