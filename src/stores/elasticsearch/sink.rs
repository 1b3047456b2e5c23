//! Elasticsearch and OpenSearch: versioned bulk requests through an alias.
//!
//! It owns the request and its judgement. Documents arrive as finished bulk lines in one shared buffer, which is sent as
//! it is. Deletes are tombstone documents that the alias filters out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use elasticsearch::http::Method;
use pipeline::sink::{Failure, FailureKind, Pressure, Sink, SinkLimits, Verdict};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::client::{BULK_TIMEOUT, ElasticsearchClient, PROBE_TIMEOUT};
use super::document::{Document, body};
use super::errors::{Bulk, count_applied, judge_request};
use super::{install, pressure};

/// Writes a body may hold; more brings no throughput and longer tails.
const MAX_ITEMS: usize = 5_000;
/// Bytes a body may hold; Elasticsearch's default limit is 100 MB, proxies in front of it often allow 10.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What is judged of a bulk answer, and nothing more: the answer to a thousand documents shrinks from 180 KB to 25.
pub(super) const JUDGED: &str = "filter_path=errors,error.type,items.*.status,items.*.error.type,items.*.error.reason";
/// Where each document went to; both actions that are sent have one name here.
const PLACED: &str = "items.*._index";

/// Writes documents through an alias.
pub struct ElasticsearchSink {
    client: ElasticsearchClient,
    alias: String,
    path: String,
    /// The only index behind the alias when it was last asked.
    index: Mutex<Option<String>>,
}

impl ElasticsearchSink {
    pub fn new(client: ElasticsearchClient, alias: &str) -> Self {
        let path = format!("/{alias}/_bulk?require_alias=true&{JUDGED},{PLACED}");
        Self { client, alias: alias.to_owned(), path, index: Mutex::new(None) }
    }

    /// A write on a condition that never holds: it goes the way of every write and ends in a conflict.
    async fn take_nothing(&self, id: &str) -> Result<(), Failure> {
        let id = serde_json::Value::from(id);
        let lines =
            format!(r#"{{"index":{{"_id":{id},"if_seq_no":0,"if_primary_term":9007199254740991}}}}{}"#, "\n{}\n");
        let answer = self.client.bulk(&self.path, Bytes::from(lines), PROBE_TIMEOUT).await?;
        if let Some(failure) = judge_request(&answer) {
            return Err(failure);
        }
        match Bulk::read(&answer.body)?.verdicts(&self.alias, false).as_slice() {
            [Verdict::Superseded] => Ok(()),
            [Verdict::Retry(failure)] => Err(failure.clone()),
            other => Err(Failure::broken(format!("an empty write was answered with {other:?}"))),
        }
    }

    /// Nothing that was written counts while the alias stands for several indices: a newer version may be in another.
    async fn went_to_the_only_index(&self, body: &[u8], known: Option<&str>) -> Result<(), Failure> {
        let placed: Placed<'_> = serde_json::from_slice(body).unwrap_or_default();
        let elsewhere = |name: &&str| *name != self.alias && known != Some(*name);
        let Some(name) = placed.names().find(elsewhere) else { return Ok(()) };
        let answer = self.client.call(Method::Get, &format!("/_alias/{}", self.alias), None).await?;
        match install::indices(&answer.body).as_slice() {
            [only] if answer.status == 200 && only == name => {
                *self.index.lock().await = Some(only.clone());
                Ok(())
            }
            several @ [_, _, ..] if answer.status == 200 => {
                *self.index.lock().await = None;
                Err(Failure::misconfigured(install::several(&self.alias, several)))
            }
            _ => Err(Failure::unavailable(format!("the alias {} is being moved", self.alias))),
        }
    }

    /// Whether the alias has an index to write to; the bulk answer itself only says so in words.
    async fn has_write_index(&self) -> Result<bool, Failure> {
        let answer = self.client.call(Method::Get, &format!("/_alias/{}", self.alias), None).await?;
        Ok(answer.status == 200 && install::write_index(&answer.body, &self.alias).is_some())
    }
}

/// The indices of a bulk answer's items.
#[derive(Default, Deserialize)]
struct Placed<'a> {
    #[serde(borrow)]
    items: Vec<BTreeMap<&'a str, ItemIndex<'a>>>,
}

#[derive(Deserialize)]
struct ItemIndex<'a> {
    #[serde(rename = "_index", borrow)]
    index: Option<Cow<'a, str>>,
}

impl Placed<'_> {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.items.iter().flat_map(BTreeMap::values).filter_map(|place| place.index.as_deref())
    }
}

#[async_trait]
impl Sink<Document> for ElasticsearchSink {
    fn name(&self) -> &'static str {
        "elasticsearch"
    }

    fn limits(&self) -> SinkLimits {
        SinkLimits { items: MAX_ITEMS, bytes: MAX_BYTES, ordered: false, one_write_a_document: false }
    }

    async fn write(&self, documents: &[&Document]) -> Result<Vec<Verdict>, Failure> {
        let lines = body(documents);
        let bytes = lines.len();
        let answer = self.client.bulk(&self.path, lines, BULK_TIMEOUT).await?;
        if let Some(mut failure) = judge_request(&answer) {
            if failure.kind == FailureKind::TurnedAway {
                failure.why = format!("a request of {bytes} bytes: {}", failure.why).into();
            }
            return Err(failure);
        }
        let known = self.index.lock().await.clone();
        if let Some(count) = known.as_deref().and_then(|index| count_applied(&answer.body, index)) {
            return Ok(vec![Verdict::Applied; count]);
        }
        let bulk = Bulk::read(&answer.body)?;
        self.went_to_the_only_index(&answer.body, known.as_deref()).await?;
        let no_write_index = bulk.may_lack_write_index() && !self.has_write_index().await?;
        Ok(bulk.verdicts(&self.alias, no_write_index))
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.take_nothing("millrace-probe").await
    }

    async fn pressure(&self) -> Result<Option<Pressure>, Failure> {
        pressure::pressure(&self.client).await
    }

    async fn probe_of(&self, document: &Document) -> Result<(), Failure> {
        // The id alone says which shard it goes to.
        self.take_nothing(&document.id()).await
    }
}
