//! A search engine that stores nothing: it answers what `run` asks of one correctly and at once, so that a rate against it is
//! the ceiling of everything before the store.
//!
//! Every write is taken, save one under a condition on its sequence number, which never holds; versions are not compared, and
//! nothing can be read back.

use std::io::Read;
use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

/// The server, until it is dropped.
pub struct NullStore {
    addr: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl NullStore {
    /// Listens on this port of the loopback address; 0: a free one. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn start(port: u16) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        let addr = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            // It only ends with the program.
            axum::serve(listener, axum::Router::new().fallback(answer)).await.ok();
        });
        Ok(Self { addr, _serving: AbortOnDropHandle::new(serving) })
    }

    /// As `ELASTICSEARCH_URL` takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

async fn answer(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
    let path = parts.uri.path();
    if path.ends_with("/_bulk") {
        let alias = path.trim_matches('/').split('/').next().unwrap_or_default();
        return match plain(&parts.headers, body).and_then(|body| bulk(&body, &first_index(alias))) {
            Some(answer) => reply(200, answer),
            None => reply(400, refusal(400, "parse_exception").to_string()),
        };
    }
    let (status, answer) = call(&parts.method, path);
    reply(status, answer.to_string())
}

fn reply(status: u16, body: String) -> Response {
    (
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        [(header::CONTENT_TYPE, "application/json")],
        body,
    )
        .into_response()
}

fn refusal(status: u16, kind: &str) -> Value {
    json!({"error": {"type": kind}, "status": status})
}

/// The body as it was before it was compressed.
fn plain(headers: &HeaderMap, body: Bytes) -> Option<Bytes> {
    if headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding != "gzip") {
        return Some(body);
    }
    let mut plain = Vec::with_capacity(body.len() * 8);
    flate2::read::GzDecoder::new(&*body).read_to_end(&mut plain).ok()?;
    Some(plain.into())
}

const CONFLICT: &str = r#"{"index":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"the condition does not hold"}}}"#;

/// One status an action, in the shape that the program's `filter_path` leaves; `None` for what are no bulk lines.
fn bulk(body: &[u8], index: &str) -> Option<String> {
    let taken = format!(r#"{{"index":{{"_index":"{index}","status":201}}}}"#);
    let deleted = format!(r#"{{"delete":{{"_index":"{index}","status":200}}}}"#);
    let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let (mut items, mut errors) = (Vec::new(), false);
    while let Some(action) = lines.next() {
        let conditional = memchr::memmem::find(action, b"\"if_seq_no\"").is_some();
        if action.starts_with(br#"{"delete""#) {
            items.push(&*deleted);
            continue;
        }
        if !action.starts_with(br#"{"index""#) && !action.starts_with(br#"{"create""#) {
            return None;
        }
        lines.next()?;
        errors |= conditional;
        items.push(if conditional { CONFLICT } else { &taken });
    }
    Some(format!(r#"{{"errors":{errors},"items":[{}]}}"#, items.join(",")))
}

fn first_index(alias: &str) -> String {
    format!("{alias}-000001")
}

/// What is asked at the start, and by `doctor`.
fn call(method: &Method, path: &str) -> (u16, Value) {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method.as_str(), parts.as_slice()) {
        ("GET", [""]) => (200, json!({"name": "null", "version": {"number": "9.2.0"}})),
        ("GET", ["_cluster", "health"]) => (200, json!({"status": "green", "number_of_nodes": 1})),
        ("GET", ["_nodes", ..]) => (200, json!({"nodes": {"null": {"version": "9.2.0"}}})),
        ("GET", ["_alias", alias]) => {
            let written =
                json!({"is_write_index": true, "filter": {"bool": {"must_not": {"term": {"_deleted": true}}}}});
            (200, json!({first_index(alias): {"aliases": {*alias: written}}}))
        }
        ("GET", [index, "_mapping"]) => (200, json!({first_index(index): {"mappings": {}}})),
        ("GET", [index, "_settings"]) => (200, json!({first_index(index): {"settings": {}}})),
        ("POST", [.., "_refresh"]) => (200, json!({"_shards": {"total": 1, "successful": 1, "failed": 0}})),
        ("PUT" | "POST", _) => (200, json!({"acknowledged": true, "shards_acknowledged": true})),
        _ => (404, refusal(404, "resource_not_found_exception")),
    }
}
