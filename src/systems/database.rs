//! The system `database`: writes that an application put into Kafka, applied to its database once each and in order.
//!
//! Operations are no documents: they say what changes, and a partial update has no version that a store could compare. So the mark
//! in the transaction of its effect decides what was applied, not the engine's memory of it: the events name no message, and a
//! batch goes to the sink whole, which alone decides what may pass what. A reject is marked in the transaction that applies what
//! comes after it, so that it is judged the same when it is read again after a crash. To `purge` a mark is a tombstone, as old as
//! the mark.

use std::sync::Arc;

use enrichers::operation::{self, DatabaseOperation, RowChange};
use pipeline::sink::{Failure, Order, Reject};
use pipeline::system::{Decoded, Identity};
use pipeline::{Ladder, Record, System};

use crate::config::{Config, Retries};
use crate::stores::database::{
    CacheWriter, DatabaseHealth, NO_SUCH_ROW, OperationKeys, OperationReader, OperationResult, OperationResults,
    OperationSink, OperationStore, OperationWrite,
};
use crate::stores::target::{BoundSystem, ClosingStep, Needed, SetupError, StaticFuture, Target, prepare};
use crate::synthetic;
use crate::systems::definition::{ConsumerGroup, Definition, Deletes, Versions};

/// The name of the system on the command line, in metrics and in logs.
pub const NAME: &str = "database";

/// What there is to know of it.
pub const DEFINITION: Definition = Definition {
    name: NAME,
    projection: None,
    service: Some(NAME),
    groups: |config| vec![ConsumerGroup::of(config, NAME)],
    versions: Versions { at: |micros| micros, micros: |version| version },
    deletes: Deletes::Purged,
    deletion: None,
    bare: None,
    documents: false,
    tuned: tune,
    walk: |_| None,
    generator: Some(|options| Ok(Box::new(synthetic::operations::events(options)?.map(Into::into)))),
    stores: |_| vec![Needed::Operations],
    bind: |config, _, order| bind(config, order),
};

/// While the database is away it is asked at each interval; the ladder is for operations, and not for that.
fn tune(config: &Config) -> Config {
    let mut tuned = config.clone();
    let settings = &config.operations;
    let attempts = settings.retries.attempts;
    tuned.retries = Retries { attempts, delay: settings.reconnect, max_delay: settings.reconnect };
    tuned.kafka.client_id.clone_from(&settings.client_id);
    tuned
}

fn bind(config: &Config, order: Order) -> Result<BoundSystem, SetupError> {
    let settings = config.operations.clone();
    let store = OperationStore::new(&settings.server, config.connections())?;
    let name = format!("database/{}", store.address());
    let health = DatabaseHealth::new(settings.health, settings.reconnect);
    let cache = CacheWriter::new(&settings, store.clone())?;
    health.shows(cache.clone());
    let results = settings.results.as_deref().map(|topic| OperationResults::new(&config.kafka.client_config(), topic));
    let results = results.transpose()?;
    let sink = OperationSink::new(store.clone(), &settings, health.clone(), cache.clone(), results.clone(), order);
    let sink = Arc::new(sink);
    let close = closing(store.clone(), health.clone(), cache.clone());
    let keys = Arc::new(OperationKeys::new(settings.entities.clone()));
    let ladder = Ladder { same_reason, ..Ladder::new(settings.retries.attempts, settings.retries.delay) };
    let system = DatabaseSystem { keys: keys.clone(), ladder, results };
    let reader = Arc::new(OperationReader::new(store.clone(), settings.entities.clone(), cache.clone()));
    let parts = (store, settings, health, keys, cache);
    let prepare = prepare(parts, |(store, settings, health, keys, cache)| async move {
        store.install(&settings).await?;
        keys.learn(&store).await?;
        health.watch(store);
        match cache {
            Some(cache) => cache.watch(settings.health, settings.reconnect),
            None => tracing::info!("Rows in Redis are left alone: name it in REDIS_URL, or set DATABASE_CACHE"),
        }
        Ok(())
    });
    Ok(Target { sink, reader, prepare, name }.bind(system).close_with(close))
}

/// Whatever became of a row's first operation, that there is no such row follows from it.
fn same_reason(dead: &str, now: &str) -> bool {
    now == dead || now == NO_SUCH_ROW
}

/// As the worker that this one takes the place of: health monitoring, then Kafka's consumer, the database, Redis.
fn closing(
    store: OperationStore,
    health: Arc<DatabaseHealth>,
    cache: Option<Arc<CacheWriter>>,
) -> impl Fn(ClosingStep) -> StaticFuture<()> + Send + Sync {
    move |step| {
        let (store, health, cache) = (store.clone(), health.clone(), cache.clone());
        Box::pin(async move {
            if health.stop() {
                tracing::info!("Health monitoring stopped");
            }
            if step == ClosingStep::Ended {
                store.close().await;
                tracing::info!("Database connection closed");
                if let Some(cache) = cache {
                    cache.close().await;
                    tracing::info!("Redis disconnected");
                }
            }
        })
    }
}

/// Reads operations.
#[derive(Clone)]
struct DatabaseSystem {
    keys: Arc<OperationKeys>,
    ladder: Ladder,
    results: Option<Arc<OperationResults>>,
}

impl System for DatabaseSystem {
    type Event<'r> = (DatabaseOperation<'r>, &'r Record);
    type Write = OperationWrite;

    fn name(&self) -> &'static str {
        NAME
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, Self::Event<'r>> {
        let Some(payload) = record.payload.as_deref().filter(|payload| !payload.is_empty()) else {
            return Decoded::Ignore;
        };
        tracing::debug!(topic = &*record.at.topic, offset = record.offset, "Received operation from Kafka");
        match operation::decode(payload) {
            Ok(operation) => {
                let micros = record.time_ms().map(|ms| ms.saturating_mul(1_000)).or(operation.metadata.time_micros);
                let identity = Identity {
                    document: document(&operation).into(),
                    // The mark in the database tells copies.
                    message: None,
                    // The record's own time, which its mark cannot be older than.
                    version: micros.unwrap_or_default(),
                    kind: operation.verb.name(),
                };
                Decoded::Event(identity, (operation, record))
            }
            Err(reject) => Decoded::Reject(Reject::new(reject.class, reject.reason)),
        }
    }

    fn ladder(&self) -> Option<Ladder> {
        Some(self.ladder)
    }

    fn keys(&self, _: &Identity<'_>, (operation, _): &Self::Event<'_>, each: &mut dyn FnMut(&str)) {
        self.keys.of(operation, each);
    }

    fn is_about(&self, record: &Record, id: &str) -> bool {
        let id = id.split_once(':').map_or(id, |(_, id)| id);
        record.payload.as_deref().is_some_and(|payload| operation::is_about(payload, id))
    }

    async fn before_letters(&self, letters: &[(&Record, &Reject)]) -> Result<(), Failure> {
        let Some(results) = &self.results else { return Ok(()) };
        let payloads = letters.iter().map(|(record, _)| record.payload.as_deref());
        let operations: Vec<_> = payloads.map(|payload| operation::decode(payload?).ok()).collect();
        let events = letters.iter().zip(&operations);
        let events =
            events.map(|((record, why), operation)| OperationResult::of_letter(record, operation.as_ref(), why));
        results.send(&events.collect::<Vec<_>>()).await
    }

    fn on_letter(&self, record: &Record, why: &Reject) {
        let operation = record.payload.as_deref().and_then(|payload| operation::decode(payload).ok());
        let id = operation.as_ref().and_then(|operation| operation.metadata.operation_id.as_deref());
        let entity = operation.as_ref().map(|operation| operation.entity.as_ref());
        tracing::error!(
            operationId = id,
            entity,
            error = &*why.why,
            stack = format!("{}: {}, offset {}", why.class, record.at, record.offset),
            "DEAD LETTER QUEUE - Operation failed after all retries"
        );
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e Self::Event<'r>)>,
    ) -> Vec<Result<OperationWrite, Reject>> {
        events.into_iter().map(|(_, (operation, record))| Ok(OperationWrite::new(record, operation))).collect()
    }
}

/// Entity and id, as far as the operation itself names them.
fn document(operation: &DatabaseOperation<'_>) -> String {
    let fields = match operation.rows.as_slice() {
        [RowChange::Whole(fields) | RowChange::Where { key: fields, .. }] => fields.text("id"),
        _ => None,
    };
    format!("{}:{}", operation.entity, fields.as_deref().unwrap_or("*"))
}
