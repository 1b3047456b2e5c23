//! Connections: how much of this process a client may hold, and for how long.
//!
//! It waits for clients, and for none of them longer than the limits say: a connection carries one request, lives a few
//! seconds, and when there are too many the oldest gives way. It guarantees that a new client is always heard, and that
//! nobody outside decides when the server ends.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Bytes of a request's line and headers.
const HEADER_BYTES: usize = 16 * 1024;
/// Headers of a request.
const HEADERS: usize = 64;
/// The pause after a connection could not be taken, such as for want of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How long a client may take, and how many there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the connection to the last header.
    pub header: Duration,
    /// From the connection to the last byte of the answer.
    pub whole: Duration,
    /// After the server was told to end, for answers that are under way.
    pub leave: Duration,
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(5),
            whole: Duration::from_secs(10),
            leave: Duration::from_secs(1),
            connections: 128,
        }
    }
}

/// Answers until the token is cancelled; then finishes what is under way, for a moment.
pub(super) async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let mut open = JoinSet::new();
    let mut oldest: VecDeque<AbortHandle> = VecDeque::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        while open.try_join_next().is_some() {}
        oldest.retain(|connection| !connection.is_finished());
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "An HTTP connection could not be taken");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        if oldest.len() >= limits.connections
            && let Some(connection) = oldest.pop_front()
        {
            connection.abort();
        }
        oldest.push_back(open.spawn(connection(stream, router.clone(), limits, stop.clone())));
    }
    drop(listener);
    let finished = async { while open.join_next().await.is_some() {} };
    // Whoever is cut off here sent no whole request, or does not read its answer.
    tokio::time::timeout(limits.leave, finished).await.ok();
    open.shutdown().await;
}

/// One request and its answer.
async fn connection(stream: TcpStream, router: Router, limits: Limits, stop: CancellationToken) {
    let Ok(local) = stream.local_addr() else { return };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Local(local));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .header_read_timeout(limits.header)
        .max_headers(HEADERS)
        .max_header_size(HEADER_BYTES)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let answered = async {
        tokio::select! {
            answered = connection.as_mut() => return answered,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    };
    match tokio::time::timeout(limits.whole, answered).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "An HTTP connection ended early"),
        Err(_) => tracing::debug!("An HTTP connection was closed: it took too long"),
    }
}

/// The address that the client reached us at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local(pub SocketAddr);
