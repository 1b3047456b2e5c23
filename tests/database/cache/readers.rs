//! Readers that have asked the database and have not kept what they read yet: by the protocol in Rust and in Node, and plain.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use millrace::stores::database::RowCache;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

use super::server::OwnRedis;

const TTL: Duration = Duration::from_secs(600);
const ENTITY: &str = "User";

/// Rows as JSON, by id.
pub type JsonRows = BTreeMap<u64, String>;

pub trait Readers {
    /// Each asks for its row, and finds that it has to ask the database.
    fn begin(&mut self, ids: &[u64]);
    /// Each has its answer, and keeps it.
    fn finish(&mut self, rows: &JsonRows);
}

/// Those that keep whatever they read.
pub struct PlainReaders(pub redis::Connection);

impl Readers for PlainReaders {
    fn begin(&mut self, ids: &[u64]) {
        let keys: Vec<String> = ids.iter().map(|id| key_of(*id)).collect();
        let values: Vec<Option<String>> = redis::cmd("MGET").arg(keys).query(&mut self.0).unwrap();
        assert!(values.iter().all(Option::is_none), "a round begins without values");
    }

    fn finish(&mut self, rows: &JsonRows) {
        for (id, row) in rows {
            redis::cmd("SET").arg(key_of(*id)).arg(row).arg("PX").arg(600_000).query::<()>(&mut self.0).unwrap();
        }
    }
}

pub fn key_of(id: u64) -> String {
    format!("user:{id}")
}

/// The reference reader.
pub struct RustReaders {
    runtime: Runtime,
    pub cache: RowCache,
    waiting: BTreeMap<u64, (oneshot::Sender<String>, tokio::task::JoinHandle<()>)>,
}

impl RustReaders {
    pub fn new(redis: &OwnRedis) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let cache = RowCache::new(runtime.block_on(redis.manager()), "", TTL);
        Self { runtime, cache, waiting: BTreeMap::new() }
    }

    /// Reads a row through the cache, or from these.
    pub fn read(&self, id: u64, rows: &JsonRows) -> Option<String> {
        let load = || async { Ok::<_, ()>(rows.get(&id).cloned()) };
        self.runtime.block_on(self.cache.row(ENTITY, &id.to_string(), load)).unwrap()
    }

    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(future)
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

impl Readers for RustReaders {
    fn begin(&mut self, ids: &[u64]) {
        let (asked, mut asking) = mpsc::unbounded_channel();
        for &id in ids {
            let (answer, answered) = oneshot::channel();
            let (cache, asked) = (self.cache.clone(), asked.clone());
            let read = self.runtime.spawn(async move {
                let load = || async move {
                    asked.send(id).unwrap();
                    Ok::<_, ()>(Some(answered.await.unwrap()))
                };
                cache.row(ENTITY, &id.to_string(), load).await.unwrap();
            });
            self.waiting.insert(id, (answer, read));
        }
        drop(asked);
        let all = async {
            for _ in ids {
                asking.recv().await.expect("each asks the database");
            }
        };
        self.runtime.block_on(all);
    }

    fn finish(&mut self, rows: &JsonRows) {
        for (id, (answer, read)) in std::mem::take(&mut self.waiting) {
            answer.send(rows[&id].clone()).unwrap();
            self.runtime.block_on(read).unwrap();
        }
    }
}

/// The reader in Node, on the official client.
pub struct NodeReaders {
    child: Child,
    input: ChildStdin,
    lines: Receiver<Value>,
}

fn run(command: &mut Command, what: &str) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{what} could not be run ({error}): this test needs Node.js 20 or newer, with npm, on the PATH")
    });
    assert!(output.status.success(), "{what} failed: {}", String::from_utf8_lossy(&output.stderr));
}

/// A folder with the packages and the program; they are installed once for each content of the lock file.
fn installed() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("row-cache");
        std::fs::create_dir_all(&folder).unwrap();
        for entry in std::fs::read_dir(root.join("examples/row-cache")).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() {
                std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
            }
        }
        std::fs::copy(root.join("tests/database/cache/readers.mjs"), folder.join("readers.mjs")).unwrap();
        let (done, lock) = (folder.join("installed.json"), std::fs::read(folder.join("package-lock.json")).unwrap());
        if std::fs::read(&done).ok().as_ref() != Some(&lock) {
            let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
            run(Command::new("npm").args(arguments).current_dir(&folder), "npm ci");
            std::fs::write(done, lock).unwrap();
        }
        folder
    })
}

impl NodeReaders {
    pub fn new(redis: &OwnRedis) -> Self {
        let mut command = Command::new("node");
        command.arg("readers.mjs").current_dir(installed()).env("REDIS_URL", redis.url());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sent, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                sent.send(serde_json::from_str(&line).unwrap()).ok();
            }
        });
        Self { input: child.stdin.take().unwrap(), child, lines }
    }

    fn tell(&mut self, what: &Value) {
        writeln!(self.input, "{what}").unwrap();
    }

    fn await_all(&self, what: &str, count: usize) {
        for _ in 0..count {
            let line = self.lines.recv_timeout(Duration::from_secs(60)).expect("the readers in Node answer");
            assert!(line[what].is_u64(), "{what} was expected: {line}");
        }
    }
}

impl Readers for NodeReaders {
    fn begin(&mut self, ids: &[u64]) {
        ids.iter().for_each(|id| self.tell(&json!({"read": id})));
        self.await_all("load", ids.len());
    }

    fn finish(&mut self, rows: &JsonRows) {
        for (id, row) in rows {
            self.tell(&json!({"id": id, "row": serde_json::from_str::<Value>(row).unwrap()}));
        }
        self.await_all("done", rows.len());
    }
}

impl Drop for NodeReaders {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
