//! The system `transactions`: transaction events from Kafka, enriched documents in an index.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{SecondsFormat, Utc};
use enrichers::TransactionEvent;
use pipeline::mutant;
use pipeline::sink::{Failure, Order, Reject};
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System};
use serde_json::json;
use serde_json::value::RawValue;

use crate::config::{Config, IndexStore};
use crate::stores::elasticsearch::document::{Document, Documents};
use crate::stores::elasticsearch::{ElasticsearchClient, ElasticsearchReader, ElasticsearchSink, install};
use crate::stores::erased::ERASE_TOPIC;
use crate::stores::sqlite::{Sqlite, SqliteDocuments, SqliteReader};
use crate::stores::target::{BoundSystem, Needed, SetupError, Target, prepare};
use crate::systems::definition::{ConsumerGroup, Definition, Deletes, Versions};
use crate::walk;

/// The name of the system on the command line, in metrics and in logs.
pub const NAME: &str = "transactions";

/// The source of an event that a document alone was made an event of.
const BARE: &str = "millrace.backfill";

/// The index template; its patterns are set to the alias at start.
pub const TEMPLATE: &str = include_str!("../../index-templates/transactions.json");

/// What there is to know of it.
pub const DEFINITION: Definition = Definition {
    name: NAME,
    projection: None,
    service: Some("consumer"),
    groups: |config| vec![ConsumerGroup::of(config, NAME)],
    versions: Versions { at: enrichers::version_at, micros: enrichers::micros_of },
    deletes: Deletes::Purged,
    documents: true,
    tuned: Config::clone,
    deletion: Some(deletion),
    bare: Some(bare),
    walk: walk::transactions::index,
    generator: Some(|options| Ok(Box::new(options.events()?.map(Into::into)))),
    stores: |_| vec![Needed::Documents],
    bind: |config, _, order| bind(config, order),
};

/// What deletes a transaction.
fn deletion(id: &str, time: &str) -> serde_json::Value {
    json!({"event_type": "transaction.deleted", "transaction": {"id": id}, "timestamp": time, "source": ERASE_TOPIC})
}

/// What a transaction was at a time.
fn bare(transaction: &str, time: &str) -> String {
    format!(
        r#"{{"event_type":"transaction.created","timestamp":"{time}","source":"{BARE}","transaction":{transaction}}}"#
    )
}

fn bind(config: &Config, order: Order) -> Result<BoundSystem, SetupError> {
    let target = match &config.transactions.store {
        IndexStore::Elasticsearch => elasticsearch(config)?,
        IndexStore::Sqlite(path) => sqlite(Sqlite::new(path), order),
    };
    Ok(target.bind(Transactions::new(order)))
}

fn elasticsearch(config: &Config) -> Result<Target<Document>, SetupError> {
    let alias = config.elasticsearch.index.clone();
    let client = ElasticsearchClient::new(&config.elasticsearch)?;
    let sink = Arc::new(ElasticsearchSink::new(client.clone(), &alias));
    let reader = Arc::new(ElasticsearchReader::new(client.clone(), &alias));
    let name = format!("elasticsearch/{alias}");
    let prepare = prepare((client, alias), |(client, alias)| async move {
        install(&client, &alias, TEMPLATE).await.map_err(|error| Failure::misconfigured(error.to_string()))
    });
    Ok(Target { sink, reader, prepare, name })
}

fn sqlite(sqlite: Sqlite, order: Order) -> Target<Document> {
    let sink = Arc::new(SqliteDocuments::new(sqlite.clone(), order));
    let reader = Arc::new(SqliteReader::documents(sqlite.clone()));
    let name = format!("sqlite/{}", sqlite.path().display());
    let prepare = prepare(sqlite, |sqlite| async move { sqlite.install().await });
    Target { sink, reader, prepare, name }
}

/// Reads a transaction event for one of the systems that have them.
pub(super) fn decode<'r>(system: &'static str, record: &'r Record) -> Decoded<'r, TransactionEvent<'r>> {
    let Some(payload) = record.payload.as_deref().filter(|payload| !payload.is_empty()) else {
        return Decoded::Ignore;
    };
    let event = match enrichers::decode(payload, record.time_ms()) {
        Ok(event) => event,
        Err(reject) => return Decoded::Reject(Reject::new(reject.class, reject.reason)),
    };
    tracing::debug!(
        system,
        event_type = event.kind.event_type(),
        transaction_id = &*event.id,
        message_id = %Hex(&event.message_id),
        partition = record.at.partition,
        offset = record.offset,
        "Processing transaction message"
    );
    if event.dropped_fields > 0 {
        metrics::counter!("millrace_dropped_fields_total", "system" => system).increment(event.dropped_fields as u64);
    }
    let (document, kind): (Cow<'r, str>, _) = (event.id.clone(), event.kind.name());
    Decoded::Event(Identity { document, message: Some(event.message_id), version: event.version(), kind }, event)
}

/// As [`decode`], for a projection: what the primary dead-letters is not its business.
pub(super) fn decode_projection<'r>(system: &'static str, record: &'r Record) -> Decoded<'r, TransactionEvent<'r>> {
    match decode(system, record) {
        Decoded::Reject(_) => Decoded::Ignore,
        decoded => decoded,
    }
}

/// Reads transaction events and makes documents of them.
#[derive(Clone, Debug)]
pub struct Transactions {
    order: Order,
}

impl Transactions {
    pub fn new(order: Order) -> Self {
        Self { order }
    }
}

impl System for Transactions {
    type Event<'r> = TransactionEvent<'r>;
    type Write = Document;

    fn name(&self) -> &'static str {
        NAME
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, TransactionEvent<'r>> {
        decode(NAME, record)
    }

    fn is_about(&self, record: &Record, id: &str) -> bool {
        is_about(record, id)
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e TransactionEvent<'r>)>,
    ) -> Vec<Result<Document, Reject>> {
        let enriched_at = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut documents = Documents::new(self.order, events.len());
        let mut unindexed = 0;
        for (identity, event) in events {
            documents.push(&identity.document, identity.version, event.is_delete(), |out| {
                if event.is_delete() {
                    enrichers::write_tombstone(event, out);
                } else if mutant!(ValueLost) {
                    write_without_currency(event, &enriched_at, out);
                } else {
                    unindexed += enrichers::write_document(event, &enriched_at, out);
                }
            });
        }
        count_unindexed(NAME, unindexed);
        documents.finish().into_iter().map(Ok).collect()
    }
}

/// Counts fields that a document keeps as JSON text.
pub(super) fn count_unindexed(system: &'static str, fields: usize) {
    if fields > 0 {
        metrics::counter!("millrace_unindexed_fields_total", "system" => system).increment(fields as u64);
    }
}

/// A bug for the fault suite.
fn write_without_currency(event: &TransactionEvent<'_>, enriched_at: &str, out: &mut Vec<u8>) {
    let mut document = Vec::new();
    enrichers::write_document(event, enriched_at, &mut document);
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(&document).unwrap_or_default();
    members.remove("currency");
    serde_json::to_writer(out, &members).ok();
}

/// As [`System::is_about`], for any system of transaction events.
pub(super) fn is_about(record: &Record, id: &str) -> bool {
    record.payload.as_deref().is_some_and(|payload| enrichers::is_about(payload, id))
}

/// Shows bytes as hexadecimal digits, only when the line is really logged.
struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pipeline::TopicPartition;

    use super::*;

    fn record(payload: Option<&'static [u8]>) -> Record {
        Record {
            at: TopicPartition::new("transactions", 0),
            offset: 7,
            timestamp_ms: None,
            key: None,
            payload: payload.map(Bytes::from_static),
            headers: Vec::new(),
        }
    }

    #[test]
    fn empty_payloads_are_ignored_and_broken_ones_rejected() {
        let system = Transactions::new(Order::Log);
        assert!(matches!(system.decode(&record(None)), Decoded::Ignore));
        assert!(matches!(system.decode(&record(Some(b""))), Decoded::Ignore));
        assert!(matches!(system.decode(&record(Some(b"{"))), Decoded::Reject(_)));
    }

    #[tokio::test]
    async fn events_become_documents_and_tombstones() {
        let created = record(Some(
            br#"{"event_type":"transaction.created","transaction":{"id":"a","user_id":"u","transaction_type":"card"},"timestamp":"1970-01-01T00:00:01Z"}"#,
        ));
        let deleted = record(Some(
            br#"{"event_type":"transaction.deleted","transaction":{"id":"c"},"timestamp":"1970-01-01T00:00:02Z"}"#,
        ));
        let system = Transactions::new(Order::Log);
        let decoded = [&created, &deleted].map(|record| match system.decode(record) {
            Decoded::Event(identity, event) => (identity, event),
            other => panic!("{other:?}"),
        });
        let documents = system.enrich(decoded.iter().map(|(identity, event)| (identity, event)).collect()).await;
        let documents: Vec<Document> = documents.into_iter().map(Result::unwrap).collect();
        let source = |n: usize| serde_json::from_str::<serde_json::Value>(documents[n].source()).unwrap();
        assert_eq!(
            (documents[0].id(), documents[0].version(), documents[0].is_deleted()),
            ("a".into(), 4_000_000, false)
        );
        assert_eq!(source(0)["user_id"], "u");
        assert_eq!(
            (documents[1].id(), documents[1].version(), documents[1].is_deleted()),
            ("c".into(), 8_000_002, true)
        );
        assert_eq!(source(1)["_deleted"], true);
    }
}
