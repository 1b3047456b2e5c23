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
use crate::stores::reactions::file_worker::file_worker;
use crate::stores::reactions::media_files::MediaFiles;
use crate::stores::reactions::outbox::Outbox;
use crate::stores::reactions::reaction_group::ReactionGroup;
use crate::stores::reactions::reaction_upkeep::upkeep;
use crate::stores::reactions::relay::relay;
use crate::stores::reactions::signal::{OutboxSignal, listener};
use crate::stores::reactions::transact::Emission;
use crate::stores::reactions::{BackgroundTask, MarkReader, ReactionSink, ReactionWrite};
use crate::stores::target::{BoundSystem, ClosingStep, Needed, SetupError, StaticFuture, Target, prepare};
use crate::synthetic;
use crate::systems::definition::{ConsumerGroup, Definition, Deletes, Versions};
use crate::walk;

/// The name of the system on the command line, in metrics and in logs.
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
    bind,
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

const NEEDS: &str = "reactions needs a PostgreSQL: set REACTIONS_DATABASE_URL";

/// Where the reactions are kept.
///
/// # Errors
/// A sentence about the configuration.
pub fn database(config: &Config) -> Result<Postgres, SetupError> {
    match &config.reactions.database {
        Some(database) => open(config, database),
        None => Err(SetupError::Missing(NEEDS.to_owned())),
    }
}

fn open(config: &Config, database: &Database) -> Result<Postgres, SetupError> {
    match database {
        Database::Postgres { url, address } => {
            Ok(Postgres::new(url, address, config.connections())?.in_schema(&config.reactions.schema))
        }
        Database::Sqlite { .. } => Err(SetupError::Unusable(format!("{NEEDS}; SQLite does not hold it"))),
    }
}

fn bind(config: &Config, group: &ConsumerGroup, _order: Order) -> Result<BoundSystem, SetupError> {
    let unknown = || SetupError::Unusable(format!("reactions has no consumer {}", group.consumer));
    let reactions = ReactionGroup::of_consumer(group.consumer).ok_or_else(unknown)?;
    let postgres = database(config)?;
    let settings = &config.reactions;
    let name = format!("postgres/{}/{}", postgres.address(), settings.schema);
    let emission = if settings.emit { Emission::Everything } else { Emission::Nothing };
    let signal = OutboxSignal::new(settings.listen.is_some());
    let wake_files = Arc::new(Notify::new());
    let media = settings.media.as_ref().filter(|_| reactions == ReactionGroup::Media).map(MediaFiles::new);
    let media = media.transpose()?.map(Arc::new);
    let mut tasks = Vec::new();
    // One of the groups brings relay and upkeep along: which one says nothing of whose events they see to.
    if reactions == ReactionGroup::Subscription {
        let outbox = Outbox::new(postgres.clone());
        tasks.push(upkeep(outbox.clone(), settings.retention, settings.relay));
        if settings.relay {
            tasks.push(relay(config, outbox, signal.clone())?);
            if let Some(direct) = &settings.listen {
                tasks.push(listener(open(config, direct)?, signal.clone()));
            }
        }
    }
    if let Some(files) = media.clone().filter(|_| settings.emit) {
        tasks.push(file_worker(postgres.clone(), files, wake_files.clone(), signal.clone()));
    }
    let tasks: Arc<[BackgroundTask]> = tasks.into();
    let sink = Arc::new(ReactionSink::new(postgres.clone(), reactions, emission, signal, wake_files));
    let reader = Arc::new(MarkReader::new(postgres.clone(), reactions, media));
    let close = closing(tasks.clone());
    let prepare = prepare((postgres, tasks), |(postgres, tasks)| async move {
        postgres.install_reactions().await?;
        tasks.iter().for_each(BackgroundTask::start);
        Ok(())
    });
    let system = Reactions { group: reactions, prefix: config.event_topic_prefix.clone() };
    Ok(Target { sink, reader, prepare, name }.bind(system).close_with(close))
}

/// What goes on beside the group ends after the last batch, so that it can do what that led to.
fn closing(tasks: Arc<[BackgroundTask]>) -> impl Fn(ClosingStep) -> StaticFuture<()> + Send + Sync {
    move |step| {
        let tasks = tasks.clone();
        Box::pin(async move {
            if step == ClosingStep::Ended {
                for task in tasks.iter() {
                    task.close().await;
                }
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
