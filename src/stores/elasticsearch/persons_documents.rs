//! Which documents of an index are a person's.

use elasticsearch::http::Method;
use pipeline::sink::Failure;
use serde_json::json;

use super::reader::{ElasticsearchReader, KEEP, PAGE, ScrollPage, partial, read};
use crate::stores::reader::ObservedVersion;

impl ElasticsearchReader {
    /// The living ones; a tombstone names nobody.
    pub(super) async fn theirs(&self, person: &str) -> Result<Vec<ObservedVersion>, Failure> {
        let indices = self.indices().await?.join(",");
        self.ask(Method::Post, &format!("/{indices}/_refresh"), None).await?;
        let first = json!({
            "size": PAGE, "sort": ["_doc"], "version": true, "_source": ["user_id"], "query": {"term": {"user_id": person}},
        });
        let path = format!("/{indices}/_search?scroll={KEEP}&allow_partial_search_results=false");
        let mut answer = self.ask(Method::Post, &path, Some(first)).await?;
        let mut found = Vec::new();
        loop {
            let page: ScrollPage<'_> = read(&answer)?;
            if page.shards.failed > 0 {
                return Err(partial());
            }
            found.extend(page.hits.hits.iter().map(|hit| ObservedVersion {
                id: hit.id.to_string(),
                version: hit.version,
                deleted: false,
            }));
            let Some(scroll) = page.scroll.filter(|_| !page.hits.hits.is_empty()) else { return Ok(found) };
            let next = json!({"scroll": KEEP, "scroll_id": scroll});
            answer = self.ask(Method::Post, "/_search/scroll", Some(next)).await?;
        }
    }
}
