//! Deletes the files that the media group has put on its list, and says that they are gone.
//!
//! The list is a table, written in the transaction of what led to it. Several workers share it: whoever takes a task moves the
//! time of its next try. A file that is not there is deleted, so a task may be done twice. `media.deleted` goes into the outbox when
//! all files of a media are gone, once.

use std::sync::Arc;
use std::time::Duration;

use ::events::MediaDeleted;
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use pipeline::sink::Failure;
use serde_json::Value;
use tokio::sync::Notify;

use super::background::{BackgroundTask, RoundEnd, RoundWork, go_in_rounds};
use super::emitted::EmittedEvent;
use super::media_files::MediaFiles;
use super::signal::OutboxSignal;
use super::transact::put_into_outbox;
use crate::stores::postgres::Postgres;

/// Tasks that are taken at once.
const TAKEN: i64 = 200;
/// Files that are deleted at once.
const AT_ONCE: usize = 16;
/// How often the list is looked at where nobody says that there is something.
const LOOK: Duration = Duration::from_millis(500);
/// Works off the list of files.
struct FileWorker {
    postgres: Postgres,
    files: Arc<MediaFiles>,
    signal: OutboxSignal,
}

/// A file that is to be deleted.
type FileTask = (String, String);
/// A media whose files are gone: its id, the post that it went with, and when, in microseconds since 1970.
type GoneMedia = (String, String, Option<i64>);

/// The worker of a list; `wake` is told when something may have been put on it, and `signal` tells what the worker says.
pub fn file_worker(
    postgres: Postgres,
    files: Arc<MediaFiles>,
    wake: Arc<Notify>,
    signal: OutboxSignal,
) -> BackgroundTask {
    let worker = FileWorker { postgres, files, signal };
    BackgroundTask::new(|stop| go_in_rounds(worker, wake, stop))
}

#[async_trait]
impl RoundWork for FileWorker {
    const STANDSTILL: &'static str = "Files of media are not deleted at the moment";
    const AWAY: Duration = Duration::from_secs(2);

    async fn round(&mut self) -> Result<RoundEnd, Failure> {
        let deleted = self.delete().await?;
        self.say().await?;
        Ok(if deleted > 0 { RoundEnd::More } else { RoundEnd::Idle(LOOK) })
    }
}

impl FileWorker {
    /// Takes some tasks and does them; returns how many there were.
    async fn delete(&self) -> Result<usize, Failure> {
        let tasks: Vec<FileTask> =
            self.postgres.rows(sqlx::query_as(include_str!("sql/take_files.sql")).bind(TAKEN)).await?;
        if tasks.is_empty() {
            return Ok(0);
        }
        let deleted: Vec<(FileTask, Result<(), String>)> = stream::iter(tasks)
            .map(|task| async move {
                let deleted = self.files.delete(&task.1).await;
                (task, deleted)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        self.note(&deleted).await?;
        let failed = deleted.iter().find_map(|(_, deleted)| deleted.as_ref().err());
        let count =
            |of: fn(&Result<(), String>) -> bool| deleted.iter().filter(|(_, deleted)| of(deleted)).count() as u64;
        metrics::counter!("millrace_media_files_deleted_total").increment(count(Result::is_ok));
        if let Some(why) = failed {
            let (address, files) = (self.files.address(), count(Result::is_err));
            metrics::counter!("millrace_media_files_failed_total").increment(files);
            tracing::warn!(address, files, why, "Files of media could not be deleted; they are tried again");
        }
        Ok(deleted.len())
    }

    async fn note(&self, deleted: &[(FileTask, Result<(), String>)]) -> Result<(), Failure> {
        let media: Vec<&str> = deleted.iter().map(|((media, _), _)| media.as_str()).collect();
        let keys: Vec<&str> = deleted.iter().map(|((_, key), _)| key.as_str()).collect();
        let reasons: Vec<Option<&str>> =
            deleted.iter().map(|(_, how)| how.as_ref().err().map(String::as_str)).collect();
        let query = sqlx::query(include_str!("sql/note_files.sql")).bind(media).bind(keys).bind(reasons);
        self.postgres.execute(query).await.map(drop)
    }

    /// Says of each media whose files are all gone that it is.
    async fn say(&self) -> Result<(), Failure> {
        let said = async {
            let mut transaction = self.postgres.begin().await?;
            let gone = sqlx::query_as(include_str!("sql/gone_media.sql")).bind(TAKEN).persistent(false);
            let gone: Vec<GoneMedia> = gone.fetch_all(&mut *transaction).await?;
            if gone.is_empty() {
                return Ok(false);
            }
            let rows: Value = gone.iter().enumerate().filter_map(|(place, gone)| row(place, gone)).collect();
            put_into_outbox(&mut transaction, &rows).await?;
            let said: Vec<&str> = gone.iter().map(|(media, ..)| media.as_str()).collect();
            let note = sqlx::query("UPDATE file_tasks SET said = now() WHERE media_id = ANY ($1) AND said IS NULL");
            note.bind(said).persistent(false).execute(&mut *transaction).await?;
            transaction.commit().await.map(|()| true)
        };
        if self.postgres.ask(said).await? {
            self.signal.tell(&self.postgres).await;
        }
        Ok(())
    }
}

/// The row of the outbox that says it. What cannot be said is an id that never came from an event.
fn row(place: usize, (media, post, micros): &GoneMedia) -> Option<Value> {
    let data = MediaDeleted {
        media_id: ::events::Id::new(media.as_str()).ok()?,
        object_key: None,
        post_id: Some(::events::Id::new(post.as_str()).ok()?),
    };
    EmittedEvent::at(micros.unwrap_or_default(), media, "media.deleted", "media", data)?.row(place).ok()
}
