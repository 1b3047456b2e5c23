//! The HTTP server: liveness, readiness, details, metrics, and the way to tell an open breaker to go on.
//!
//! It owns its listener and knows nothing of the engine but [`Health`]. It guarantees that `/livez` answers while the
//! process runs, whatever the stores do and whoever holds connections, and that it ends soon after it is told to.

mod connections;
mod guard;
mod steered;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use pipeline::status::Reason;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use connections::Limits;
use guard::Guard;

use crate::config::Http;
use crate::run::trouble;

/// Why the process is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReasonLine {
    /// The part, such as `elasticsearch`.
    pub source: String,
    pub reason: String,
    /// Where the documents explain it.
    pub see: String,
}

impl From<Reason> for ReasonLine {
    fn from(standing: Reason) -> Self {
        Self { see: trouble::address_of(&standing.source), source: standing.source, reason: standing.why }
    }
}

/// What became of a word to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continued {
    /// The breaker was open and lets writes pass.
    Yes,
    /// The breaker is not open: nothing was changed.
    NotOpen,
    /// No such system runs here.
    Unknown,
}

/// What the server asks the rest of the process.
pub trait Health: Send + Sync + 'static {
    /// Why it is not ready; empty when it is.
    fn reasons(&self) -> Vec<ReasonLine>;
    /// What is wrong with projections that were brought along; they are never in the way, so readiness leaves them out.
    fn projections(&self) -> Vec<ReasonLine>;
    /// Details per system, as JSON.
    fn details(&self) -> Value;
    /// Lets the work of this system go on, if its breaker stopped it.
    fn proceed(&self, system: &str) -> Continued;
}

/// Work that can be held up and told its rate while it goes on.
pub trait Steering: Send + Sync + 'static {
    fn pause(&self);
    fn resume(&self);
    /// Records a second; none: as many as can be.
    fn set_rate(&self, rate: Option<NonZeroU32>);
    /// How it stands, as JSON.
    fn standing(&self) -> Value;
}

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("cannot listen on {addr}: {source}; set HTTP_ADDR and HTTP_PORT to a free address (HTTP_PORT=0 picks one)")]
    Bind { addr: SocketAddr, source: std::io::Error },
}

/// A server that has its address but does not answer yet.
pub struct HttpServer {
    listener: TcpListener,
    addr: SocketAddr,
    guard: Guard,
    limits: Limits,
    steering: Option<Arc<dyn Steering>>,
}

impl HttpServer {
    /// Takes the address, so that one that is in use is known before any work starts.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(http: &Http) -> Result<Self, HttpError> {
        let addr = SocketAddr::new(http.addr, http.port);
        let bind = |source| HttpError::Bind { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(bind)?;
        let addr = listener.local_addr().map_err(bind)?;
        Ok(Self { listener, addr, guard: Guard::new(http), limits: Limits::default(), steering: None })
    }

    /// Lets this work be steered, under `/backfill`.
    #[must_use]
    pub fn steers(self, steering: Arc<dyn Steering>) -> Self {
        Self { steering: Some(steering), ..self }
    }

    /// Where it listens; with the port that was picked.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers until the token is cancelled, and then for a moment more.
    pub async fn serve(self, health: Arc<dyn Health>, metrics: PrometheusHandle, stop: CancellationToken) {
        tracing::info!(addr = %self.addr, "HTTP server listening");
        let upkeep = crate::run::telemetry::keep_up(metrics.clone(), stop.clone());
        let router = router(health, metrics, self.guard, self.steering);
        tokio::join!(connections::serve(self.listener, router, self.limits, stop.clone()), upkeep);
    }
}

fn router(
    health: Arc<dyn Health>,
    metrics: PrometheusHandle,
    guard: Guard,
    steering: Option<Arc<dyn Steering>>,
) -> Router {
    let guard = Arc::new(guard);
    let changing = Router::new()
        .route("/continue/{system}", post(proceed))
        .route("/continue", post(nameless))
        .layer(from_fn_with_state(guard.clone(), guard::check));
    let steered = steering.map_or_else(Router::new, |steering| steered::router(steering, guard));
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readiness))
        .route("/health", get(details))
        .merge(changing)
        .with_state(health)
        .merge(steered)
        .route("/metrics", get(async move || render(&metrics)))
}

fn answer(health: &dyn Health) -> (StatusCode, Value) {
    let reasons = health.reasons();
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = json!({ "ready": ready, "reasons": reasons });
    let projections = health.projections();
    if let (Some(body), false) = (body.as_object_mut(), projections.is_empty()) {
        body.insert("projections".to_owned(), json!(projections));
    }
    (status, body)
}

async fn readiness(State(health): State<Arc<dyn Health>>) -> Response {
    let (status, body) = answer(&*health);
    (status, Json(body)).into_response()
}

async fn details(State(health): State<Arc<dyn Health>>) -> Response {
    let (status, mut body) = answer(&*health);
    if let Some(object) = body.as_object_mut() {
        object.insert("details".to_owned(), health.details());
    }
    (status, Json(body)).into_response()
}

async fn proceed(State(health): State<Arc<dyn Health>>, Path(system): Path<String>) -> Response {
    let continued = health.proceed(&system);
    let (status, why) = match continued {
        Continued::Yes => {
            tracing::warn!(system, "Told to go on: what the store rejects is dead-lettered");
            return (StatusCode::ACCEPTED, Json(json!({ "continued": true, "system": system }))).into_response();
        }
        Continued::NotOpen => (StatusCode::CONFLICT, "nothing was stopped there, so nothing was changed"),
        Continued::Unknown => (StatusCode::NOT_FOUND, "no such system runs here; /health names those that do"),
    };
    refusal(status, why)
}

async fn nameless() -> Response {
    refusal(StatusCode::BAD_REQUEST, "name the system: POST /continue/SYSTEM")
}

/// An answer that says that nothing was done, and why.
fn refusal(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "continued": false, "reason": why }))).into_response()
}

fn render(metrics: &PrometheusHandle) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render()).into_response()
}
