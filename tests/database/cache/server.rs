//! A Redis of a test's own, which may be killed and started from older data; and a way to it that can be held up.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::aio::ConnectionManager;
use testkit::services::eventually;

/// A server with an append-only file.
pub struct OwnRedis {
    pub port: u16,
    dir: PathBuf,
    child: Child,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            std::fs::copy(entry.path(), target).map(drop).unwrap()
        }
    }
}

impl OwnRedis {
    pub fn new(dir: PathBuf) -> Self {
        std::fs::create_dir_all(&dir).unwrap();
        let port = free_port();
        let redis = Self { port, child: launch(port, &dir), dir };
        redis.await_answer();
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn start(&mut self) {
        self.child = launch(self.port, &self.dir);
        self.await_answer();
    }

    /// Keeps its data as they are now.
    pub fn snapshot(&self) {
        copy(&self.dir, &self.kept());
    }

    /// Has it killed and started from what was kept.
    pub fn restore(&mut self) {
        self.kill();
        std::fs::remove_dir_all(&self.dir).unwrap();
        copy(&self.kept(), &self.dir);
        self.start();
    }

    fn kept(&self) -> PathBuf {
        self.dir.with_extension("kept")
    }

    fn await_answer(&self) {
        eventually("Redis", || {
            self.connection().and_then(|mut connection| redis::cmd("PING").query::<()>(&mut connection)).ok()
        });
    }

    pub fn connection(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(self.url())?.get_connection()
    }

    pub fn run<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        redis::cmd(command[0]).arg(&command[1..]).query(&mut self.connection().unwrap()).unwrap()
    }

    /// The values of keys, as whoever asks with a plain GET has them.
    pub fn values(&self, keys: &[String]) -> Vec<Option<String>> {
        redis::cmd("MGET").arg(keys).query(&mut self.connection().unwrap()).unwrap()
    }

    pub async fn manager(&self) -> ConnectionManager {
        pipeline::redis_connection(&redis::Client::open(self.url()).unwrap()).await.unwrap()
    }
}

fn launch(port: u16, dir: &Path) -> Child {
    let mut command = Command::new("redis-server");
    command.args([
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "no",
        "--dir",
    ]);
    command.arg(dir).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A way to a server on which requests can be made to vanish.
pub struct Gate {
    port: u16,
    held: Arc<AtomicBool>,
}

impl Gate {
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let held = Arc::new(AtomicBool::new(false));
        let gate = Self { port, held: held.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (back, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let held = held.clone();
                std::thread::spawn(move || forward(client, server, &held));
                std::thread::spawn(move || forward(back, to, &AtomicBool::new(false)));
            }
        });
        gate
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// What is sent from now on is lost, and nobody is told.
    pub fn hold(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, held: &AtomicBool) {
    let mut bytes = [0; 16_384];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if !held.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Both).ok();
}
