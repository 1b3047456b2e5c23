//! The connection: the official client as transport, with bodies made by us.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use elasticsearch::auth::{ClientCertificate, Credentials};
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::Method;
use elasticsearch::http::headers::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use elasticsearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;
use pipeline::sink::Failure;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::nodes::Nodes;
use crate::config::{ClientCert, Elasticsearch, ElasticsearchAuth};
use crate::stores::target::SetupError;

/// Longer than Elasticsearch's own waits (a bulk waits a minute for its shards).
pub(super) const BULK_TIMEOUT: Duration = Duration::from_secs(75);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Characters of a reason that are shown.
const LONGEST: usize = 500;
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for one cluster; clones share what is known of its nodes.
#[derive(Clone, Debug)]
pub struct ElasticsearchClient {
    /// A transport a node: the official client's pool does not avoid those that are sick.
    nodes: Arc<Nodes<(Transport, String)>>,
    gzip: bool,
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Response {
    pub status: u16,
    pub body: Bytes,
}

impl Response {
    /// A part of what the cluster says is wrong: `type` or `reason`.
    pub(super) fn error(&self, part: &str) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.get("error")?.get(part)?.as_str()?.to_owned())
    }

    /// What the cluster says is wrong, in its own words; they may quote the request.
    pub(super) fn words(&self) -> String {
        self.error("reason")
            .map_or_else(|| "without a reason".to_owned(), |words| words.chars().take(LONGEST).collect())
    }
}

impl ElasticsearchClient {
    /// Makes the client; connects nowhere yet.
    ///
    /// # Errors
    /// A sentence that names the variable at fault.
    pub fn new(settings: &Elasticsearch) -> Result<Self, SetupError> {
        let wrong = SetupError::Unusable;
        let mut nodes = Vec::new();
        for url in &settings.urls {
            let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(url.clone())).disable_proxy();
            if let Some(ClientCert { cert, key, .. }) = &settings.client_cert {
                let pem = format!("{cert}\n{}\n", key.expose_secret());
                builder = builder.auth(Credentials::Certificate(ClientCertificate::Pem(pem.into_bytes())));
            }
            if let Some(pem) = &settings.ca_cert {
                let certificate = Certificate::from_pem(pem.as_bytes()).map_err(|error| {
                    wrong(format!("ELASTICSEARCH_CA_CERT holds no certificate in PEM form: {error}"))
                })?;
                builder = builder.cert_validation(CertificateValidation::Full(certificate));
            }
            let of_client = settings.client_cert.as_ref().map_or("", |_| {
                "; check ELASTICSEARCH_CLIENT_CERT and ELASTICSEARCH_CLIENT_KEY, which has to be without a password"
            });
            let transport = builder
                .build()
                .map_err(|error| wrong(format!("the Elasticsearch client could not be made: {error}{of_client}")))?;
            // The certificate is in the connection by now; this goes into each request.
            if let Some(credentials) = credentials(&settings.auth) {
                transport.set_auth(credentials);
            }
            nodes.push((transport, url.to_string()));
        }
        Ok(Self { nodes: Arc::new(Nodes::new(nodes)), gzip: settings.gzip })
    }

    /// Sends bulk lines.
    pub(super) async fn bulk(&self, path: &str, body: Bytes, timeout: Duration) -> Result<Response, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        let body = if self.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            compress(&body).map_err(|error| Failure::broken(format!("the body could not be compressed: {error}")))?
        } else {
            body
        };
        self.send(Method::Post, path, headers, Some(body), timeout).await
    }

    /// Sends any other request, with a JSON body or none.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<String>) -> Result<Response, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.send(method, path, headers, body.map(Bytes::from), CALL_TIMEOUT).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: Option<Bytes>,
        timeout: Duration,
    ) -> Result<Response, Failure> {
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let Some((node, (transport, url))) = self.nodes.next() else {
            return Err(Failure::misconfigured("ELASTICSEARCH_URL names no node"));
        };
        let answer = async {
            let response = transport.send(method, path, headers, None::<&()>, body, Some(timeout)).await?;
            let status = response.status_code().as_u16();
            Ok(Response { status, body: response.bytes().await? })
        };
        let answer = answer.await.map_err(|error| failure(&error, url));
        self.nodes.note(node, answer.as_ref().map_or(true, |answer| matches!(answer.status, 500 | 502..=504)));
        answer
    }
}

/// Whatever kept a connection from being made (a name, a port, TLS) is an outage; anything later broke on the way and may be
/// the request's own doing.
fn failure(error: &elasticsearch::Error, url: &str) -> Failure {
    let mut cause: &dyn Error = error;
    let mut connected = true;
    while let Some(inner) = cause.source() {
        connected &= !inner.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect);
        cause = inner;
    }
    // TLS 1.3 tells it with the first answer, after the connection was made.
    let refused = ["CertificateRequired", "BadCertificate", "UnknownCA", "CertificateUnknown", "AccessDenied"];
    let said = cause.to_string();
    if said.contains("fatal alert") && refused.iter().any(|alert| said.contains(alert)) {
        Failure::misconfigured(format!(
            "{url} wants a client's certificate that it trusts ({said}): check ELASTICSEARCH_CLIENT_CERT and \
             ELASTICSEARCH_CLIENT_KEY"
        ))
    } else if connected {
        Failure::broken(format!("request to {url} failed: {cause}"))
    } else {
        Failure::unavailable(format!("no connection to {url}: {cause}; check ELASTICSEARCH_URL"))
    }
}

fn credentials(auth: &ElasticsearchAuth) -> Option<Credentials> {
    match auth {
        ElasticsearchAuth::None => None,
        ElasticsearchAuth::Basic { username, password } => {
            Some(Credentials::Basic(username.clone(), password.expose_secret().to_owned()))
        }
        // `id:key`, or both together in base64.
        ElasticsearchAuth::ApiKey(key) => Some(match key.expose_secret().split_once(':') {
            Some((id, secret)) => Credentials::ApiKey(id.to_owned(), secret.to_owned()),
            None => Credentials::EncodedApiKey(key.expose_secret().to_owned()),
        }),
    }
}

fn compress(body: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish().map(Bytes::from)
}
