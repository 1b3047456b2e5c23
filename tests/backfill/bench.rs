//! A folder with files to read and a store to write to.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use chrono::{DateTime, Utc};
use millrace::stores::reader::{StoreReader, StoredVersion};
use millrace::stores::sqlite::{Sqlite, SqliteReader};
use millrace::synthetic::GeneratorOptions;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::services::eventually;
use testkit::world::block_on;

use crate::PROGRAM;

pub struct Bench {
    folder: TempDir,
    pub env: BTreeMap<&'static str, String>,
}

/// What a store holds: version, whether it is a tombstone, and a digest of the content.
pub type Held = BTreeMap<String, (i64, bool, u64)>;

impl Bench {
    pub fn new() -> Self {
        let env = [
            ("TRANSACTIONS_STORE", "sqlite:store.db"),
            ("KAFKA_BOOTSTRAP_SERVERS", "nowhere:1"),
            ("CONSUMER_BATCH_SIZE", "500"),
            ("RETRY_DELAY_MS", "100"),
            ("LOG_FORMAT", "json"),
        ];
        let env = env.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        Self { folder: tempfile::tempdir().unwrap(), env }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env_clear().envs(&self.env).current_dir(self.folder.path());
        command.args(["backfill", "transactions"]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs it to its end, and gives the summary and the exit code.
    pub fn run(&self, args: &[&str]) -> (Value, i32) {
        ended(&self.output(args))
    }

    /// As `run`, with this on standard input.
    pub fn run_with(&self, args: &[&str], input: &[u8]) -> (Value, i32) {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        ended(&child.wait_with_output().unwrap())
    }

    /// It ends with this code, prints nothing, and says all of this.
    pub fn refuses(&self, args: &[&str], code: i32, says: &[&str]) {
        let output = self.output(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{errors}");
        says.iter().for_each(|part| assert!(errors.contains(part), "{errors:?} says {part:?}"));
    }

    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// What the store holds.
    pub fn held(&self) -> Held {
        self.held_in("store.db")
    }

    pub fn held_in(&self, store: &str) -> Held {
        block_on(async {
            let reader = SqliteReader::documents(Sqlite::new(&self.path(store)));
            let mut held = Held::new();
            let mut visit = |id: &str, StoredVersion { version, deleted, content, .. }: StoredVersion| {
                held.insert(id.to_owned(), (version, deleted, content));
                Ok(())
            };
            reader.read(&mut visit).await.unwrap();
            held
        })
    }

    /// The document under an id.
    pub fn document(&self, id: &str) -> Option<Value> {
        block_on(async {
            let reader = SqliteReader::documents(Sqlite::new(&self.path("store.db")));
            let found = reader.find(&[id.to_owned()]).await.unwrap().remove(0)?;
            serde_json::from_str(&found.text?).ok()
        })
    }

    /// The rejects, a line each: line number and class.
    pub fn rejects(&self, file: &str) -> Vec<(i64, String)> {
        let text = std::fs::read_to_string(self.path(file)).unwrap();
        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            (line["line"].as_i64().unwrap(), line["class"].as_str().unwrap().to_owned())
        };
        text.lines().map(line).collect()
    }

    /// The line of the checkpoint's only part that comes next.
    pub fn next_line(&self, state: &str) -> Option<i64> {
        let state: Value = serde_json::from_slice(&std::fs::read(self.path(state)).ok()?).unwrap();
        state["parts"].as_object().unwrap().values().next().unwrap()["place"]["next"].as_i64()
    }

    /// Waits until the checkpoint has passed this line.
    pub fn await_line(&self, state: &str, line: i64) -> i64 {
        eventually("the checkpoint", || self.next_line(state).filter(|next| *next > line))
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The summary and the exit code.
pub fn ended(output: &Output) -> (Value, i32) {
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let summary = text.lines().last().unwrap_or_else(|| panic!("printed nothing: {errors}"));
    (serde_json::from_str(summary).unwrap(), output.status.code().unwrap())
}

/// A stream with everything in it that is an event.
pub fn stream(count: u64) -> GeneratorOptions {
    let until: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut options = GeneratorOptions::new(7, until);
    (options.count, options.users) = (count, Some(20));
    (options.update_ratio, options.delete_ratio, options.late_ratio) = (0.5, 0.1, 0.1);
    options.duplicate_ratio = 0.05;
    options
}

pub fn payloads(options: &GeneratorOptions) -> Vec<String> {
    options.events().unwrap().filter_map(|event| event.payload).collect()
}

/// As a file has them.
pub fn lines(payloads: &[String]) -> Vec<u8> {
    payloads.iter().flat_map(|payload| format!("{payload}\n").into_bytes()).collect()
}

/// Holds a store against what the events come to.
pub fn assert_complete(held: &Held, options: &GeneratorOptions) {
    let expected = options.expect_documents().unwrap();
    assert_eq!(held.len(), expected.len());
    for (id, expected) in expected {
        let (version, deleted, _) = held.get(&id).unwrap_or_else(|| panic!("{id} is missing"));
        assert_eq!((*version, *deleted), (expected.version, expected.deleted), "{id}");
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// A create at so many seconds after a moment of 2025.
pub fn created(id: &str, second: u32, status: &str) -> Value {
    event("transaction.created", id, second, &json!({"status": status}))
}

pub fn event(kind: &str, id: &str, second: u32, fields: &Value) -> Value {
    let mut transaction = json!({"id": id, "user_id": "u", "transaction_type": "card"});
    transaction.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let time = format!("2025-06-01T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60);
    json!({"event_type": kind, "timestamp": time, "transaction": transaction})
}

/// Lines of these events.
pub fn of(events: &[Value]) -> Vec<u8> {
    lines(&events.iter().map(Value::to_string).collect::<Vec<_>>())
}
