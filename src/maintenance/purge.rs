//! Purge: old tombstones are removed, so that deleted documents do not take room for ever.
//!
//! It works beside live traffic and in bounded memory. Before it removes anything the store notes the horizon, below which an
//! event may no longer create a document. It refuses to remove tombstones that are younger than what the topics keep. That is
//! the age of the delete itself: a late event that was written to the log well after it may outlive it there.

use std::time::Duration;

use pipeline::dead_letters::topic_of;
use pipeline::kafka::{Topic, inspect};
use pipeline::sink::{Failure, Order};
use thiserror::Error;

use crate::config::Config;
use crate::config::values::describe_age;
use crate::run::blocking::blocking;
use crate::stores::reader::{ObservedVersion, StoreReader, StoredVersion};
use crate::stores::target::SetupError;
use crate::systems::definition::{Definition, Deletes};

/// Tombstones that are found before they are removed, so that they fit into memory.
const PASS: usize = 200_000;
/// Tombstones that are removed before it is told.
const REMOVED_AT_ONCE: usize = 10_000;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct PurgeOptions {
    /// How old a tombstone gets.
    pub age: Duration,
    /// A tombstone below this version is as old as that.
    pub cut_off: i64,
    /// Only look.
    pub dry_run: bool,
}

/// Why nothing, or not everything, was removed.
#[derive(Debug, Error)]
pub enum PurgeError {
    #[error("{0}")]
    Setup(#[from] SetupError),
    #[error("Kafka does not answer ({0}); check KAFKA_BOOTSTRAP_SERVERS")]
    Kafka(String),
    #[error("the topic {0} does not exist, so it is not known how long it keeps records: check its name")]
    NoTopic(String),
    #[error("the topic {0} does not tell how long it keeps records: allow this user to describe its configuration")]
    Untold(String),
    #[error(
        "the topic {topic} keeps records for {keeps}, and a tombstone has to outlive them: give --older-than {keeps} or more, or lower the topic's retention.ms"
    )]
    TooYoung { topic: String, keeps: String },
    #[error(
        "the topic {topic} keeps records without end ({setting}), so that any old event can come again: keep the tombstones, or give the topic a retention.ms and cleanup.policy=delete"
    )]
    Endless { topic: String, setting: &'static str },
    #[error("{0} deletes nothing for good: what was deleted stays, marked as such, and nothing may bring it back")]
    Kept(&'static str),
    #[error("{}; what was removed until then stays so, and the purge can be run again", .0.why)]
    Store(Failure),
}

/// What it came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeReport {
    pub store: &'static str,
    /// Documents that the store holds, tombstones among them.
    pub looked_at: u64,
    pub tombstones: u64,
    /// Tombstones below the cut-off.
    pub old: u64,
    pub removed: u64,
    /// The version below which tombstones may have been purged, by this purge or an earlier one.
    pub horizon: Option<i64>,
}

/// Removes the old tombstones of a system's store.
///
/// # Errors
/// Why nothing, or not everything, was removed.
pub async fn purge(system: &Definition, config: &Config, options: PurgeOptions) -> Result<PurgeReport, PurgeError> {
    if system.deletes == Deletes::Kept {
        return Err(PurgeError::Kept(system.name));
    }
    let setup = system.setup(config, Order::Any)?;
    let (client, topics) = (config.kafka.client_config(), setup.group.topics);
    let asked = blocking(PurgeError::Kafka, move || {
        let names: Vec<String> = topics.iter().flat_map(|topic| [topic.clone(), topic_of(topic)]).collect();
        let found = inspect(&client, &names).map_err(PurgeError::Kafka)?.topics;
        for (name, pair) in topics.into_iter().zip(found.chunks_exact(2)) {
            let [source, letters] = pair else { continue };
            outlives(options.age, source.as_ref().ok_or(PurgeError::NoTopic(name))?)?;
            // Where there are no letters, none can be replayed.
            letters.as_ref().map_or(Ok(()), |letters| outlives(options.age, letters))?;
        }
        Ok(())
    });
    asked.await?;
    below(&*setup.bound.reader, options.cut_off, options.dry_run, PASS).await.map_err(PurgeError::Store)
}

/// Whether a tombstone of this age outlives every record of the topic.
fn outlives(age: Duration, topic: &Topic) -> Result<(), PurgeError> {
    let name = || topic.name.clone();
    if topic.compacted {
        return Err(PurgeError::Endless { topic: name(), setting: "cleanup.policy=compact" });
    }
    let retention = topic.retention_ms.ok_or_else(|| PurgeError::Untold(name()))?;
    let Ok(retention) = u64::try_from(retention).map(Duration::from_millis) else {
        return Err(PurgeError::Endless { topic: name(), setting: "retention.ms=-1" });
    };
    if age < retention { Err(PurgeError::TooYoung { topic: name(), keeps: describe_age(retention) }) } else { Ok(()) }
}

/// Removes the tombstones below a version, so many in a pass.
async fn below(reader: &dyn StoreReader, cut_off: i64, dry_run: bool, pass: usize) -> Result<PurgeReport, Failure> {
    let mut report = PurgeReport { store: reader.name(), ..PurgeReport::default() };
    let mut first = true;
    loop {
        let mut old: Vec<ObservedVersion> = Vec::new();
        let mut visit = |id: &str, StoredVersion { version, deleted, .. }: StoredVersion| {
            let is_old = deleted && version < cut_off;
            if first {
                report.looked_at += 1;
                report.tombstones += u64::from(deleted);
                report.old += u64::from(is_old);
            }
            if is_old && old.len() < pass && !dry_run {
                old.push(ObservedVersion { id: id.to_owned(), version, deleted });
            }
            Ok(())
        };
        reader.read(&mut visit).await?;
        first = false;
        let removed = remove(reader, &old, cut_off).await?;
        report.removed += removed;
        // A full pass of which nothing could be removed would be found again.
        if old.len() < pass || removed == 0 {
            break;
        }
    }
    if report.removed > 0 {
        // Where a purge with another cut-off noted its own at the same time.
        reader.note_horizon(cut_off).await?;
    }
    report.horizon = reader.horizon().await?;
    Ok(report)
}

/// Removes these, after the store noted that it may.
async fn remove(reader: &dyn StoreReader, old: &[ObservedVersion], cut_off: i64) -> Result<u64, Failure> {
    if old.is_empty() {
        return Ok(0);
    }
    reader.note_horizon(cut_off).await?;
    let mut removed = 0;
    for some in old.chunks(REMOVED_AT_ONCE) {
        removed += reader.remove(some).await?;
        tracing::info!(store = reader.name(), removed, of = old.len(), "Tombstones removed");
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use pipeline::sink::Sink;

    use super::*;
    use crate::stores::elasticsearch::document::{Document, Documents};
    use crate::stores::sqlite::{Sqlite, SqliteDocuments, SqliteReader};

    fn topic(retention_ms: Option<i64>, compacted: bool) -> Topic {
        Topic { name: "t".into(), partitions: 1, copies: 1, max_message_bytes: None, retention_ms, compacted }
    }

    #[test]
    fn a_tombstone_outlives_the_records_of_every_topic() {
        let says = |topic: &Topic| outlives(Duration::from_secs(3_600), topic).map_err(|error| error.to_string());
        assert_eq!(says(&topic(Some(3_600_000), false)), Ok(()));
        for (topic, part) in [
            (topic(Some(3_600_001), false), "--older-than 3601s or more"),
            (topic(Some(-1), false), "retention.ms=-1"),
            (topic(Some(1), true), "cleanup.policy=compact"),
            (topic(None, false), "describe"),
        ] {
            let why = says(&topic).unwrap_err();
            assert!(why.contains("topic t ") && why.contains(part), "{why}");
        }
    }

    #[tokio::test]
    async fn old_tombstones_go_in_passes_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = Sqlite::new(&folder.path().join("store.db"));
        sqlite.install().await.unwrap();
        let mut documents = Documents::new(Order::Log, 12);
        for version in 0..12_i64 {
            let tombstone = version % 2 == 0;
            documents.push(&format!("id-{version}"), version, tombstone, |out| {
                out.extend_from_slice(if tombstone { br#"{"_deleted":true}"# } else { b"{}" });
            });
        }
        let documents = documents.finish();
        let documents: Vec<&Document> = documents.iter().collect();
        SqliteDocuments::new(sqlite.clone(), Order::Log).write(&documents).await.unwrap();
        let reader = SqliteReader::documents(sqlite);
        let report =
            |removed, horizon| PurgeReport { store: "sqlite", looked_at: 12, tombstones: 6, old: 5, removed, horizon };
        assert_eq!(below(&reader, 10, true, 2).await.unwrap(), report(0, None));
        assert_eq!(below(&reader, 10, false, 2).await.unwrap(), report(5, Some(10)));
        let again = below(&reader, 9, false, 2).await.unwrap();
        assert_eq!((again.looked_at, again.tombstones, again.removed, again.horizon), (7, 1, 0, Some(10)));
    }
}
