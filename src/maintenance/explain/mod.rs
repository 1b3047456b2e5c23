//! The report of one document: every event about it, what became of each, and what the stores hold.
//!
//! What the group has committed is asked first, then the stores, then the log to its end and the dead letters: so whatever
//! is committed was offered to the store that was seen, and whatever the store holds is in the log that was read. It reads
//! everything, keeps the records about the document, and changes nothing.

mod backfilled;
pub mod outcomes;
pub mod report;
pub mod row_operations;
mod topic_log;
pub mod traced;

use pipeline::Record;
use pipeline::binding::{Binding, Enriched};
use pipeline::dedupe::Mark;
use pipeline::offsets::settled::{MendedAs, Settled};
use pipeline::sink::{Failure as StoreFailure, Order};
use pipeline::system::Decoded;
use thiserror::Error;

use crate::config::Config;
use crate::maintenance::dead_letters::StoredDeadLetter;
use crate::stores::reader::StoreReader;
use crate::stores::target::SetupError;
use crate::systems::{Definition, ProjectionStore};
use backfilled::Backfilled;
use outcomes::{EventContent, EventSource, LoggedEvent, RejectCause};
use report::{Evidence, ExplainReport, StoreState};
use topic_log::{Committed, ExplainLog};

/// Hears how many records of so many offsets were read.
pub type Progress = Box<dyn FnMut(u64, u64) + Send>;

/// Why it could not be told.
#[derive(Debug, Error)]
pub enum ExplainError {
    #[error("Kafka does not answer ({0}); check KAFKA_BOOTSTRAP_SERVERS")]
    Kafka(String),
    #[error("the topic {0} does not exist, so there is nothing to tell")]
    NoTopic(String),
    #[error("{}", .0.why)]
    Store(StoreFailure),
    #[error("{0}")]
    Setup(#[from] SetupError),
}

impl From<StoreFailure> for ExplainError {
    fn from(failure: StoreFailure) -> Self {
        Self::Store(failure)
    }
}

/// Tells the report of a document.
///
/// # Errors
/// Why it could not be told.
pub async fn explain(
    system: &Definition,
    config: &Config,
    besides: Vec<ProjectionStore>,
    id: String,
    progress: Progress,
) -> Result<ExplainReport, ExplainError> {
    system.has_documents()?;
    let setup = system.setup(config, Order::Any)?;
    let log = ExplainLog::open(config, setup.group.topics.clone(), setup.group.id.clone()).await?;
    let (system, versions, bare) = (system.name, system.versions, system.bare);
    let committed = log.fetch_committed().await?;
    let (store, history) = look(&*setup.bound.reader, system, &id).await?;
    let mut evidence = StoreEvidence { stores: vec![store], history: history.unwrap_or_default(), notes: Vec::new() };
    evidence.look(besides, &id).await;
    let StoreEvidence { stores, history, notes } = evidence;
    let read = log.read(setup.bound.binding.clone(), &id, progress).await?;
    let mut records: Vec<(EventSource, Record, Option<RejectCause>)> = Vec::new();
    records.extend(read.records.into_iter().map(|record| (EventSource::Topic, record, None)));
    for letter in read.letters {
        let reason = reason(&letter, read.settled.get(&letter.key()));
        let cause = RejectCause { class: letter.class, reason };
        // The time tells apart what stood at one place before and after a topic was made anew.
        let is_it = |(_, known, _): &&mut (EventSource, Record, Option<RejectCause>)| {
            at(known) == at(&letter.record) && known.timestamp_ms == letter.record.timestamp_ms
        };
        match records.iter_mut().find(is_it) {
            Some((_, _, slot)) => *slot = Some(cause),
            None => records.push((EventSource::Letter, letter.record, Some(cause))),
        }
    }
    let gone =
        |kept: &Record| !records.iter().any(|(_, known, _)| at(known) == at(kept) && known.payload == kept.payload);
    let gone: Vec<Record> = history.into_iter().filter(gone).collect();
    records.extend(gone.into_iter().map(|record| (EventSource::History, record, None)));
    records.sort_by(|(_, one, _), (_, other, _)| at(one).cmp(&at(other)));
    let mut events = judge_events(&*setup.bound.binding, &id, &records, &committed).await;
    let held = stores.first().and_then(|store| store.found.as_ref()).map(|found| found.version);
    let backfilled = Backfilled { bare, setup: &setup, system, id: &id };
    let backfills = match held.filter(|held| !events.iter().any(|event| event.fits(*held))) {
        Some(held) => backfilled.look(&log.jobs().await?, held, &mut events).await,
        None => Vec::new(),
    };
    let whole = log.is_whole() && backfills.is_empty();
    let horizon = if log.is_whole() { None } else { setup.bound.reader.horizon().await? };
    Ok(ExplainReport::new(Evidence {
        id,
        system,
        versions,
        group: setup.group.id,
        events,
        stores,
        whole,
        horizon,
        backfills,
        notes,
    }))
}

/// What the system's own store and those of its projections hold.
struct StoreEvidence {
    stores: Vec<StoreState>,
    history: Vec<Record>,
    /// Stores that could not be asked.
    notes: Vec<String>,
}

impl StoreEvidence {
    async fn look(&mut self, besides: Vec<ProjectionStore>, id: &str) {
        for ProjectionStore { system, reader } in besides {
            let looked = match reader {
                Ok(reader) => look(&*reader, system, id).await.map_err(|failure| failure.why.into_owned()),
                Err(why) => Err(why.to_string()),
            };
            match looked {
                Ok((store, events)) => {
                    self.stores.push(store);
                    self.history.extend(events.unwrap_or_default());
                }
                Err(why) => self.notes.push(format!("without {system}: {why}")),
            }
        }
    }
}

/// Why a record died, and how its letter was dealt with.
fn reason(letter: &StoredDeadLetter, settled: Option<&Settled>) -> String {
    let why = &letter.reason;
    match settled {
        None => why.clone(),
        Some(Settled { mended_as: Some(MendedAs { topic, partition, offset }), .. }) => {
            format!("{why} (mended as {topic}/{partition}/{offset})")
        }
        Some(Settled { at, .. }) => format!("{why} (came through when it was replayed, {at})"),
    }
}

fn at(record: &Record) -> (&str, i32, i64) {
    (&record.at.topic, record.at.partition, record.offset)
}

/// Reads one document from a store. Where the store keeps a history, it also reads the events of the document.
async fn look(
    reader: &dyn StoreReader,
    system: &'static str,
    id: &str,
) -> Result<(StoreState, Option<Vec<Record>>), StoreFailure> {
    let found = reader.find(&[id.to_owned()]).await?.into_iter().next().flatten();
    let history = reader.history(id).await?;
    Ok((StoreState { system, name: reader.name(), found, history: history.as_ref().map(Vec::len) }, history))
}

/// Decodes and enriches as the consumer does.
async fn judge_events(
    binding: &dyn Binding,
    id: &str,
    records: &[(EventSource, Record, Option<RejectCause>)],
    committed: &Committed,
) -> Vec<LoggedEvent> {
    let mut events = Vec::with_capacity(records.len());
    for (source, record, letter) in records {
        let Some(what) = content_of(binding, id, record).await else { continue };
        let partition = (record.at.topic.to_string(), record.at.partition);
        let behind = committed.get(&partition).is_some_and(|committed| record.offset < *committed);
        events.push(LoggedEvent {
            topic: record.at.topic.clone(),
            partition: record.at.partition,
            offset: record.offset,
            source: *source,
            what,
            letter: letter.clone(),
            committed: behind || *source != EventSource::Topic,
        });
    }
    events
}

/// What a record says; `None` where it is about another document.
async fn content_of(binding: &dyn Binding, id: &str, record: &Record) -> Option<EventContent> {
    let events = binding.decode(std::slice::from_ref(record));
    let identity = match events.as_slice().first() {
        Some(Decoded::Event(identity, ())) if identity.document != id => return None,
        Some(Decoded::Event(identity, ())) => identity,
        Some(Decoded::Reject(reject)) => return Some(reject_content(reject.clone())),
        Some(Decoded::Ignore) | None => return Some(EventContent::Ignored),
    };
    let Enriched { writes, rejected: refused, .. } = events.enrich(&[0]).await;
    let content = match (writes.content(0), refused.into_iter().next()) {
        (Some(content), _) => content,
        (None, Some((_, reject))) => return Some(reject_content(reject)),
        (None, None) => return Some(EventContent::Ignored),
    };
    Some(EventContent::Told {
        version: identity.version,
        deleted: content.deleted,
        content: content.digest,
        kind: identity.kind,
        mark: identity.message.map(|message| Mark::of(&message, record.payload.as_deref().unwrap_or_default())),
    })
}

fn reject_content(reject: pipeline::sink::Reject) -> EventContent {
    EventContent::Rejected(RejectCause { class: reject.class.into_owned(), reason: reject.why.into_owned() })
}
