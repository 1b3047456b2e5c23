//! An alias's indices, read back document by document. The concrete indices, for the alias hides tombstones.

use std::borrow::Cow;
use std::collections::BTreeMap;

use elasticsearch::http::Method;
use pipeline::sink::{Answer, Failure};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::judge_request;
use super::client::{Client, Response};
use crate::shelf::{Found, Held, Shelf, Visit, document_content, in_order};

/// Documents in one page.
const PAGE: usize = 2_000;
/// How long the server keeps a page's place.
const KEEP: &str = "5m";

/// Reads the indices behind an alias.
pub struct ElasticsearchShelf {
    client: Client,
    alias: String,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(rename = "_scroll_id", borrow)]
    scroll: Option<Cow<'a, str>>,
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(rename = "_id", borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "_version")]
    version: i64,
    #[serde(rename = "_source", borrow)]
    source: &'a RawValue,
}

#[derive(Deserialize)]
struct Got<'a> {
    #[serde(borrow)]
    docs: Vec<Document<'a>>,
}

/// Without version and source where there is no such document.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(rename = "_id", borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "_version")]
    version: Option<i64>,
    #[serde(rename = "_source", borrow)]
    source: Option<&'a RawValue>,
}

impl ElasticsearchShelf {
    pub fn new(client: Client, alias: &str) -> Self {
        Self { client, alias: alias.to_owned() }
    }

    async fn indices(&self) -> Result<Vec<String>, Failure> {
        let found = self.ask(Method::Get, &format!("/_alias/{}", self.alias), None).await?;
        let indices: BTreeMap<String, Value> = read(&found)?;
        Ok(indices.into_keys().collect())
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Response, Failure> {
        let answer = self.client.call(method, path, body.map(|body| body.to_string())).await?;
        match judge_request(&answer) {
            Some(failure) => Err(failure),
            None => Ok(answer),
        }
    }

    async fn all(&self, visit: Visit<'_>) -> Result<(), Failure> {
        let indices = self.indices().await?.join(",");
        self.ask(Method::Post, &format!("/{indices}/_refresh"), None).await?;
        let first = json!({"size": PAGE, "sort": ["_doc"], "version": true});
        let mut answer = self.ask(Method::Post, &format!("/{indices}/_search?scroll={KEEP}"), Some(first)).await?;
        loop {
            let page: Page<'_> = read(&answer)?;
            for hit in &page.hits.hits {
                let content = document_content(hit.source.get());
                visit(&hit.id, Held { version: hit.version, deleted: content == 0, content })?;
            }
            let Some(scroll) = page.scroll.filter(|_| !page.hits.hits.is_empty()) else { return Ok(()) };
            let next = json!({"scroll": KEEP, "scroll_id": scroll});
            answer = self.ask(Method::Post, "/_search/scroll", Some(next)).await?;
        }
    }

    async fn look_up(&self, ids: &[String]) -> Result<Vec<Option<Found>>, Failure> {
        let mut found = Vec::new();
        for index in self.indices().await? {
            for ids in ids.chunks(PAGE) {
                let answer = self.ask(Method::Post, &format!("/{index}/_mget"), Some(json!({"ids": ids}))).await?;
                let page: Got<'_> = read(&answer)?;
                for document in &page.docs {
                    if let (Some(version), Some(source)) = (document.version, document.source) {
                        let content = document_content(source.get());
                        let held = Held { version, deleted: content == 0, content };
                        found.push((document.id.to_string(), Found { held, text: Some(source.get().to_owned()) }));
                    }
                }
            }
        }
        Ok(in_order(ids, found))
    }

    /// Deletes what nobody touched since it was looked at.
    async fn delete(&self, documents: &[(String, i64)]) -> Result<u64, Failure> {
        let mut removed = 0;
        for index in self.indices().await? {
            for (id, version) in documents {
                let name = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC);
                let path = format!("/{index}/_doc/{name}");
                let found = self.client.call(Method::Get, &path, None).await?;
                let found: Value = serde_json::from_slice(&found.body).unwrap_or_default();
                let number = |name: &str| found.get(name).and_then(Value::as_i64);
                if number("_version") != Some(*version) {
                    continue;
                }
                if let (Some(seq), Some(term)) = (number("_seq_no"), number("_primary_term")) {
                    let path = format!("{path}?if_seq_no={seq}&if_primary_term={term}");
                    removed += u64::from(self.client.call(Method::Delete, &path, None).await?.status == 200);
                }
            }
        }
        Ok(removed)
    }
}

fn read<'a, T: Deserialize<'a>>(answer: &'a Response) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body)
        .map_err(|_| Failure::broken("an answer of the search engine could not be read"))
}

impl Shelf for ElasticsearchShelf {
    fn name(&self) -> &'static str {
        "elasticsearch"
    }

    fn read<'a>(&'a self, visit: Visit<'a>) -> Answer<'a, Result<(), Failure>> {
        Box::pin(self.all(visit))
    }

    fn find<'a>(&'a self, ids: &'a [String]) -> Answer<'a, Result<Vec<Option<Found>>, Failure>> {
        Box::pin(self.look_up(ids))
    }

    fn remove<'a>(&'a self, documents: &'a [(String, i64)]) -> Answer<'a, Result<u64, Failure>> {
        Box::pin(self.delete(documents))
    }
}
