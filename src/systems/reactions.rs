//! The system `reactions`: what the events between services come to, in PostgreSQL, and what follows from them.
//!
//! Four groups, so that a media store that is away holds up no payment. The mark in the database decides what was applied, not
//! the engine's memory of it.

use std::sync::Arc;

use events::{CloudAttributes, Event, EventName, EventRecord};
use pipeline::sink::{Order, Reject};
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System};
use tokio::sync::Notify;

use crate::config::{Config, Database};
use crate::stores::postgres::Postgres;
use crate::stores::reactions::file_worker::FileWorker;
use crate::stores::reactions::media_files::MediaFiles;
use crate::stores::reactions::outbox::Outbox;
use crate::stores::reactions::reaction_group::ReactionGroup;
use crate::stores::reactions::reaction_upkeep::ReactionUpkeep;
use crate::stores::reactions::relay::Relay;
use crate::stores::reactions::transact::Emission;
use crate::stores::reactions::{MarkReader, ReactionSink, ReactionStore, ReactionWrite};
use crate::stores::target::{BoundSystem, ClosingStep, Needed, SetupError, StaticFuture, Target, prepare};
use crate::synthetic;
use crate::systems::definition::{ConsumerGroup, Definition, Deletes, Versions};
use crate::walk;

/// As in commands, metrics and logs.
pub const NAME: &str = "reactions";

/// What there is to know of it.
pub const DEFINITION: Definition = Definition {
    name: NAME,
    projection: None,
    service: Some(NAME),
    groups,
    versions: Versions { at: |micros| micros, micros: |version| version },
    deletes: Deletes::Kept,
    deletion: None,
    bare: None,
    documents: false,
    tuned: Config::clone,
    walk: walk::events::event,
    generator: Some(|options| Ok(Box::new(synthetic::events::records(options)?))),
    stores: |_| vec![Needed::Reactions],
    bind: bound,
};

fn groups(config: &Config) -> Vec<ConsumerGroup> {
    let topic = |event: EventName| format!("{}{event}", config.event_topic_prefix);
    let group = |group: ReactionGroup| ConsumerGroup {
        consumer: group.consumer(),
        id: format!("{}.{}", config.group(NAME), group.as_str()),
        topics: group.events().map(topic).collect(),
    };
    ReactionGroup::ALL.into_iter().map(group).collect()
}

/// Where the reactions are kept.
///
/// # Errors
/// A sentence about the configuration.
pub fn store(config: &Config) -> Result<ReactionStore, SetupError> {
    let needs = "reactions needs a PostgreSQL: set REACTIONS_DATABASE_URL";
    match &config.reactions.database {
        Some(Database::Postgres { url, address }) => Ok(ReactionStore {
            postgres: Postgres::new(url, address, config.connections())?,
            schema: config.reactions.schema.clone(),
        }),
        Some(Database::Sqlite { .. }) => Err(SetupError::Unusable(format!("{needs}; SQLite does not hold it"))),
        None => Err(SetupError::Missing(needs.to_owned())),
    }
}

fn bound(config: &Config, group: &ConsumerGroup, _order: Order) -> Result<BoundSystem, SetupError> {
    let unknown = || SetupError::Unusable(format!("reactions has no consumer {}", group.consumer));
    let reactions = ReactionGroup::of_consumer(group.consumer).ok_or_else(unknown)?;
    let store = store(config)?;
    let settings = &config.reactions;
    let name = format!("postgres/{}/{}", store.postgres.address(), store.schema);
    let emission = if settings.emit { Emission::Everything } else { Emission::Nothing };
    let wake = Arc::new(Notify::new());
    // One of the groups brings the relay along: which one says nothing of whose events it publishes.
    let relay = (settings.relay && reactions == ReactionGroup::Subscription)
        .then(|| Relay::new(config, Outbox::new(store.postgres.clone(), &store.schema), wake.clone()));
    let relay = relay.transpose()?;
    let media = settings.media.as_ref().filter(|_| reactions == ReactionGroup::Media).map(MediaFiles::new);
    let media = media.transpose()?.map(Arc::new);
    let worker = |files: &Arc<MediaFiles>| FileWorker::new(store.clone(), files.clone(), wake.clone());
    let files = media.as_ref().filter(|_| settings.emit).map(worker);
    let sink = Arc::new(ReactionSink::new(store.clone(), reactions, emission, wake));
    let reader = Arc::new(MarkReader::new(store.clone(), reactions, media));
    let outbox = Outbox::new(store.postgres.clone(), &store.schema);
    let upkeep = (reactions == ReactionGroup::Subscription)
        .then(|| ReactionUpkeep::new(outbox, settings.retention, settings.relay));
    let close = closing(relay.clone(), files.clone(), upkeep.clone());
    let prepare = prepare((store, relay, files, upkeep), |(store, relay, files, upkeep)| async move {
        store.install().await?;
        if let Some(upkeep) = upkeep {
            upkeep.start();
        }
        if let Some(relay) = relay {
            relay.start();
        }
        if let Some(files) = files {
            files.start();
        }
        Ok(())
    });
    let system = Reactions { group: reactions, prefix: config.event_topic_prefix.clone() };
    Ok(Target { sink, reader, prepare, name }.bound_to(system).closed_by(close))
}

/// Relay and worker end after the last batch, so that they can do what that led to.
fn closing(
    relay: Option<Arc<Relay>>,
    files: Option<Arc<FileWorker>>,
    upkeep: Option<Arc<ReactionUpkeep>>,
) -> impl Fn(ClosingStep) -> StaticFuture<()> + Send + Sync {
    move |step| {
        let (relay, files, upkeep) = (relay.clone(), files.clone(), upkeep.clone());
        Box::pin(async move {
            if step != ClosingStep::Ended {
                return;
            }
            if let Some(upkeep) = upkeep {
                upkeep.stop();
            }
            if let Some(files) = files {
                files.close().await;
            }
            if let Some(relay) = relay {
                relay.close().await;
            }
        })
    }
}

/// Reads the events of one group.
#[derive(Clone, Debug)]
pub struct Reactions {
    group: ReactionGroup,
    /// What stands before the names of the topics.
    prefix: String,
}

impl System for Reactions {
    type Event<'r> = (Event, &'r Record);
    type Write = ReactionWrite;

    fn name(&self) -> &'static str {
        self.group.consumer()
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, Self::Event<'r>> {
        let Some(payload) = record.payload.as_deref().filter(|payload| !payload.is_empty()) else {
            return Decoded::Ignore;
        };
        let Some(name) = record.at.topic.strip_prefix(&self.prefix).and_then(EventName::find) else {
            return Decoded::Ignore;
        };
        let headers = record.headers.iter().map(|header| (&*header.name, header.value.as_deref()));
        let (topic, cloud) = (&*record.at.topic, CloudAttributes::of_headers(headers));
        match events::read(name, &EventRecord { topic, payload, timestamp_ms: record.time_ms(), cloud }) {
            Ok(event) => {
                let identity = Identity {
                    document: event.data.key().to_owned().into(),
                    // The mark in the database tells copies.
                    message: None,
                    version: event.time.micros(),
                    kind: name.as_str(),
                };
                Decoded::Event(identity, (event, record))
            }
            // Another group makes the letter.
            Err(_) if !self.group.judges(name) => Decoded::Ignore,
            Err(reject) => Decoded::Reject(Reject::new(reject.class, reject.reason)),
        }
    }

    fn is_about(&self, record: &Record, id: &str) -> bool {
        let payload = record.payload.as_deref().and_then(|payload| std::str::from_utf8(payload).ok());
        payload.is_some_and(|payload| payload.contains(id))
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e Self::Event<'r>)>,
    ) -> Vec<Result<ReactionWrite, Reject>> {
        events.into_iter().map(|(_, (event, record))| Ok(ReactionWrite::new(event, record))).collect()
    }
}
