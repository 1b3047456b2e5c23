//! A bucket of the tests' S3, and an address of it whose credentials expire.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use reqwest::blocking::Client;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::services::variable;

/// Whoever signs may write an object anew; the signature is not looked at.
const SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=tests/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// A bucket.
pub struct Bucket {
    client: Client,
    endpoint: String,
    /// As it is named in addresses.
    pub name: String,
}

impl Bucket {
    /// An empty one; the name is made one of this process.
    pub fn new(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let bucket = Self { client: Client::new(), endpoint: variable("S3_ENDPOINT"), name };
        bucket.put("", Vec::new());
        bucket
    }

    /// What the program has to know of it, by the names of variables.
    pub fn variables(&self) -> [(&'static str, &str); 5] {
        [
            ("AWS_ENDPOINT", &self.endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "tests"),
            ("AWS_SECRET_ACCESS_KEY", "tests"),
            ("AWS_REGION", "us-east-1"),
        ]
    }

    pub fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        let url = format!("{}/{}/{key}", self.endpoint, self.name);
        let answer = self
            .client
            .put(url.trim_end_matches('/'))
            .header("authorization", SIGNED)
            .body(bytes.into())
            .send()
            .unwrap();
        assert!(answer.status().is_success(), "{key}: {}", answer.status());
    }

    /// The keys of its objects.
    pub fn keys(&self) -> BTreeSet<String> {
        let text = self.client.get(format!("{}/{}", self.endpoint, self.name)).send().unwrap().text().unwrap();
        text.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    }
}

/// An address of the tests' S3 whose credentials expire: it passes on so many requests for objects, and refuses every later one.
pub struct ExpiringS3 {
    pub endpoint: String,
    _runtime: Runtime,
}

impl ExpiringS3 {
    pub fn after(requests: usize) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let passed = Arc::new(AtomicUsize::new(0));
        let app = Router::new().fallback(move |request: Request| {
            let refuses = passed.fetch_add(1, Ordering::Relaxed) >= requests;
            async move { if refuses { expired() } else { pass_on(request).await } }
        });
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { endpoint, _runtime: runtime }
    }
}

/// As S3 says it.
fn expired() -> Response {
    let body = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";
    (StatusCode::FORBIDDEN, body).into_response()
}

async fn pass_on(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let url = format!("{}{path}", variable("S3_ENDPOINT"));
    let sent = reqwest::Client::new().request(parts.method, url).headers(parts.headers).body(body).send().await;
    let answer = sent.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap()).into_response()
}
