//! The marks, read back, and what is left to do. The tables are no documents: each row comes of several events.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use pipeline::sink::Failure;

use super::media_files::MediaFiles;
use super::outbox::Outbox;
use super::reaction_group::ReactionGroup;
use crate::stores::postgres::Postgres;
use crate::stores::reader::{ObservedVersion, StoreReader, StoredDocument, Visit};

/// Reads the marks of one group.
pub struct MarkReader {
    postgres: Postgres,
    group: ReactionGroup,
    /// The files of media, of the group that has to do with them.
    files: Option<Arc<MediaFiles>>,
}

impl MarkReader {
    pub fn new(postgres: Postgres, group: ReactionGroup, files: Option<Arc<MediaFiles>>) -> Self {
        Self { postgres, group, files }
    }

    async fn find_unpublished(&self) -> Result<Vec<String>, Failure> {
        let waiting = Outbox::new(self.postgres.clone()).waiting().await?;
        let parked = (waiting.parked > 0).then(|| format!("parked events of the outbox: {}", waiting.parked));
        let late =
            waiting.is_late().then(|| format!("an event of the outbox waits for {:.0} s", waiting.oldest_seconds));
        Ok(parked.into_iter().chain(late).collect())
    }

    /// Files that no media has, media without their file, and files that are still to go.
    async fn files(&self) -> Result<Vec<String>, Failure> {
        let mut ends = self.postgres.scalars(sqlx::query_scalar(include_str!("sql/waiting_files.sql"))).await?;
        let Some(files) = &self.files else { return Ok(ends) };
        let away = |why| Failure::unavailable(format!("the files of media at {}: {why}", files.address()));
        let there: HashSet<String> = files.keys().await.map_err(away)?.into_iter().collect();
        // After the files: a file that comes meanwhile has its row by now.
        let known = sqlx::query_scalar("SELECT object_key FROM media_keys");
        let rows: HashSet<String> = self.postgres.scalars(known).await?.into_iter().collect();
        let living: Vec<String> =
            self.postgres.scalars(sqlx::query_scalar(include_str!("sql/living_keys.sql"))).await?;
        let mut orphans: Vec<&String> = there.difference(&rows).collect();
        orphans.sort_unstable();
        ends.extend(orphans.into_iter().map(|key| format!("the file {key} is of no media")));
        ends.extend(
            living.into_iter().filter(|key| !there.contains(key)).map(|key| format!("the file {key} is not there")),
        );
        Ok(ends)
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

    async fn find_marked(&self, ids: &[String]) -> Result<Option<HashSet<String>>, Failure> {
        let query = sqlx::query_scalar("SELECT event_id FROM marks WHERE consumer = $1 AND event_id = ANY ($2)");
        let marked = self.postgres.scalars(query.bind(self.group.as_str()).bind(ids)).await?;
        Ok(Some(marked.into_iter().collect()))
    }

    async fn trace(&self, event: &str) -> Result<Option<Vec<String>>, Failure> {
        self.postgres.scalars(sqlx::query_scalar(include_str!("sql/trace.sql")).bind(event)).await.map(Some)
    }

    async fn loose_ends(&self) -> Result<Vec<String>, Failure> {
        match self.group {
            ReactionGroup::Subscription => self.find_unpublished().await,
            ReactionGroup::Media => self.files().await,
            ReactionGroup::Payment | ReactionGroup::Content => Ok(Vec::new()),
        }
    }

    async fn mark_horizon(&self) -> Result<i64, Failure> {
        let since = self.postgres.scalars(sqlx::query_scalar("SELECT recorded_ms FROM horizon")).await?;
        Ok(since.first().copied().unwrap_or(i64::MIN))
    }

    /// A letter is applied however old it is: its event changes the state by its own time.
    async fn horizon(&self) -> Result<Option<i64>, Failure> {
        Ok(None)
    }

    async fn note_horizon(&self, _version: i64) -> Result<(), Failure> {
        Err(unread())
    }
}

fn unread() -> Failure {
    Failure::misconfigured("the tables of the reactions are no documents; a running process purges marks by itself")
}
