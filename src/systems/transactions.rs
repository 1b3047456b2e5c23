//! The system `transactions`: transaction events from Kafka, enriched documents in Elasticsearch.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{SecondsFormat, Utc};
use enrichers::Event;
use pipeline::sink::{Order, Reject};
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System};

use crate::config::Config;
use crate::consumer::{Consumer, Prepare, Setup, engine_options};
use crate::replay::replay;
use crate::sinks::elasticsearch::{Client, Document, ElasticsearchSink, install};
use crate::systems::Entry;

/// As in commands, metrics and logs.
pub const NAME: &str = "transactions";

/// The index template; its patterns are set to the alias at start.
pub const TEMPLATE: &str = include_str!("../../index-templates/transactions.json");

/// A little more than a typical document, to reserve the buffer in one go.
const TYPICAL_BYTES: usize = 1_200;

/// The system's line in the table.
pub const ENTRY: Entry = Entry {
    name: NAME,
    consumer: |config, run| Consumer::new(setup(config, Order::Log)?, config, run),
    replay: |config, records| {
        let (setup, options) = (setup(config, Order::Any), engine_options(config, &config.transactions.group));
        Box::pin(async move { replay(setup?, options, records).await })
    },
    topics: |config| vec![config.transactions.topic.clone()],
    group: |config| config.transactions.group.clone(),
};

/// Puts the system together with its topic, its group and its store.
fn setup(config: &Config, order: Order) -> Result<Setup<Transactions>, String> {
    let alias = config.elasticsearch.index.clone();
    let client = Client::new(&config.elasticsearch)?;
    let sink = Arc::new(ElasticsearchSink::new(client.clone(), &alias));
    let target = alias.clone();
    let prepare: Prepare = Box::new(move || {
        let (client, alias) = (client.clone(), alias.clone());
        Box::pin(async move { install(&client, &alias, TEMPLATE).await.map_err(|error| error.to_string()) })
    });
    Ok(Setup {
        system: Transactions::new(order),
        sink,
        prepare,
        topics: vec![config.transactions.topic.clone()],
        group: config.transactions.group.clone(),
        target: format!("elasticsearch/{target}"),
    })
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
    type Event<'r> = Event<'r>;
    type Write = Document;

    fn name(&self) -> &'static str {
        NAME
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, Event<'r>> {
        let Some(payload) = record.payload.as_deref().filter(|payload| !payload.is_empty()) else {
            return Decoded::Ignore;
        };
        let event = match enrichers::decode(payload, record.timestamp_ms) {
            Ok(event) => event,
            Err(reject) => return Decoded::Reject(Reject::new(reject.class, reject.reason)),
        };
        tracing::debug!(
            event_type = event.kind.event_type(),
            transaction_id = &*event.id,
            message_id = %Hex(&event.message_id),
            partition = record.at.partition,
            offset = record.offset,
            "Processing transaction message"
        );
        if event.dropped_fields > 0 {
            metrics::counter!("millrace_dropped_fields_total", "system" => NAME).increment(event.dropped_fields as u64);
        }
        let document: Cow<'r, str> = event.id.clone();
        Decoded::Event(Identity { document, message: event.message_id, version: event.version() }, event)
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e Event<'r>)>,
    ) -> Vec<Result<Document, Reject>> {
        let enriched_at = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut buffer = Vec::with_capacity(events.len() * TYPICAL_BYTES);
        let mut ends = Vec::with_capacity(events.len());
        for (identity, event) in events {
            write_action(identity, self.order, &mut buffer);
            if event.is_delete() {
                enrichers::write_tombstone(event, &mut buffer);
            } else {
                enrichers::write_document(event, &enriched_at, &mut buffer);
            }
            buffer.push(b'\n');
            ends.push(buffer.len());
        }
        Document::cut(buffer, ends).into_iter().map(Ok).collect()
    }
}

/// The bulk action: always `index` with the event's own version, so that the store decides which of two is newer.
fn write_action(identity: &Identity<'_>, order: Order, out: &mut Vec<u8>) {
    let version_type = match order {
        Order::Log => "external_gte",
        Order::Any => "external",
    };
    out.extend_from_slice(br#"{"index":{"_id":"#);
    // Writing a string into memory cannot fail.
    serde_json::to_writer(&mut *out, &identity.document).ok();
    let rest = format!(r#","version":{},"version_type":"{version_type}"}}}}"#, identity.version);
    out.extend_from_slice(rest.as_bytes());
    out.push(b'\n');
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
    use pipeline::sink::Write;

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
    async fn a_batch_becomes_bulk_lines_with_versions() {
        let created = record(Some(
            br#"{"event_type":"transaction.created","transaction":{"id":"a\"b","user_id":"u","transaction_type":"card"},"timestamp":"1970-01-01T00:00:01Z"}"#,
        ));
        let deleted = record(Some(
            br#"{"event_type":"transaction.deleted","transaction":{"id":"c"},"timestamp":"1970-01-01T00:00:02Z"}"#,
        ));
        for (order, version_type) in [(Order::Log, "external_gte"), (Order::Any, "external")] {
            let system = Transactions::new(order);
            let decoded = [&created, &deleted].map(|record| match system.decode(record) {
                Decoded::Event(identity, event) => (identity, event),
                other => panic!("{other:?}"),
            });
            let documents = system.enrich(decoded.iter().map(|(identity, event)| (identity, event)).collect()).await;
            let documents: Vec<Document> = documents.into_iter().map(Result::unwrap).collect();
            let text: String =
                documents.iter().map(|document| String::from_utf8(document.lines().to_vec()).unwrap()).collect();
            let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines.len(), 4);
            assert_eq!(lines[0]["index"]["_id"], "a\"b");
            assert_eq!(lines[0]["index"]["version"], 4_000_000);
            assert_eq!(lines[0]["index"]["version_type"], version_type);
            assert_eq!(lines[1]["user_id"], "u");
            assert_eq!(lines[2]["index"]["version"], 8_000_002);
            assert_eq!(lines[3]["_deleted"], true);
            assert_eq!(documents.iter().map(Write::bytes).sum::<usize>(), text.len());
        }
    }
}
