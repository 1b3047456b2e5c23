//! The system `transactions-mongo`: enriched transactions in MongoDB, as they are in the index.
//!
//! A projection of `transactions` with a group of its own. What cannot be decoded is ignored here; the primary
//! dead-letters it.

use std::sync::Arc;

use chrono::{SecondsFormat, Utc};
use enrichers::TransactionEvent;
use mongodb::bson::Document;
use pipeline::sink::{Order, Reject};
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System};

use super::transactions;
use crate::config::Config;
use crate::stores::mongodb::{Collection, Mongo, MongoReader, MongoSink, OwnedFields, People, Upsert, document_of};
use crate::stores::target::{BoundSystem, Needed, SetupError, Target, prepare};
use crate::systems::definition::{ConsumerGroup, Definition, Deletes, Projection};
use crate::walk;

/// The name of the system on the command line, in metrics and in logs.
pub const NAME: &str = "transactions-mongo";

static TRANSACTIONS: Collection = Collection {
    name: "transactions",
    key: "_id",
    deleted: "_deleted",
    fields: OwnedFields::All,
    indexes: &["user_id"],
};

static ALL: &[&Collection] = &[&TRANSACTIONS];
/// An event deletes a document.
const PEOPLE: People = People { field: "user_id", erased: None };

/// Reads transaction events and makes documents of them.
#[derive(Clone, Debug)]
struct TransactionsMongo;

/// What there is to know of it.
pub const DEFINITION: Definition = Definition {
    name: NAME,
    projection: Some(Projection { of: transactions::NAME, on: |config| config.transactions.mongo }),
    service: Some(NAME),
    groups: |config| vec![ConsumerGroup::of(config, transactions::NAME).for_projection(NAME, "mongo")],
    versions: transactions::DEFINITION.versions,
    deletes: Deletes::Purged,
    documents: true,
    tuned: Config::clone,
    deletion: transactions::DEFINITION.deletion,
    bare: transactions::DEFINITION.bare,
    walk: walk::transactions::mongodb,
    generator: None,
    stores: |_| vec![Needed::MongoDb],
    bind: |config, _, order| bind(config, order),
};

fn bind(config: &Config, order: Order) -> Result<BoundSystem, SetupError> {
    let mongo = Mongo::of(config, NAME)?;
    let name = format!("mongodb/{}/{}", mongo.address(), TRANSACTIONS.name);
    let sink = Arc::new(MongoSink::new(mongo.clone(), &TRANSACTIONS, order, false));
    let reader = Arc::new(MongoReader::new(mongo.clone(), ALL).of(PEOPLE));
    let prepare = prepare(mongo, |mongo| async move { mongo.install(ALL).await });
    Ok(Target { sink, reader, prepare, name }.bind(TransactionsMongo))
}

impl System for TransactionsMongo {
    type Event<'r> = TransactionEvent<'r>;
    type Write = Upsert;

    fn name(&self) -> &'static str {
        NAME
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, TransactionEvent<'r>> {
        transactions::decode_projection(NAME, record)
    }

    fn is_about(&self, record: &Record, id: &str) -> bool {
        transactions::is_about(record, id)
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e TransactionEvent<'r>)>,
    ) -> Vec<Result<Upsert, Reject>> {
        let enriched_at = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let upsert = |(identity, event): (&Identity<'_>, &TransactionEvent<'_>)| {
            let document = if event.is_delete() { Document::new() } else { document(event, &enriched_at)? };
            Ok(Upsert::replace(&TRANSACTIONS, &identity.document, identity.version, event.is_delete(), document))
        };
        events.into_iter().map(upsert).collect()
    }
}

/// The enriched document; its version is a field of its own here.
fn document(event: &TransactionEvent<'_>, enriched_at: &str) -> Result<Document, Reject> {
    let mut json = Vec::new();
    transactions::count_unindexed(NAME, enrichers::write_document(event, enriched_at, &mut json));
    let bug = |_| Reject::new("not_a_document", "the enriched document is no JSON object, which is a bug");
    document_of(std::str::from_utf8(&json).map_err(bug)?)
}
