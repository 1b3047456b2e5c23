//! The index in SQLite: documents by id and version, and a full-text search over their search content.

use std::borrow::Cow;

use async_trait::async_trait;
use pipeline::sink::{Failure, Order, Sink, SinkLimits, Verdict};
use serde_json::Value;

use super::{Sqlite, Stored};
use crate::stores::elasticsearch::document::Document;
use crate::stores::sql::verdicts::verdicts;

const MAX_ITEMS: usize = 2_000;
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The rows come as one JSON array, so that a batch is one statement. The `WHERE true` tells the parser that `ON` begins a
/// conflict clause: <https://www.sqlite.org/lang_upsert.html>.
const WRITE: &str = include_str!("sql/write_documents.sql");

/// Writes documents, and finds them again.
#[derive(Clone)]
pub struct SqliteDocuments {
    sqlite: Sqlite,
    /// Whether a document of the version that is held is taken.
    takes_equal: bool,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Hits {
    pub total: i64,
    /// The best ones.
    pub documents: Vec<Value>,
}

impl SqliteDocuments {
    pub fn new(sqlite: Sqlite, order: Order) -> Self {
        Self { sqlite, takes_equal: order == Order::Log }
    }

    async fn take_nothing(&self) -> Result<(), Failure> {
        let nothing =
            sqlx::query("UPDATE documents SET version = version WHERE false").execute(&self.sqlite.pool).await;
        nothing.map(|_| ()).map_err(|error| self.sqlite.judge(&error))
    }

    /// Every document, tombstones too.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn all(&self) -> Result<Vec<Stored>, Failure> {
        self.sqlite.read_rows("SELECT id, version, deleted, source FROM documents").await
    }

    /// Living documents whose search content holds all these words, the best first; at most `limit` of them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn search(&self, words: &str, limit: u32) -> Result<Hits, Failure> {
        // Quoted, a word is no operator of the query language: <https://www.sqlite.org/fts5.html#full_text_query_syntax>.
        let query: Vec<String> =
            words.split_whitespace().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
        let query = query.join(" ");
        let count = sqlx::query_scalar("SELECT count(*) FROM documents_search WHERE documents_search MATCH ?1");
        let total = count.bind(&query).fetch_one(&self.sqlite.pool).await.map_err(|error| self.sqlite.judge(&error))?;
        let found = sqlx::query_scalar::<_, String>(
            "SELECT source FROM documents_search JOIN documents ON number = documents_search.rowid
             WHERE documents_search MATCH ?1 ORDER BY rank, id LIMIT ?2",
        );
        let found = found.bind(&query).bind(limit).fetch_all(&self.sqlite.pool).await;
        let found = found.map_err(|error| self.sqlite.judge(&error))?;
        Ok(Hits { total, documents: found.iter().filter_map(|source| serde_json::from_str(source).ok()).collect() })
    }
}

#[async_trait]
impl Sink<Document> for SqliteDocuments {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn limits(&self) -> SinkLimits {
        SinkLimits { items: MAX_ITEMS, bytes: MAX_BYTES, ordered: false, one_write_a_document: true }
    }

    async fn write(&self, documents: &[&Document]) -> Result<Vec<Verdict>, Failure> {
        let rows: Vec<(Cow<'_, str>, i64, bool, &str)> =
            documents.iter().map(|d| (d.id(), d.version(), d.is_deleted(), d.source())).collect();
        let rows_json = serde_json::to_string(&rows).map_err(|error| Failure::broken(error.to_string()))?;
        let write = sqlx::query_scalar::<_, String>(WRITE).bind(rows_json).bind(self.takes_equal);
        let written = write.fetch_all(&self.sqlite.pool).await.map_err(|error| self.sqlite.judge(&error))?;
        Ok(verdicts(&written, rows.iter().map(|(id, ..)| &**id)))
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.take_nothing().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::elasticsearch::document::Documents;

    fn document(order: Order, id: &str, version: i64, text: Option<&str>) -> Document {
        let mut documents = Documents::new(order, 1);
        documents.push(id, version, text.is_none(), |out| match text {
            Some(text) => serde_json::to_writer(out, &serde_json::json!({"id": id, "search_content": text})).unwrap(),
            None => out.extend_from_slice(br#"{"_deleted":true}"#),
        });
        documents.finish().remove(0)
    }

    async fn write(sqlite: &Sqlite, order: Order, id: &str, version: i64, text: Option<&str>) -> Verdict {
        let sink = SqliteDocuments::new(sqlite.clone(), order);
        sink.write(&[&document(order, id, version, text)]).await.unwrap().remove(0)
    }

    #[tokio::test]
    async fn newer_wins_and_a_tombstone_keeps_late_updates_out() {
        let path = std::env::temp_dir().join(format!("millrace-documents-{}.db", std::process::id()));
        let sqlite = Sqlite::new(&path);
        sqlite.install().await.unwrap();
        sqlite.install().await.unwrap();
        let documents = SqliteDocuments::new(sqlite.clone(), Order::Log);
        documents.take_nothing().await.unwrap();
        assert_eq!(write(&sqlite, Order::Log, "a", 5, Some("Café Paris")).await, Verdict::Applied);
        assert_eq!(write(&sqlite, Order::Log, "a", 4, Some("older")).await, Verdict::Superseded);
        assert_eq!(write(&sqlite, Order::Any, "a", 5, Some("equal")).await, Verdict::Superseded);
        assert_eq!(documents.search("cafe paris", 10).await.unwrap().total, 1);
        assert_eq!(write(&sqlite, Order::Log, "a", 5, Some("equal")).await, Verdict::Applied);
        assert_eq!(documents.search("cafe", 10).await.unwrap().total, 0);
        assert_eq!(documents.search("EQUAL", 10).await.unwrap().documents[0]["id"], "a");
        assert_eq!(write(&sqlite, Order::Log, "a", 6, None).await, Verdict::Applied);
        assert_eq!(documents.search("equal", 10).await.unwrap().total, 0);
        assert_eq!(write(&sqlite, Order::Log, "a", 5, Some("late")).await, Verdict::Superseded);
        let all = documents.all().await.unwrap();
        assert_eq!(all.len(), 1);
        assert!(all[0].deleted && all[0].version == 6);
        assert_eq!(write(&sqlite, Order::Log, "q\"\\\u{1}", 1, Some("\u{2} \" odd")).await, Verdict::Applied);
        assert_eq!(documents.search("odd \"", 1).await.unwrap().documents[0]["id"], "q\"\\\u{1}");
        std::fs::remove_file(&path).unwrap();
    }
}
