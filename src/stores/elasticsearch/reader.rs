//! An alias's indices, read back document by document. The concrete indices, for the alias hides tombstones.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use elasticsearch::http::Method;
use pipeline::sink::{Failure, Verdict};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::client::{BULK_TIMEOUT, ElasticsearchClient, Response};
use super::errors::{Bulk, judge_request};
use super::sink::JUDGED;
use crate::stores::reader::{
    ObservedVersion, StoreReader, StoredDocument, StoredVersion, Visit, document_content, in_order,
};
use crate::walk::transactions::of_source;

/// Documents in one page.
pub(super) const PAGE: usize = 2_000;
/// How long the server keeps a page's place.
pub(super) const KEEP: &str = "5m";
/// Documents deleted by one request.
const DELETED_AT_ONCE: usize = 1_000;
/// Where an index's mapping keeps the horizon, in its `_meta`: so it goes away with the index.
const HORIZON: &str = "millrace_horizon";

/// Reads the indices behind an alias.
pub struct ElasticsearchReader {
    client: ElasticsearchClient,
    alias: String,
}

#[derive(Deserialize)]
pub(super) struct ScrollPage<'a> {
    #[serde(rename = "_scroll_id", borrow)]
    pub(super) scroll: Option<Cow<'a, str>>,
    #[serde(rename = "_shards")]
    pub(super) shards: Shards,
    #[serde(borrow)]
    pub(super) hits: ScrollHits<'a>,
}

#[derive(Deserialize)]
pub(super) struct Shards {
    pub(super) failed: u64,
}

#[derive(Deserialize)]
pub(super) struct ScrollHits<'a> {
    #[serde(borrow)]
    pub(super) hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Hit<'a> {
    #[serde(rename = "_id", borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(rename = "_version")]
    pub(super) version: i64,
    #[serde(rename = "_source", borrow)]
    source: &'a RawValue,
}

#[derive(Deserialize)]
struct Got<'a> {
    #[serde(borrow)]
    docs: Vec<ReadDocument<'a>>,
}

/// Without version and source where there is no such document.
#[derive(Deserialize)]
struct ReadDocument<'a> {
    #[serde(rename = "_id", borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "_version")]
    version: Option<i64>,
    #[serde(rename = "_source", borrow)]
    source: Option<&'a RawValue>,
    /// It could not be looked up, which is not the same as not being there.
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(rename = "_seq_no")]
    seq_no: Option<i64>,
    #[serde(rename = "_primary_term")]
    primary_term: Option<i64>,
}

#[derive(Deserialize)]
struct IndexMapping {
    mappings: Mappings,
}

#[derive(Deserialize)]
struct Mappings {
    #[serde(rename = "_meta", default)]
    meta: Map<String, Value>,
}

impl ElasticsearchReader {
    pub fn new(client: ElasticsearchClient, alias: &str) -> Self {
        Self { client, alias: alias.to_owned() }
    }

    pub(super) async fn indices(&self) -> Result<Vec<String>, Failure> {
        let found = self.ask(Method::Get, &format!("/_alias/{}", self.alias), None).await?;
        let indices: BTreeMap<String, Value> = read(&found)?;
        Ok(indices.into_keys().collect())
    }

    pub(super) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Response, Failure> {
        let answer = self.client.call(method, path, body.map(|body| body.to_string())).await?;
        match judge_request(&answer) {
            Some(failure) => Err(failure),
            None => Ok(answer),
        }
    }

    /// The bulk lines that delete those which the index still holds as they were seen, and only as they are now.
    async fn deletions(&self, index: &str, seen: &[ObservedVersion]) -> Result<String, Failure> {
        let ids: Vec<&str> = seen.iter().map(|seen| seen.id.as_str()).collect();
        let path = format!("/{index}/_mget?_source_includes=_deleted");
        let answer = self.ask(Method::Post, &path, Some(json!({"ids": ids}))).await?;
        let found: Got<'_> = read(&answer)?;
        let mut lines = String::new();
        for (seen, found) in seen.iter().zip(&found.docs) {
            let deleted = found.source.map(|source| document_content(source.get()) == 0);
            if found.id != seen.id || found.version != Some(seen.version) || deleted != Some(seen.deleted) {
                continue;
            }
            if let (Some(seq_no), Some(term)) = (found.seq_no, found.primary_term) {
                let line = json!({"delete": {"_id": seen.id, "if_seq_no": seq_no, "if_primary_term": term}});
                lines.push_str(&format!("{line}\n"));
            }
        }
        Ok(lines)
    }

    async fn delete_lines(&self, index: &str, lines: String) -> Result<u64, Failure> {
        let answer = self.client.bulk(&format!("/{index}/_bulk?{JUDGED}"), lines.into(), BULK_TIMEOUT).await?;
        if let Some(failure) = judge_request(&answer) {
            return Err(failure);
        }
        let mut removed = 0;
        for verdict in Bulk::read(&answer.body)?.verdicts(&self.alias, false) {
            match verdict {
                Verdict::Applied => removed += 1,
                // Somebody wrote it a moment ago.
                Verdict::Superseded | Verdict::Behind => {}
                Verdict::Retry(failure) => return Err(failure),
                Verdict::Reject(reject) | Verdict::Later(reject) | Verdict::Conflict(reject) => {
                    return Err(Failure::refused(reject.why));
                }
            }
        }
        Ok(removed)
    }

    /// The `_meta` of each index's mapping.
    async fn metas(&self) -> Result<BTreeMap<String, Map<String, Value>>, Failure> {
        let found = self.ask(Method::Get, &format!("/{}/_mapping", self.alias), None).await?;
        let indices: BTreeMap<String, IndexMapping> = read(&found)?;
        Ok(indices.into_iter().map(|(name, index)| (name, index.mappings.meta)).collect())
    }
}

fn version_of(version: i64, source: &str) -> StoredVersion {
    let content = document_content(source);
    StoredVersion { version, deleted: content == 0, content, passed: of_source(source) }
}

fn note_of(meta: &Map<String, Value>) -> Option<i64> {
    meta.get(HORIZON)?.as_i64()
}

/// A part of an index that did not answer holds documents that would seem to be missing.
pub(super) fn partial() -> Failure {
    Failure::unavailable("a shard of the index did not answer: see GET /_cluster/health")
}

pub(super) fn read<'a, T: Deserialize<'a>>(answer: &'a Response) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body)
        .map_err(|_| Failure::broken("an answer of the search engine could not be read"))
}

#[async_trait]
impl StoreReader for ElasticsearchReader {
    fn name(&self) -> &'static str {
        "elasticsearch"
    }

    async fn read(&self, visit: Visit<'_>) -> Result<(), Failure> {
        let indices = self.indices().await?.join(",");
        self.ask(Method::Post, &format!("/{indices}/_refresh"), None).await?;
        let first = json!({"size": PAGE, "sort": ["_doc"], "version": true});
        let path = format!("/{indices}/_search?scroll={KEEP}&allow_partial_search_results=false");
        let mut answer = self.ask(Method::Post, &path, Some(first)).await?;
        loop {
            let page: ScrollPage<'_> = read(&answer)?;
            if page.shards.failed > 0 {
                return Err(partial());
            }
            for hit in &page.hits.hits {
                visit(&hit.id, version_of(hit.version, hit.source.get()))?;
            }
            let Some(scroll) = page.scroll.filter(|_| !page.hits.hits.is_empty()) else { return Ok(()) };
            let next = json!({"scroll": KEEP, "scroll_id": scroll});
            answer = self.ask(Method::Post, "/_search/scroll", Some(next)).await?;
        }
    }

    async fn versions(&self, ids: &[String]) -> Result<Vec<Option<(i64, bool)>>, Failure> {
        let mut newest: HashMap<String, (i64, bool)> = HashMap::new();
        for index in self.indices().await? {
            let path = format!("/{index}/_mget?_source_includes=_deleted");
            for ids in ids.chunks(PAGE) {
                let answer = self.ask(Method::Post, &path, Some(json!({"ids": ids}))).await?;
                let page: Got<'_> = read(&answer)?;
                for document in &page.docs {
                    if document.error.is_some() {
                        return Err(partial());
                    }
                    if let (Some(version), Some(source)) = (document.version, document.source) {
                        let found = (version, document_content(source.get()) == 0);
                        let known = newest.entry(document.id.to_string()).or_insert(found);
                        *known = found.max(*known);
                    }
                }
            }
        }
        Ok(ids.iter().map(|id| newest.get(id).copied()).collect())
    }

    async fn find(&self, ids: &[String]) -> Result<Vec<Option<StoredDocument>>, Failure> {
        let mut found = Vec::new();
        for index in self.indices().await? {
            for ids in ids.chunks(PAGE) {
                let answer = self.ask(Method::Post, &format!("/{index}/_mget"), Some(json!({"ids": ids}))).await?;
                let page: Got<'_> = read(&answer)?;
                for document in &page.docs {
                    if document.error.is_some() {
                        return Err(partial());
                    }
                    if let (Some(version), Some(source)) = (document.version, document.source) {
                        let found_of = StoredDocument {
                            version: version_of(version, source.get()),
                            text: Some(source.get().to_owned()),
                        };
                        found.push((document.id.to_string(), found_of));
                    }
                }
            }
        }
        Ok(in_order(ids, found))
    }

    async fn remove(&self, seen: &[ObservedVersion]) -> Result<u64, Failure> {
        let mut removed = 0;
        for index in self.indices().await? {
            for seen in seen.chunks(DELETED_AT_ONCE) {
                let lines = self.deletions(&index, seen).await?;
                if !lines.is_empty() {
                    removed += self.delete_lines(&index, lines).await?;
                }
            }
        }
        Ok(removed)
    }

    async fn of_person(&self, person: &str) -> Result<Option<Vec<ObservedVersion>>, Failure> {
        self.theirs(person).await.map(Some)
    }

    async fn horizon(&self) -> Result<Option<i64>, Failure> {
        Ok(self.metas().await?.values().filter_map(note_of).max())
    }

    async fn note_horizon(&self, version: i64) -> Result<(), Failure> {
        for (index, mut meta) in self.metas().await? {
            if note_of(&meta).is_none_or(|noted| noted < version) {
                meta.insert(HORIZON.to_owned(), version.into());
                self.ask(Method::Put, &format!("/{index}/_mapping"), Some(json!({"_meta": meta}))).await?;
            }
        }
        Ok(())
    }
}
