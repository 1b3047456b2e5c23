//! The HTTP server: liveness, readiness, details, metrics, and the way to tell an open breaker to go on.
//!
//! It owns its listener and knows nothing of the engine but [`Health`]. It guarantees that `/livez` answers while the
//! process runs, whatever the stores do.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Http;

/// Why the process is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The part, such as `elasticsearch`.
    pub source: String,
    pub reason: String,
}

/// What the server asks the rest of the process.
pub trait Health: Send + Sync + 'static {
    /// Why it is not ready; empty when it is.
    fn reasons(&self) -> Vec<Reason>;
    /// What is wrong with projections that were brought along; they are never in the way, so readiness leaves them out.
    fn projections(&self) -> Vec<Reason>;
    /// Details per system, as JSON.
    fn details(&self) -> Value;
    /// Lets work go on that an open breaker stopped.
    fn proceed(&self);
}

/// The server could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("cannot listen on {addr}: {source}; set HTTP_ADDR and HTTP_PORT to a free address (HTTP_PORT=0 picks one)")]
    Bind { addr: SocketAddr, source: std::io::Error },
    #[error("the HTTP server failed: {0}")]
    Serve(#[from] std::io::Error),
}

/// A server that has its address but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Server {
    /// Takes the address, so that one that is in use is known before any work starts.
    pub async fn bind(http: &Http) -> Result<Self, HttpError> {
        let addr = SocketAddr::new(http.addr, http.port);
        let bind = |source| HttpError::Bind { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(bind)?;
        let addr = listener.local_addr().map_err(bind)?;
        Ok(Self { listener, addr })
    }

    /// Where it listens; with the port that was picked.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers until the token is cancelled.
    pub async fn serve(
        self,
        health: Arc<dyn Health>,
        metrics: PrometheusHandle,
        stop: CancellationToken,
    ) -> Result<(), HttpError> {
        tracing::info!(addr = %self.addr, "HTTP server listening");
        let upkeep = crate::telemetry::keep_up(metrics.clone(), stop.clone());
        let server = axum::serve(self.listener, router(health, metrics)).with_graceful_shutdown(stop.cancelled_owned());
        let (served, ()) = tokio::join!(server, upkeep);
        Ok(served?)
    }
}

fn router(health: Arc<dyn Health>, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/health", get(details))
        .route("/continue", post(proceed))
        .with_state(health)
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

async fn ready(State(health): State<Arc<dyn Health>>) -> Response {
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

async fn proceed(State(health): State<Arc<dyn Health>>) -> Response {
    tracing::info!("Told to go on");
    health.proceed();
    (StatusCode::ACCEPTED, Json(json!({ "continued": true }))).into_response()
}

fn render(metrics: &PrometheusHandle) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render()).into_response()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[derive(Default)]
    struct Fake {
        reasons: Mutex<Vec<Reason>>,
        projections: Mutex<Vec<Reason>>,
        proceeded: AtomicUsize,
    }

    impl Health for Fake {
        fn reasons(&self) -> Vec<Reason> {
            self.reasons.lock().unwrap().clone()
        }

        fn projections(&self) -> Vec<Reason> {
            self.projections.lock().unwrap().clone()
        }

        fn details(&self) -> Value {
            json!({ "transactions": { "lag": 3 } })
        }

        fn proceed(&self) {
            self.proceeded.fetch_add(1, Ordering::SeqCst);
        }
    }

    const FREE: Http = Http { addr: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 0 };

    async fn call(addr: SocketAddr, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    #[tokio::test]
    async fn it_answers_and_stops() {
        let health = Arc::new(Fake::default());
        let server = Server::bind(&FREE).await.unwrap();
        let addr = server.addr();
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.serve(health.clone(), crate::telemetry::metrics().unwrap(), stop.clone()));

        assert_eq!(call(addr, "GET /livez").await.0, 200);
        let (status, body) = call(addr, "GET /readyz").await;
        assert_eq!((status, serde_json::from_str(&body).unwrap()), (200, json!({ "ready": true, "reasons": [] })));

        let away = Reason { source: "postgres".into(), reason: "away".into() };
        health.projections.lock().unwrap().push(away);
        let (status, body) = call(addr, "GET /readyz").await;
        let projections = json!([{ "source": "postgres", "reason": "away" }]);
        let expected = json!({ "ready": true, "reasons": [], "projections": projections });
        assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (200, expected));
        health.projections.lock().unwrap().clear();

        let why = Reason { source: "elasticsearch".into(), reason: "refused".into() };
        health.reasons.lock().unwrap().push(why);
        let reasons = json!([{ "source": "elasticsearch", "reason": "refused" }]);
        let (status, body) = call(addr, "GET /readyz").await;
        let expected = json!({ "ready": false, "reasons": reasons });
        assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (503, expected));
        let (status, body) = call(addr, "GET /health").await;
        let expected = json!({ "ready": false, "reasons": reasons, "details": { "transactions": { "lag": 3 } } });
        assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (503, expected));

        assert_eq!(call(addr, "GET /continue").await.0, 405);
        assert_eq!(call(addr, "POST /continue").await.0, 202);
        assert_eq!(health.proceeded.load(Ordering::SeqCst), 1);
        metrics::counter!("http_test_total").increment(1);
        assert!(call(addr, "GET /metrics").await.1.contains("http_test_total 1"));

        stop.cancel();
        running.await.unwrap().unwrap();
        assert!(TcpStream::connect(addr).await.is_err());
    }

    #[tokio::test]
    async fn a_taken_port_names_address_and_variable() {
        let first = Server::bind(&FREE).await.unwrap();
        let taken = Http { port: first.addr().port(), ..FREE };
        let error = Server::bind(&taken).await.unwrap_err().to_string();
        assert!(error.contains(&first.addr().to_string()) && error.contains("HTTP_PORT"), "{error}");
    }
}
