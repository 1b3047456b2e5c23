//! The story of one document: every event about it, what became of each, and what the stores hold.
//!
//! What the group has committed is asked first, then the stores, then the log to its end and the dead letters: so whatever
//! is committed was offered to the store that was seen, and whatever the store holds is in the log that was read. It reads
//! everything, keeps the records about the document, and changes nothing.

pub mod fate;
mod log;
pub mod story;

use std::sync::Arc;

use pipeline::dedupe::Mark;
use pipeline::sink::Failure as StoreFailure;
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System};
use thiserror::Error;

use crate::config::Config;
use crate::consumer::{Setup, Task};
use crate::shelf::{Content, Shelf};
use fate::{Cause, Event, Source, What};
use log::{Committed, Log};
use story::{Facts, Store, Story};

/// Hears how many records of so many offsets were read.
pub type Progress = Box<dyn FnMut(u64, u64) + Send>;

/// A system whose records can be told apart by the document that they are about.
pub trait Explained: System<Write: Content> {
    /// Whether a record is about this document, also one that cannot be decoded; never wrong about one that can.
    fn is_about(record: &Record, id: &str) -> bool;

    /// `created`, `updated` or `deleted`.
    fn kind(event: &Self::Event<'_>) -> &'static str;
}

/// The store of a projection, beside the system's own.
pub struct Beside {
    pub system: &'static str,
    pub shelf: Result<Arc<dyn Shelf>, String>,
}

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
    Setup(String),
}

impl From<StoreFailure> for ExplainError {
    fn from(failure: StoreFailure) -> Self {
        Self::Store(failure)
    }
}

/// The story by a system that may not be set up.
pub(crate) fn explanation<S: Explained>(
    setup: Result<Setup<S>, String>,
    besides: Vec<Beside>,
    config: &Config,
    id: String,
    progress: Progress,
) -> Task<Result<Story, ExplainError>> {
    let client = config.kafka.client_config();
    Box::pin(async move {
        let setup = setup.map_err(ExplainError::Setup)?;
        let log = Log::open(client, setup.topics.clone(), setup.group.clone()).await?;
        explain(setup, besides, log, id, progress).await
    })
}

async fn explain<S: Explained>(
    setup: Setup<S>,
    besides: Vec<Beside>,
    log: Log,
    id: String,
    progress: Progress,
) -> Result<Story, ExplainError> {
    let system = setup.system.name();
    let committed = log.committed().await?;
    let (store, history) = look(&*setup.shelf, system, &id).await?;
    let (mut stores, mut history) = (vec![store], history.unwrap_or_default());
    let mut notes = Vec::new();
    for Beside { system, shelf } in besides {
        let looked = match shelf {
            Ok(shelf) => look(&*shelf, system, &id).await.map_err(|failure| failure.why.into_owned()),
            Err(why) => Err(why),
        };
        match looked {
            Ok((store, events)) => {
                stores.push(store);
                history.extend(events.unwrap_or_default());
            }
            Err(why) => notes.push(format!("without {system}: {why}")),
        }
    }
    let read = log.read::<S>(system, &id, progress).await?;
    let mut records: Vec<(Source, Record, Option<Cause>)> = Vec::new();
    records.extend(read.records.into_iter().map(|record| (Source::Topic, record, None)));
    for letter in read.letters {
        let cause = Cause { class: letter.class, reason: letter.reason };
        // The time tells apart what stood at one place before and after a topic was made anew.
        let is_it = |(_, known, _): &&mut (Source, Record, Option<Cause>)| {
            at(known) == at(&letter.record) && known.timestamp_ms == letter.record.timestamp_ms
        };
        match records.iter_mut().find(is_it) {
            Some((_, _, slot)) => *slot = Some(cause),
            None => records.push((Source::Letter, letter.record, Some(cause))),
        }
    }
    let gone =
        |kept: &Record| !records.iter().any(|(_, known, _)| at(known) == at(kept) && known.payload == kept.payload);
    let gone: Vec<Record> = history.into_iter().filter(gone).collect();
    records.extend(gone.into_iter().map(|record| (Source::History, record, None)));
    records.sort_by(|(_, one, _), (_, other, _)| at(one).cmp(&at(other)));
    let events = judged(&setup.system, &id, &records, &committed).await;
    let whole = log.is_whole();
    let horizon = if whole { None } else { setup.shelf.horizon().await? };
    Ok(Story::new(Facts { id, system, group: setup.group, events, stores, whole, horizon, notes }))
}

fn at(record: &Record) -> (&str, i32, i64) {
    (&record.at.topic, record.at.partition, record.offset)
}

/// What a store holds of the document, and the events that it keeps.
async fn look(shelf: &dyn Shelf, system: &'static str, id: &str) -> Result<(Store, Option<Vec<Record>>), StoreFailure> {
    let found = shelf.find(&[id.to_owned()]).await?.into_iter().next().flatten();
    let history = shelf.history(id).await?;
    Ok((Store { system, name: shelf.name(), found, history: history.as_ref().map(Vec::len) }, history))
}

/// Decodes and enriches as the consumer does.
async fn judged<S: Explained>(
    system: &S,
    id: &str,
    records: &[(Source, Record, Option<Cause>)],
    committed: &Committed,
) -> Vec<Event> {
    let mut events = Vec::with_capacity(records.len());
    for (source, record, letter) in records {
        let what = match system.decode(record) {
            Decoded::Event(identity, _) if identity.document != id => continue,
            Decoded::Event(identity, event) => told(system, record, &identity, &event).await,
            Decoded::Reject(reject) => rejected(reject),
            Decoded::Ignore => What::Ignored,
        };
        let partition = (record.at.topic.to_string(), record.at.partition);
        let behind = committed.get(&partition).is_some_and(|committed| record.offset < *committed);
        events.push(Event {
            topic: record.at.topic.clone(),
            partition: record.at.partition,
            offset: record.offset,
            source: *source,
            what,
            letter: letter.clone(),
            committed: behind || *source != Source::Topic,
        });
    }
    events
}

async fn told<'e, 'r: 'e, S: Explained>(
    system: &'e S,
    record: &Record,
    identity: &'e Identity<'r>,
    event: &'e S::Event<'r>,
) -> What {
    let payload = record.payload.as_deref().unwrap_or_default();
    match system.enrich(vec![(identity, event)]).await.into_iter().next() {
        Some(Ok(write)) => What::Told {
            version: identity.version,
            deleted: write.is_deleted(),
            content: write.content(),
            kind: S::kind(event),
            mark: Mark::of(&identity.message, payload),
        },
        Some(Err(reject)) => rejected(reject),
        None => What::Ignored,
    }
}

fn rejected(reject: pipeline::sink::Reject) -> What {
    What::Rejected(Cause { class: reject.class.into_owned(), reason: reject.why.into_owned() })
}
