//! A stand-in for Algolia's Search API: a local HTTP server that does what the API's specification says of the calls that
//! the program and the official JavaScript client make.
//!
//! It runs in a thread with a runtime of its own. Several hosts share one state and fail each for itself. What it does not
//! offer it refuses with 400, so that nobody relies on it by accident. It is stricter than the API where that keeps requests
//! small: a body of more than 10 MB is refused (the API takes 1 GB), and so is a body with unknown attributes.

mod answers;
mod routes;
mod state;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use state::FakeState;

/// How a host misbehaves.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Answers so to everything, and does nothing.
    Status(u16),
    /// Closes the connection instead of an answer, and does nothing.
    Cut,
    /// Does what it was asked for, and closes the connection instead of an answer.
    Lost,
    /// Waits before it does anything.
    Slow(Duration),
    /// Answers 200 with something that is no JSON.
    Garbled,
}

/// What it is like.
#[derive(Clone, Debug)]
pub struct FakeOptions {
    pub app_id: String,
    pub api_key: String,
    pub hosts: usize,
    /// Of the first host; 0: a free one.
    pub port: u16,
    /// Bytes of a record, as compact JSON.
    pub record_limit: usize,
    /// Bytes of a request's body.
    pub body_limit: usize,
}

impl Default for FakeOptions {
    fn default() -> Self {
        Self {
            app_id: "TESTINGAPP".to_owned(),
            api_key: "0123456789abcdef0123456789abcdef".to_owned(),
            hosts: 1,
            port: 0,
            record_limit: 100_000,
            body_limit: 10_000_000,
        }
    }
}

/// The server, until it is dropped.
pub struct FakeAlgolia {
    options: FakeOptions,
    state: Arc<FakeState>,
    ports: Vec<u16>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeAlgolia {
    pub fn start() -> Self {
        Self::with(FakeOptions::default())
    }

    pub fn with_hosts(hosts: usize) -> Self {
        Self::with(FakeOptions { hosts, ..FakeOptions::default() })
    }

    pub fn with(options: FakeOptions) -> Self {
        let port = |host| if host == 0 { options.port } else { 0 };
        let listeners: Vec<_> =
            (0..options.hosts).map(|host| TcpListener::bind(("127.0.0.1", port(host))).unwrap()).collect();
        let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let (state, tasks) = FakeState::new(options.clone());
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async move {
                tokio::spawn(state::apply(Arc::clone(&served), tasks));
                for (host, listener) in listeners.into_iter().enumerate() {
                    listener.set_nonblocking(true).unwrap();
                    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                    let router = routes::router(host, Arc::clone(&served));
                    tokio::spawn(async move { axum::serve(listener, router).await });
                }
                stopped.await.ok();
            });
            // Not in the background: whoever drops the double wants its ports closed.
            runtime.shutdown_timeout(Duration::from_secs(5));
        });
        Self { options, state, ports, stop: Some(stop), thread: Some(thread) }
    }

    /// `127.0.0.1:port` of a host.
    pub fn address(&self, host: usize) -> String {
        format!("127.0.0.1:{}", self.ports[host])
    }

    /// The base URLs of all hosts, as `ALGOLIA_URL` takes them.
    pub fn urls(&self) -> String {
        let urls: Vec<_> = (0..self.ports.len()).map(|host| format!("http://{}", self.address(host))).collect();
        urls.join(",")
    }

    /// The environment that leads the program here.
    pub fn variables(&self) -> [(&'static str, String); 3] {
        [
            ("ALGOLIA_APP_ID", self.options.app_id.clone()),
            ("ALGOLIA_API_KEY", self.options.api_key.clone()),
            ("ALGOLIA_URL", self.urls()),
        ]
    }

    /// Makes all hosts misbehave from now on.
    pub fn fail(&self, fault: Fault) {
        (0..self.ports.len()).for_each(|host| self.fail_host(host, fault));
    }

    /// Makes one host misbehave from now on.
    pub fn fail_host(&self, host: usize, fault: Fault) {
        self.state.set_fault(host, Some(fault));
    }

    /// Makes all hosts behave again.
    pub fn heal(&self) {
        (0..self.ports.len()).for_each(|host| self.state.set_fault(host, None));
    }

    /// Requests of a kind that came to any host, those that failed too: `batch`, `objects`, `browse`, `task`, `query`,
    /// `object`, `save`, `delete`, `clear`, `other`.
    pub fn requests(&self, kind: &str) -> usize {
        (0..self.ports.len()).map(|host| self.requests_at(host, kind)).sum()
    }

    /// The same of one host.
    pub fn requests_at(&self, host: usize, kind: &str) -> usize {
        self.state.count(host, kind)
    }

    /// All objects of an index by id; none, when it is missing.
    pub fn objects(&self, index: &str) -> BTreeMap<String, Value> {
        self.state.objects(index).unwrap_or_default()
    }

    /// Changes an index by hand, behind the back of whoever writes it.
    pub fn change<T>(&self, index: &str, change: impl FnOnce(&mut BTreeMap<String, Value>) -> T) -> T {
        self.state.change(index, change)
    }

    /// Applies no write until what this gives is dropped.
    pub fn hold(&self) -> HoldGuard<'_> {
        self.state.hold(true);
        HoldGuard(&self.state)
    }

    /// Waits until every write that was taken can be read.
    pub fn await_settled(&self) {
        self.state.await_settled();
    }
}

/// While it lives, writes are taken and not applied.
pub struct HoldGuard<'a>(&'a FakeState);

impl Drop for HoldGuard<'_> {
    fn drop(&mut self) {
        self.0.hold(false);
    }
}

impl Drop for FakeAlgolia {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
