//! Deletes the files that the media group has put on its list, and says that they are gone.
//!
//! The list is a table, written in the transaction of what led to it. Several workers share it: whoever takes a task moves the
//! time of its next try. A file that is not there is deleted, so a task may be done twice. `media.deleted` goes into the outbox when
//! all files of a media are gone, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::events::MediaDeleted;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use pipeline::sink::Failure;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::emitted::EmittedEvent;
use super::media_files::MediaFiles;
use super::sink::ReactionStore;

/// Tasks that are taken at once.
const TAKEN: i64 = 200;
/// Files that are deleted at once.
const AT_ONCE: usize = 16;
/// How often the list is looked at where nobody says that there is something.
const LOOK: Duration = Duration::from_millis(500);
/// The pause after a list that cannot be read.
const AWAY: Duration = Duration::from_secs(2);
/// How long the last files may take at a stop.
const LAST: Duration = Duration::from_millis(1_500);

/// Works off the list of files.
pub struct FileWorker {
    store: ReactionStore,
    files: Arc<MediaFiles>,
    wake: Arc<Notify>,
    stop: CancellationToken,
    started: AtomicBool,
    running: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// A file that is to be deleted.
type FileTask = (String, String);
/// A media whose files are gone: its id, the post that it went with, and when, in microseconds since 1970.
type GoneMedia = (String, String, Option<i64>);

impl FileWorker {
    /// `wake` is told when something may have been put on the list.
    pub fn new(store: ReactionStore, files: Arc<MediaFiles>, wake: Arc<Notify>) -> Arc<Self> {
        let (stop, started) = (CancellationToken::new(), AtomicBool::new(false));
        Arc::new(Self { store, files, wake, stop, started, running: Mutex::new(None) })
    }

    /// Begins, once.
    pub fn start(self: &Arc<Self>) {
        if !self.started.swap(true, Ordering::Relaxed) {
            *self.running.lock() = Some(AbortOnDropHandle::new(tokio::spawn(run(self.clone()))));
        }
    }

    /// Deletes what is due, as far as that goes within a moment.
    pub async fn close(&self) {
        self.stop.cancel();
        let running = self.running.lock().take();
        if let Some(running) = running {
            tokio::time::timeout(LAST, running).await.ok();
        }
    }

    /// Takes some tasks and does them; returns how many there were.
    async fn round(&self) -> Result<usize, Failure> {
        let tasks = self.take().await?;
        if tasks.is_empty() {
            return self.say().await;
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
        self.say().await.map(|_| deleted.len())
    }

    async fn take(&self) -> Result<Vec<FileTask>, Failure> {
        let ReactionStore { postgres, schema } = &self.store;
        let query = sqlx::query_as(include_str!("sql/take_files.sql")).bind(TAKEN).persistent(false);
        let mut transaction = postgres.begin_in(schema).await?;
        let tasks = postgres.asked(query.fetch_all(&mut *transaction)).await?;
        postgres.asked(transaction.commit()).await?;
        Ok(tasks)
    }

    async fn note(&self, deleted: &[(FileTask, Result<(), String>)]) -> Result<(), Failure> {
        let ReactionStore { postgres, schema } = &self.store;
        let media: Vec<&str> = deleted.iter().map(|((media, _), _)| media.as_str()).collect();
        let keys: Vec<&str> = deleted.iter().map(|((_, key), _)| key.as_str()).collect();
        let reasons: Vec<Option<&str>> =
            deleted.iter().map(|(_, how)| how.as_ref().err().map(String::as_str)).collect();
        let query = sqlx::query(include_str!("sql/note_files.sql")).bind(media).bind(keys).bind(reasons);
        let mut transaction = postgres.begin_in(schema).await?;
        postgres.asked(query.persistent(false).execute(&mut *transaction)).await?;
        postgres.asked(transaction.commit()).await
    }

    /// Says of each media whose files are all gone that it is; returns 0.
    async fn say(&self) -> Result<usize, Failure> {
        let ReactionStore { postgres, schema } = &self.store;
        let mut transaction = postgres.begin_in(schema).await?;
        let gone = sqlx::query_as(include_str!("sql/gone_media.sql")).bind(TAKEN).persistent(false);
        let gone: Vec<GoneMedia> = postgres.asked(gone.fetch_all(&mut *transaction)).await?;
        if gone.is_empty() {
            return Ok(0);
        }
        let rows =
            Value::from(gone.iter().enumerate().filter_map(|(place, gone)| row(place, gone)).collect::<Vec<_>>());
        let said: Vec<&str> = gone.iter().map(|(media, ..)| media.as_str()).collect();
        let outbox = include_str!("sql/outbox.sql").replace("$1", "$1::json");
        let outbox = sqlx::query(sqlx::AssertSqlSafe(outbox)).bind(rows.to_string()).persistent(false);
        postgres.asked(outbox.execute(&mut *transaction)).await?;
        let note = sqlx::query("UPDATE file_tasks SET said = now() WHERE media_id = ANY ($1) AND said IS NULL");
        postgres.asked(note.bind(said).persistent(false).execute(&mut *transaction)).await?;
        postgres.asked(transaction.commit()).await?;
        Ok(0)
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

/// Rounds, until it is told to stop and nothing is due.
async fn run(worker: Arc<FileWorker>) {
    let mut away = false;
    loop {
        let pause = match worker.round().await {
            Ok(0) if worker.stop.is_cancelled() => return,
            Ok(0) => LOOK,
            Ok(_) => Duration::ZERO,
            Err(_) if worker.stop.is_cancelled() => return,
            Err(failure) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(reason = %failure.why, "Files of media are not deleted at the moment");
                }
                tokio::time::sleep(AWAY).await;
                continue;
            }
        };
        away = false;
        if !pause.is_zero() {
            tokio::select! {
                () = worker.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = worker.stop.cancelled(), if !worker.stop.is_cancelled() => {}
            }
        }
    }
}
