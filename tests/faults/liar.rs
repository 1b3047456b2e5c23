//! A proxy in front of the search engine that can be told to lie: what stands between a program and its store in real life.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

/// What it does with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Honest,
    /// 503 to bulk requests, without asking the store.
    Busy,
    /// A page with status 200, without asking the store.
    Page,
    /// Half of the answer, then the connection ends.
    Half,
    /// The store takes the request, and the answer never comes.
    Cut,
    /// This status to bulk requests, without asking the store.
    Status(u16),
    /// The same to every second bulk request: a balancer with a bad backend.
    EverySecond(u16),
    /// Nothing but late.
    Slow,
    /// The store is not asked about some of the items (by their ids, one in so many), which fail so; the rest it takes.
    Items { status: u16, kind: &'static str, one_in: u64 },
    /// Requests that hold these bytes are cut before they reach the store.
    Choke(&'static str),
    /// The store is too busy for the items of requests that hold these bytes, and takes all others.
    BusyWrites(&'static str),
}

/// How it stands.
#[derive(Debug, Default)]
struct Stand {
    mode: Mode,
    /// Held back before each bulk request.
    delay: Duration,
    told: BTreeMap<&'static str, u64>,
    turn: bool,
}

/// The ways to a store, each with a proxy of its own.
pub struct Liars {
    pub ways: Vec<Liar>,
}

impl Liars {
    /// So many, before the nodes of a list in turn; at least one a node.
    pub fn start(upstreams: &str, count: usize) -> Self {
        let nodes: Vec<&str> = upstreams.split(',').collect();
        Self { ways: nodes.iter().cycle().take(count.max(nodes.len())).map(|node| Liar::start(node)).collect() }
    }

    /// Their addresses.
    pub fn urls(&self) -> String {
        let urls: Vec<&str> = self.ways.iter().map(|way| way.url.as_str()).collect();
        urls.join(",")
    }

    pub fn set(&self, mode: Mode) {
        self.ways.iter().for_each(|way| way.set(mode.clone()));
    }

    /// Holds back each bulk request.
    pub fn delay(&self, delay: Duration) {
        self.ways.iter().for_each(|way| way.delay(delay));
    }

    /// How often they lied, by kind.
    pub fn told(&self) -> BTreeMap<&'static str, u64> {
        let mut told = BTreeMap::new();
        for (kind, count) in self.ways.iter().flat_map(Liar::told) {
            *told.entry(kind).or_default() += count;
        }
        told
    }
}

/// A running proxy.
pub struct Liar {
    stand: Arc<Mutex<Stand>>,
    pub url: String,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Clone)]
struct Shared {
    stand: Arc<Mutex<Stand>>,
    upstream: String,
    client: reqwest::Client,
}

impl Liar {
    /// Listens on a port of its own in front of `upstream`.
    pub fn start(upstream: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let stand = Arc::<Mutex<Stand>>::default();
        let upstream = upstream.trim_end_matches('/').to_owned();
        let shared =
            Shared { stand: stand.clone(), upstream, client: reqwest::Client::builder().no_proxy().build().unwrap() };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(answer).with_state(shared);
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { stand, url, _runtime: runtime }
    }

    pub fn set(&self, mode: Mode) {
        self.stand.lock().unwrap().mode = mode;
    }

    /// Holds back each bulk request.
    pub fn delay(&self, delay: Duration) {
        self.stand.lock().unwrap().delay = delay;
    }

    /// How often it lied, by kind.
    pub fn told(&self) -> BTreeMap<&'static str, u64> {
        self.stand.lock().unwrap().told.clone()
    }
}

impl Shared {
    fn tell(&self, what: &'static str) {
        *self.stand.lock().unwrap().told.entry(what).or_default() += 1;
    }

    /// True every second time.
    fn turn(&self) -> bool {
        let mut stand = self.stand.lock().unwrap();
        stand.turn = !stand.turn;
        stand.turn
    }

    /// Asks the store about those that do not fail, and puts the answers in the order of the request; `None` for a body that
    /// cannot be read or an answer that is no bulk answer.
    async fn some_fail(&self, parts: &Parts, body: &[u8], status: u16, kind: &str, one_in: u64) -> Option<String> {
        let actions = actions(body);
        let failing: Vec<bool> = actions.iter().map(|action| fails(action, one_in)).collect();
        if !failing.contains(&true) {
            return None;
        }
        self.tell("items");
        let sound: Vec<u8> =
            actions.iter().zip(&failing).filter(|(_, fails)| !**fails).flat_map(|(action, _)| action.clone()).collect();
        let mut taken = Vec::new();
        if !sound.is_empty() {
            let url = format!("{}{}", self.upstream, parts.uri.path_and_query()?.as_str());
            let request = self.client.post(url).header(header::CONTENT_TYPE, "application/x-ndjson").body(sound);
            let answer: Value = serde_json::from_slice(&request.send().await.ok()?.bytes().await.ok()?).ok()?;
            taken = answer["items"].as_array()?.clone();
        }
        let mut taken = taken.into_iter();
        let failed = json!({"index": {"status": status, "error": {"type": kind, "reason": "sick"}}});
        let items: Option<Vec<Value>> =
            failing.into_iter().map(|fails| if fails { Some(failed.clone()) } else { taken.next() }).collect();
        Some(json!({"errors": true, "items": items?}).to_string())
    }
}

/// One action with its source, where it has one.
fn actions(body: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = body.split_inclusive(|byte| *byte == b'\n');
    let mut all = Vec::new();
    while let Some(line) = lines.next() {
        let mut action = line.to_vec();
        if !action.starts_with(br#"{"delete""#) {
            action.extend_from_slice(lines.next().unwrap_or_default());
        }
        all.push(action);
    }
    all
}

/// Whether an action is of those documents that fail; by its id alone, so that the same fail each time.
fn fails(action: &[u8], one_in: u64) -> bool {
    let line = action.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let named: Value = serde_json::from_slice(line).unwrap_or_default();
    let id = named.as_object().and_then(|action| action.values().next()?["_id"].as_str()).unwrap_or_default();
    id.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())).is_multiple_of(one_in)
}

/// A body that ends in the middle.
fn broken_off(part: Bytes) -> Body {
    let broken = std::io::Error::other("cut");
    Body::from_stream(futures_util::stream::iter([Ok(part), Err(broken)]))
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let bulk = path.contains("/_bulk");
    let (mode, delay) = {
        let stand = shared.stand.lock().unwrap();
        (stand.mode.clone(), stand.delay)
    };
    if bulk {
        tokio::time::sleep(delay).await;
    }
    let plain = |status: StatusCode, kind: &str, body: Body| {
        Response::builder().status(status).header(header::CONTENT_TYPE, kind).body(body).unwrap()
    };
    match &mode {
        Mode::Busy if bulk => {
            shared.tell("503");
            return plain(StatusCode::SERVICE_UNAVAILABLE, "text/plain", Body::from("busy"));
        }
        Mode::Status(status) if bulk => {
            shared.tell("status");
            return plain(StatusCode::from_u16(*status).unwrap(), "text/plain", Body::from("sick"));
        }
        Mode::EverySecond(status) if bulk && shared.turn() => {
            shared.tell("every second");
            return plain(StatusCode::from_u16(*status).unwrap(), "text/plain", Body::from("sick"));
        }
        Mode::Slow if bulk => shared.tell("slow"),
        Mode::Items { status, kind, one_in } if bulk => {
            if let Some(answer) = shared.some_fail(&parts, &body, *status, kind, *one_in).await {
                return plain(StatusCode::OK, "application/json", Body::from(answer));
            }
        }
        Mode::BusyWrites(word) if bulk && String::from_utf8_lossy(&body).contains(word) => {
            if let Some(answer) = shared.some_fail(&parts, &body, 429, "es_rejected_execution_exception", 1).await {
                return plain(StatusCode::OK, "application/json", Body::from(answer));
            }
        }
        Mode::Page => {
            shared.tell("page");
            return plain(StatusCode::OK, "text/html", Body::from("<html><body>Welcome</body></html>"));
        }
        Mode::Choke(word) if String::from_utf8_lossy(&body).contains(word) => {
            shared.tell("choked");
            return plain(StatusCode::OK, "application/json", broken_off(Bytes::new()));
        }
        _ => {}
    }
    let mut onward = shared.client.request(parts.method, format!("{}{path}", shared.upstream)).body(body);
    for (name, value) in &parts.headers {
        if *name != header::HOST && *name != header::CONTENT_LENGTH {
            onward = onward.header(name, value);
        }
    }
    // An outage of the store shows as one: the connection ends without an answer.
    let Ok(answer) = onward.send().await else {
        return plain(StatusCode::OK, "application/json", broken_off(Bytes::new()));
    };
    let (status, kind) = (answer.status(), answer.headers().get(header::CONTENT_TYPE).cloned());
    let Ok(bytes) = answer.bytes().await else {
        return plain(StatusCode::OK, "application/json", broken_off(Bytes::new()));
    };
    let body = match mode {
        Mode::Half => {
            shared.tell("half");
            broken_off(bytes.slice(..bytes.len() / 2))
        }
        Mode::Cut if bulk => {
            shared.tell("cut");
            broken_off(Bytes::new())
        }
        _ => Body::from(bytes),
    };
    let kind = kind.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or("application/json");
    plain(status, kind, body)
}
