//! The system `transactions-algolia`: enriched transactions as objects of an Algolia index.
//!
//! A projection of `transactions` with a group of its own. What cannot be decoded is ignored here; the primary
//! dead-letters it.

use std::collections::BTreeMap;

use enrichers::TransactionEvent;
use pipeline::sink::{Order, Reject};
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System};
use serde_json::value::{RawValue, to_raw_value};

use super::transactions;
use crate::config::Config;
use crate::stores::algolia::version_store::IndexEntry;
use crate::stores::algolia::{IndexSpec, needs, target};
use crate::stores::mongodb::{Collection, OwnedFields};
use crate::stores::target::{BoundSystem, SetupError};
use crate::systems::definition::{ConsumerGroup, Definition, Deletes, Projection};
use crate::walk;

/// The name of the system on the command line, in metrics and in logs.
pub const NAME: &str = "transactions-algolia";

static VERSIONS: Collection = Collection {
    name: "algoliaTransactions",
    key: "_id",
    deleted: "_deleted",
    fields: OwnedFields::Only(&["object"]),
    indexes: &[],
};
static KEPT: IndexSpec = IndexSpec {
    system: NAME,
    index: "transactions",
    versions: &VERSIONS,
    only: &[&VERSIONS],
    rated: None,
    ordered: false,
};

/// Reads transaction events and makes objects of them.
#[derive(Clone, Debug)]
struct TransactionsAlgolia;

/// What there is to know of it.
pub const DEFINITION: Definition = Definition {
    name: NAME,
    projection: Some(Projection { of: transactions::NAME, on: |config| config.transactions.algolia }),
    service: Some(NAME),
    groups: |config| vec![ConsumerGroup::of(config, transactions::NAME).for_projection(NAME, "algolia")],
    versions: transactions::DEFINITION.versions,
    deletes: Deletes::Purged,
    documents: true,
    tuned: Config::clone,
    deletion: transactions::DEFINITION.deletion,
    bare: transactions::DEFINITION.bare,
    walk: walk::transactions::algolia,
    generator: None,
    stores: |config| needs(&KEPT, config),
    bind: |config, _, order| bind(config, order),
};

fn bind(config: &Config, order: Order) -> Result<BoundSystem, SetupError> {
    Ok(target(&KEPT, config, order)?.bind(TransactionsAlgolia))
}

impl System for TransactionsAlgolia {
    type Event<'r> = TransactionEvent<'r>;
    type Write = IndexEntry;

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
    ) -> Vec<Result<IndexEntry, Reject>> {
        let entry = |(identity, event): (&Identity<'_>, &TransactionEvent<'_>)| {
            let object = if event.is_delete() { None } else { Some(object(event)?) };
            Ok(IndexEntry { id: event.id.to_string(), version: identity.version, object, contribution: None })
        };
        events.into_iter().map(entry).collect()
    }
}

/// The enriched document under its `objectID`, without the time of enrichment: written again it is the same.
fn object(event: &TransactionEvent<'_>) -> Result<String, Reject> {
    let bug = |_| Reject::new("not_a_document", "the enriched document is no JSON object, which is a bug");
    let mut document = Vec::new();
    transactions::count_unindexed(NAME, enrichers::write_document(event, "", &mut document));
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&document).map_err(bug)?;
    members.remove("_enriched_at");
    members.insert("objectID".to_owned(), to_raw_value(&event.id).map_err(bug)?);
    serde_json::to_string(&members).map_err(bug)
}
