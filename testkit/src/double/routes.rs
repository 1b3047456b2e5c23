//! The paths of the API, who may call them, and how a host misbehaves.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Path, Request, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::Fault;
use super::answers::{self, FakeAnswer, refuse};
use super::state::FakeState;

type SharedState = Shared<Arc<FakeState>>;

pub(super) fn router(host: usize, state: Arc<FakeState>) -> Router {
    let shared = Arc::clone(&state);
    Router::new()
        .route("/1/indexes/{index}", post(save_new))
        .route("/1/indexes/{index}/batch", post(batch))
        .route("/1/indexes/{index}/browse", post(browse))
        .route("/1/indexes/{index}/clear", post(clear))
        .route("/1/indexes/{index}/objects", post(objects))
        .route("/1/indexes/{index}/query", post(query))
        .route("/1/indexes/{index}/task/{task}", get(task))
        .route("/1/indexes/{index}/{id}", get(object).put(save).delete(delete))
        .fallback(async || refuse(404, "Path not supported by this API version"))
        .method_not_allowed_fallback(async || refuse(405, "Method not allowed"))
        .layer(from_fn(move |request, next| guard(host, Arc::clone(&shared), request, next)))
        .with_state(state)
}

/// Counts, misbehaves, and lets nobody in without application and key.
async fn guard(host: usize, state: Arc<FakeState>, request: Request, next: Next) -> Response {
    let fault = state.count_arrival(host, kind(request.method(), request.uri().path()));
    match fault {
        Some(Fault::Status(status)) => return refuse(status, "A fault that was asked for").into_response(),
        Some(Fault::Cut) => return cut(),
        Some(Fault::Garbled) => return "<html>".into_response(),
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        Some(Fault::Lost) | None => {}
    }
    let answer = match refusal(&state, request.headers()) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    if matches!(fault, Some(Fault::Lost)) { cut() } else { answer }
}

fn kind(method: &Method, path: &str) -> &'static str {
    let mut parts = path.trim_start_matches("/1/indexes/").split('/').skip(1);
    match (method.as_str(), parts.next()) {
        ("POST", Some("batch")) => "batch",
        ("POST", Some("browse")) => "browse",
        ("POST", Some("clear")) => "clear",
        ("POST", Some("objects")) => "objects",
        ("POST", Some("query")) => "query",
        ("GET", Some("task")) => "task",
        ("GET", Some(_)) => "object",
        ("PUT", Some(_)) | ("POST", None) => "save",
        ("DELETE", Some(_)) => "delete",
        _ => "other",
    }
}

fn refusal(state: &FakeState, headers: &HeaderMap) -> Option<FakeAnswer> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = header("x-algolia-application-id") == state.options.app_id
        && header("x-algolia-api-key") == state.options.api_key;
    if !known {
        return Some(refuse(403, "Invalid Application-ID or API key"));
    }
    // The official JavaScript client calls its JSON plain text, to spare browsers a preflight request.
    let bodied = headers.contains_key("content-length") && header("content-length") != "0";
    let plain = ["application/json", "text/plain"].iter().any(|kind| header("content-type").starts_with(kind));
    (bodied && !plain).then(|| refuse(400, "A body has to be JSON"))
}

/// Declares a body, and breaks off within it.
fn cut() -> Response {
    let broken = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
    let headers = [("content-length", "1000"), ("connection", "close")];
    (StatusCode::OK, headers, Body::from_stream(broken)).into_response()
}

/// A body that is a JSON object, or nothing.
struct Json(Value);

impl FromRequest<Arc<FakeState>> for Json {
    type Rejection = Response;

    async fn from_request(request: Request, state: &Arc<FakeState>) -> Result<Self, Response> {
        let too_large = || refuse(413, "Request entity too large").into_response();
        // Read whole: an answer that comes before the request was sent is lost with the connection.
        let body = to_bytes(request.into_body(), usize::MAX).await.map_err(|_| too_large())?;
        if body.len() > state.options.body_limit {
            return Err(too_large());
        }
        let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
        match serde_json::from_slice::<Value>(body) {
            Ok(value) if value.is_object() => Ok(Self(value)),
            _ => Err(refuse(400, "Invalid JSON").into_response()),
        }
    }
}

async fn batch(Shared(state): SharedState, Path(index): Path<String>, Json(body): Json) -> FakeAnswer {
    answers::batch(&state, &index, &body)
}

async fn objects(Shared(state): SharedState, Path(index): Path<String>, Json(body): Json) -> FakeAnswer {
    if index == "*" { answers::objects(&state, &body) } else { refuse(404, "Path not supported by this API version") }
}

async fn browse(Shared(state): SharedState, Path(index): Path<String>, Json(body): Json) -> FakeAnswer {
    answers::browse(&state, &index, &body)
}

async fn query(Shared(state): SharedState, Path(index): Path<String>, Json(body): Json) -> FakeAnswer {
    answers::query(&state, &index, &body)
}

async fn clear(Shared(state): SharedState, Path(index): Path<String>) -> FakeAnswer {
    answers::clear(&state, &index)
}

async fn task(Shared(state): SharedState, Path((_, task)): Path<(String, i64)>) -> FakeAnswer {
    match state.is_published(task) {
        Some(true) => FakeAnswer::ok(json!({"status": "published"})),
        Some(false) => FakeAnswer::ok(json!({"status": "notPublished"})),
        None => refuse(404, "Task does not exist"),
    }
}

async fn object(Shared(state): SharedState, Path((index, id)): Path<(String, String)>) -> FakeAnswer {
    answers::object(&state, &index, &id)
}

async fn save_new(Shared(state): SharedState, Path(index): Path<String>, Json(body): Json) -> FakeAnswer {
    answers::save_new(&state, &index, body)
}

async fn save(Shared(state): SharedState, Path((index, id)): Path<(String, String)>, Json(body): Json) -> FakeAnswer {
    answers::save(&state, &index, &id, body)
}

async fn delete(Shared(state): SharedState, Path((index, id)): Path<(String, String)>) -> FakeAnswer {
    answers::delete(&state, &index, id)
}
