//! The official JavaScript client, unchanged, against the double: what it takes for Algolia may be taken for Algolia.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use testkit::double::{FakeAlgolia, FakeOptions, Fault};

fn run(command: &mut Command, what: &str) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{what} could not be run ({error}): this test needs Node.js 18 or newer, with npm, on the PATH")
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} failed: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A folder with the packages and the program; they are installed once for each content of the lock file.
fn installed() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/algolia");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("algolia-javascript");
        std::fs::create_dir_all(&folder).unwrap();
        let lock = std::fs::read(own.join("package-lock.json")).unwrap();
        for name in ["package.json", "package-lock.json", "client.mjs"] {
            let wanted = std::fs::read(own.join(name)).unwrap();
            // Written only when it changed: another run may be reading it.
            if std::fs::read(folder.join(name)).ok().as_ref() != Some(&wanted) {
                std::fs::write(folder.join(name), wanted).unwrap();
            }
        }
        let done = folder.join("installed.json");
        if std::fs::read(&done).ok().as_ref() != Some(&lock) {
            let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
            run(Command::new("npm").args(arguments).current_dir(&folder), "npm ci");
            std::fs::write(done, lock).unwrap();
        }
        folder
    })
}

/// Runs one of the program's parts; gives what it prints.
fn client(double: &FakeAlgolia, part: &str, key: Option<&str>) -> Value {
    let [(_, app), (_, own_key), _] = double.variables();
    let mut command = Command::new("node");
    command.args(["client.mjs", part]).current_dir(installed());
    command.env("APP_ID", app).env("API_KEY", key.unwrap_or(&own_key)).env("HOSTS", double.urls());
    serde_json::from_str(&run(&mut command, "node")).unwrap()
}

#[test]
fn it_saves_reads_browses_and_deletes() {
    let double = FakeAlgolia::start();
    let seen = client(&double, "everything", None);
    let expected = json!({
        "saved": [1_000, 1_000, 500],
        "got": [{"objectID": "id 7", "n": 7}, null],
        "one": {"objectID": "id 7", "n": 7},
        "browsed": 2_500,
        "pages": 3,
        "found": 2_500,
        "left": 2_493,
        "gone": [404, "ObjectID does not exist"],
        "generated": true,
        "missing": [404, "Index missing does not exist"],
        "cleared": 0,
    });
    assert_eq!(seen, expected);
    let kept = double.objects("kept");
    assert_eq!(kept["b"], json!({"objectID": "b", "n": 2}));
    assert_eq!(kept["a"], json!({"objectID": "a", "n": 1, "more": {"m": 5}}));
    assert_eq!(kept["d"], json!({"objectID": "d", "n": 6}));
    assert_eq!(kept.len(), 4, "{kept:?}");
    assert!(double.objects("things").is_empty());
}

#[test]
fn it_is_told_of_a_wrong_key_and_of_a_record_that_is_too_large() {
    let double = FakeAlgolia::with(FakeOptions { record_limit: 1_000, ..FakeOptions::default() });
    assert_eq!(client(&double, "save", Some("wrong")), json!(["ApiError", 403, "Invalid Application-ID or API key"]));
    let refused = client(&double, "save-large", None);
    assert_eq!((&refused[0], &refused[1]), (&json!("ApiError"), &json!(400)));
    let message = refused[2].as_str().unwrap();
    assert!(message.starts_with("Record at the position 1 objectID=large is too big size="), "{message}");
    double.await_settled();
    assert!(double.objects("things").is_empty());
}

#[test]
fn it_asks_the_second_host_when_the_first_fails_and_not_when_it_asks_to_wait() {
    for fault in [Fault::Status(503), Fault::Cut] {
        let double = FakeAlgolia::with_hosts(2);
        double.fail_host(0, fault);
        assert_eq!(client(&double, "save", None), json!("saved"), "{fault:?}");
        assert_eq!((double.requests_at(0, "batch"), double.requests_at(1, "batch")), (1, 1), "{fault:?}");
    }
    let double = FakeAlgolia::with_hosts(2);
    double.fail_host(0, Fault::Status(429));
    assert_eq!(client(&double, "save", None)[1], 429);
    assert_eq!((double.requests_at(0, "batch"), double.requests_at(1, "batch")), (1, 0));
    double.fail(Fault::Status(503));
    assert_eq!(client(&double, "save", None)[0], "RetryError");
}
