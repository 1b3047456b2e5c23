//! The system `transactions-mongo`: enriched transactions in MongoDB, as they are in the index.
//!
//! A projection of `transactions` with a group of its own. What cannot be decoded is ignored here; the primary
//! dead-letters it.

use std::sync::Arc;

use chrono::{SecondsFormat, Utc};
use enrichers::Event;
use mongodb::bson::Document;
use pipeline::sink::{Order, Reject};
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System};

use super::transactions::{self, Transactions};
use crate::config::Config;
use crate::consumer::{Target, prepare};
use crate::explain::Explained;
use crate::sinks::mongodb::{Collection, Fields, Mongo, MongoShelf, MongoSink, Upsert, document_of};
use crate::systems::{Named, Projection, Versions};

/// As in commands, metrics and logs.
pub const NAME: &str = "transactions-mongo";

static TRANSACTIONS: Collection =
    Collection { name: "transactions", key: "_id", deleted: "_deleted", fields: Fields::All, indexes: &["user_id"] };

static ALL: &[&Collection] = &[&TRANSACTIONS];

/// Reads transaction events and makes documents of them.
#[derive(Clone, Debug)]
pub struct TransactionsMongo;

impl Named for TransactionsMongo {
    const NAME: &'static str = NAME;
    const PROJECTION: Option<Projection> =
        Some(Projection { of: transactions::NAME, on: |config| config.transactions.mongo });
    const VERSIONS: Versions = Transactions::VERSIONS;

    fn topics(config: &Config) -> Vec<String> {
        Transactions::topics(config)
    }

    fn group(config: &Config) -> String {
        format!("{}.mongo", config.transactions.group)
    }

    fn made(config: &Config, order: Order) -> Result<(Self, Target<Upsert>), String> {
        let mongo = Mongo::of(config, NAME)?;
        let name = format!("mongodb/{}/{}", mongo.address(), TRANSACTIONS.name);
        let sink = Arc::new(MongoSink::new(mongo.clone(), &TRANSACTIONS, order, false));
        let shelf = Arc::new(MongoShelf::new(mongo.clone(), ALL));
        let prepare = prepare(mongo, |mongo| async move { mongo.install(ALL).await });
        Ok((Self, Target { sink, shelf, prepare, name }))
    }
}

impl System for TransactionsMongo {
    type Event<'r> = Event<'r>;
    type Write = Upsert;

    fn name(&self) -> &'static str {
        NAME
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, Event<'r>> {
        transactions::projected(NAME, record)
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e Event<'r>)>,
    ) -> Vec<Result<Upsert, Reject>> {
        let enriched_at = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let upsert = |(identity, event): (&Identity<'_>, &Event<'_>)| {
            let document = if event.is_delete() { Document::new() } else { document(event, &enriched_at)? };
            Ok(Upsert::replace(&TRANSACTIONS, &identity.document, identity.version, event.is_delete(), document))
        };
        events.into_iter().map(upsert).collect()
    }
}

/// The enriched document; its version is a field of its own here.
fn document(event: &Event<'_>, enriched_at: &str) -> Result<Document, Reject> {
    let mut json = Vec::new();
    enrichers::write_document(event, enriched_at, &mut json);
    let bug = |_| Reject::new("not_a_document", "the enriched document is no JSON object, which is a bug");
    document_of(std::str::from_utf8(&json).map_err(bug)?)
}

impl Explained for TransactionsMongo {
    fn is_about(record: &Record, id: &str) -> bool {
        transactions::is_about(record, id)
    }

    fn kind(event: &Event<'_>) -> &'static str {
        transactions::kind(event)
    }
}
