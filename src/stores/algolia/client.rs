//! The connection: Algolia's Search API, as far as stores need it. There is no official client for Rust.
//!
//! Paths, bodies and headers are those of the API's specification (`algolia/api-clients-automation`, `specs/search`), timeouts
//! and fall-back those of its official clients. A request goes to one host after the other until one gives a final answer.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pipeline::sink::{Failure, FailureKind};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, redirect};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::errors::{AlgoliaResponse, CallKind};
use super::hosts::{Access, Host, Hosts};
use super::request::{Operation, body_of, json};
use crate::config::Algolia;
use crate::stores::target::SetupError;

/// Objects in one answer of the API (`hitsPerPage` in `specs/common/schemas/IndexSettings.yml`); more ids go in several requests.
pub const MOST_OBJECTS: usize = 1_000;

/// An id that nothing is stored under.
const PROBE: &str = "millrace.probe";

const AGENT: &str = concat!("millrace (", env!("CARGO_PKG_VERSION"), ")");

/// What stands unescaped in a path.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How long is waited; the defaults are those of the official clients (documentation, "Configuring timeouts").
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub connect: Duration,
    pub read: Duration,
    pub write: Duration,
    /// For a task to be published.
    pub task: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(2), read: seconds(5), write: seconds(30), task: seconds(300) }
    }
}

/// A client for one application; clones share connections and what is known of the hosts.
#[derive(Clone, Debug)]
pub struct AlgoliaClient {
    http: reqwest::Client,
    hosts: Arc<Hosts>,
    prefix: String,
    timeouts: Timeouts,
}

/// The number of a write that was taken and is not yet to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId(pub i64);

/// A part of an index.
#[derive(Debug, Default)]
pub struct BrowsePage {
    /// Ids, and the objects with their `objectID`.
    pub objects: Vec<(String, Box<RawValue>)>,
    /// Asks for the next page; `None`: that was the last.
    pub cursor: Option<String>,
}

impl AlgoliaClient {
    /// Makes the client; connects nowhere yet.
    ///
    /// # Errors
    /// A sentence that names the variable at fault.
    pub fn new(settings: &Algolia) -> Result<Self, SetupError> {
        Self::with_timeouts(settings, Timeouts::default())
    }

    /// The same with other timeouts.
    ///
    /// # Errors
    /// A sentence that names the variable at fault.
    pub fn with_timeouts(settings: &Algolia, timeouts: Timeouts) -> Result<Self, SetupError> {
        let wrong = |name: &str| SetupError::Unusable(format!("{name} holds characters that no HTTP header can carry"));
        let app = HeaderValue::from_str(&settings.app_id).map_err(|_| wrong("ALGOLIA_APP_ID"))?;
        let mut key = HeaderValue::from_str(settings.api_key.expose_secret()).map_err(|_| wrong("ALGOLIA_API_KEY"))?;
        key.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-algolia-application-id"), app);
        headers.insert(HeaderName::from_static("x-algolia-api-key"), key);
        headers.insert(HeaderName::from_static("x-algolia-agent"), HeaderValue::from_static(AGENT));
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(AGENT)
            .redirect(redirect::Policy::none())
            .connect_timeout(timeouts.connect);
        // Hosts that somebody named are near by; Algolia's own may be behind the proxy of the environment.
        if !settings.urls.is_empty() {
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|error| SetupError::Unusable(format!("the Algolia client could not be made: {error}")))?;
        let hosts = Arc::new(Hosts::of(settings));
        Ok(Self { http, hosts, prefix: settings.index_prefix.clone(), timeouts })
    }

    /// Applies the operations, in their order, all or none (`batch`). They can be read after [`AlgoliaClient::wait`].
    ///
    /// # Errors
    /// A failure of the batch as a whole; refused (400) or turned away (413) when one of its operations cannot be taken.
    pub async fn batch(&self, index: &str, requests: &[Operation<'_>]) -> Result<TaskId, Failure> {
        #[derive(Deserialize)]
        struct Taken {
            #[serde(rename = "taskID")]
            task: i64,
        }
        let answer = self.post(&self.path(index, "batch"), body_of(requests)?, Access::Write).await?;
        answer.read::<Taken>(CallKind::Batch).map(|taken| TaskId(taken.task))
    }

    /// The objects under these ids, in their order (`getObjects`); none in an index that is missing.
    ///
    /// # Errors
    /// Why they could not be read.
    pub async fn objects(&self, index: &str, ids: &[String]) -> Result<Vec<Option<Box<RawValue>>>, Failure> {
        let index = format!("{}{index}", self.prefix);
        let mut objects = Vec::with_capacity(ids.len());
        for ids in ids.chunks(MOST_OBJECTS) {
            objects.append(&mut self.some_objects(&index, ids).await?);
        }
        Ok(objects)
    }

    async fn some_objects(&self, index: &str, ids: &[String]) -> Result<Vec<Option<Box<RawValue>>>, Failure> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct ObjectRequest<'a> {
            index_name: &'a str,
            #[serde(rename = "objectID")]
            id: &'a str,
        }
        #[derive(Serialize)]
        struct ObjectsRequest<'a> {
            requests: Vec<ObjectRequest<'a>>,
        }
        #[derive(Deserialize)]
        struct ObjectsAnswer {
            results: Vec<Option<Box<RawValue>>>,
        }
        let requests = ids.iter().map(|id| ObjectRequest { index_name: index, id }).collect();
        let answer =
            self.post("/1/indexes/*/objects", json(&ObjectsRequest { requests })?.into(), Access::Read).await?;
        if answer.status == 404 {
            return Ok(ids.iter().map(|_| None).collect());
        }
        let found: ObjectsAnswer = answer.read(CallKind::Objects)?;
        if found.results.len() != ids.len() {
            return Err(Failure::broken("Algolia answered for another number of objects than were asked for"));
        }
        Ok(found.results)
    }

    /// The page that a cursor asks for, or the first (`browse`); an index that is missing is empty.
    ///
    /// # Errors
    /// Why it could not be read.
    pub async fn browse(&self, index: &str, cursor: Option<&str>) -> Result<BrowsePage, Failure> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Request<'a> {
            hits_per_page: usize,
            // The settings of an index may leave attributes out of what is shown by default.
            attributes_to_retrieve: [&'a str; 1],
            #[serde(skip_serializing_if = "Option::is_none")]
            cursor: Option<&'a str>,
        }
        #[derive(Deserialize)]
        struct Browsed {
            hits: Vec<Box<RawValue>>,
            #[serde(default)]
            cursor: Option<String>,
        }
        let request = Request { hits_per_page: MOST_OBJECTS, attributes_to_retrieve: ["*"], cursor };
        let answer = self.post(&self.path(index, "browse"), json(&request)?.into(), Access::Read).await?;
        if answer.status == 404 {
            return Ok(BrowsePage::default());
        }
        let page: Browsed = answer.read(CallKind::Browse)?;
        let objects = page.hits.into_iter().map(|hit| Ok((id_of(&hit)?, hit))).collect::<Result<_, Failure>>()?;
        Ok(BrowsePage { objects, cursor: page.cursor })
    }

    /// Waits until what a batch wrote can be read (`getTask`).
    ///
    /// # Errors
    /// Why it is not known; unavailable, when it takes longer than the timeout.
    pub async fn wait(&self, index: &str, task: TaskId) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct TaskState<'a> {
            status: Cow<'a, str>,
        }
        let path = self.path(index, &format!("task/{}", task.0));
        let (begun, mut pause) = (Instant::now(), Duration::from_millis(25));
        loop {
            let answer = self.send(Method::GET, &path, None, Access::Read).await?;
            if answer.read::<TaskState<'_>>(CallKind::Task)?.status == "published" {
                return Ok(());
            }
            if begun.elapsed() + pause > self.timeouts.task {
                return Err(Failure::unavailable(format!("Algolia has not published task {} in time", task.0)));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// A write that changes nothing: deletes an object that is never there.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn probe(&self, index: &str) -> Result<TaskId, Failure> {
        self.batch(index, &[Operation::Delete { id: PROBE }]).await
    }

    fn path(&self, index: &str, call: &str) -> String {
        let (prefix, index) = (utf8_percent_encode(&self.prefix, UNRESERVED), utf8_percent_encode(index, UNRESERVED));
        format!("/1/indexes/{prefix}{index}/{call}")
    }

    async fn post(&self, path: &str, body: Bytes, access: Access) -> Result<AlgoliaResponse, Failure> {
        self.send(Method::POST, path, Some(body), access).await
    }

    /// Asks the hosts in turn. The failure is that of the last host that was reached, for what broke there may be the
    /// request's own doing; when none was, there is no connection.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        access: Access,
    ) -> Result<AlgoliaResponse, Failure> {
        let mut failure: Option<Result<AlgoliaResponse, Failure>> = None;
        for host in self.hosts.in_order(access) {
            let tried = self.ask(host, method.clone(), path, body.clone(), access).await;
            let done = tried.as_ref().is_ok_and(AlgoliaResponse::is_final);
            host.note(!done);
            if done {
                return tried;
            }
            let reached = !matches!(&tried, Err(failure) if failure.kind == FailureKind::Unavailable);
            if reached || failure.is_none() {
                failure = Some(tried);
            }
        }
        failure.unwrap_or_else(|| Err(Failure::unavailable("Algolia has no hosts")))
    }

    async fn ask(
        &self,
        host: &Host,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        access: Access,
    ) -> Result<AlgoliaResponse, Failure> {
        let timeout = match access {
            Access::Read => self.timeouts.read,
            Access::Write => self.timeouts.write,
        };
        let mut request = self.http.request(method, format!("{}{path}", host.base())).timeout(timeout);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| failure_of(host, &error))?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| failure_of(host, &error))?;
        Ok(AlgoliaResponse { status, body })
    }
}

fn id_of(object: &RawValue) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct ObjectId {
        #[serde(rename = "objectID")]
        id: String,
    }
    let id = serde_json::from_str::<ObjectId>(object.get());
    id.map(|object| object.id).map_err(|_| Failure::broken("Algolia showed an object without an objectID"))
}

/// Whatever kept a connection from being made (a name, a port, TLS) is an outage; anything later broke on the way.
fn failure_of(host: &Host, error: &reqwest::Error) -> Failure {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.is_connect() {
        Failure::unavailable(format!("no connection to {}: {cause}; check ALGOLIA_APP_ID and ALGOLIA_URL", host.base()))
    } else if error.is_timeout() {
        Failure::broken(format!("{} did not answer in time", host.base()))
    } else {
        Failure::broken(format!("request to {} failed: {cause}", host.base()))
    }
}
