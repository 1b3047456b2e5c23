//! The marks, read back. The tables are no documents: each row comes of several events.

use async_trait::async_trait;
use pipeline::sink::Failure;

use super::sink::ReactionStore;
use crate::stores::reader::{ObservedVersion, StoreReader, StoredDocument, Visit};

/// Reads the marks of one group.
pub struct MarkReader {
    store: ReactionStore,
    group: &'static str,
}

impl MarkReader {
    pub fn new(store: ReactionStore, group: &'static str) -> Self {
        Self { store, group }
    }

    /// Which of these events are marked.
    ///
    /// # Errors
    /// Why they cannot be looked up.
    pub async fn marked(&self, ids: &[String]) -> Result<Vec<String>, Failure> {
        let ReactionStore { postgres, schema } = &self.store;
        let query = sqlx::query_scalar("SELECT event_id FROM marks WHERE consumer = $1 AND event_id = ANY ($2)");
        let query = query.bind(self.group).bind(ids).persistent(false);
        let mut transaction = postgres.begin_in(schema).await?;
        postgres.asked(query.fetch_all(&mut *transaction)).await
    }
}

#[async_trait]
impl StoreReader for MarkReader {
    fn name(&self) -> &'static str {
        "postgres"
    }

    async fn read(&self, _visit: Visit<'_>) -> Result<(), Failure> {
        Err(unread())
    }

    async fn find(&self, ids: &[String]) -> Result<Vec<Option<StoredDocument>>, Failure> {
        Ok(ids.iter().map(|_| None).collect())
    }

    async fn remove(&self, _seen: &[ObservedVersion]) -> Result<u64, Failure> {
        Err(unread())
    }

    async fn horizon(&self) -> Result<Option<i64>, Failure> {
        Ok(None)
    }

    async fn note_horizon(&self, _version: i64) -> Result<(), Failure> {
        Err(unread())
    }
}

fn unread() -> Failure {
    Failure::misconfigured("the tables of the reactions are no documents; the relay purges marks by itself")
}
