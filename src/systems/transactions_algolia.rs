//! The system `transactions-algolia`: enriched transactions as objects of an Algolia index.
//!
//! A projection of `transactions` with a group of its own. What cannot be decoded is ignored here; the primary
//! dead-letters it.

use std::collections::BTreeMap;

use enrichers::Event;
use pipeline::sink::{Order, Reject};
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System};
use serde_json::value::{RawValue, to_raw_value};

use super::transactions::{self, Transactions};
use crate::config::Config;
use crate::consumer::Target;
use crate::explain::Explained;
use crate::sinks::algolia::{Kept, target};
use crate::sinks::ledger::Entry;
use crate::sinks::mongodb::{Collection, Fields};
use crate::systems::{Named, Projection, Versions};

/// As in commands, metrics and logs.
pub const NAME: &str = "transactions-algolia";

static LEDGER: Collection = Collection {
    name: "algoliaTransactions",
    key: "_id",
    deleted: "_deleted",
    fields: Fields::Only(&["object"]),
    indexes: &[],
};
static KEPT: Kept =
    Kept { system: NAME, index: "transactions", ledger: &LEDGER, only: &[&LEDGER], rated: None, ordered: false };

/// Reads transaction events and makes objects of them.
#[derive(Clone, Debug)]
pub struct TransactionsAlgolia;

impl Named for TransactionsAlgolia {
    const NAME: &'static str = NAME;
    const PROJECTION: Option<Projection> =
        Some(Projection { of: transactions::NAME, on: |config| config.transactions.algolia });
    const VERSIONS: Versions = Transactions::VERSIONS;

    fn topics(config: &Config) -> Vec<String> {
        Transactions::topics(config)
    }

    fn group(config: &Config) -> String {
        format!("{}.algolia", config.transactions.group)
    }

    fn made(config: &Config, order: Order) -> Result<(Self, Target<Entry>), String> {
        Ok((Self, target(&KEPT, config, order)?))
    }
}

impl System for TransactionsAlgolia {
    type Event<'r> = Event<'r>;
    type Write = Entry;

    fn name(&self) -> &'static str {
        NAME
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, Event<'r>> {
        transactions::projected(NAME, record)
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e Event<'r>)>,
    ) -> Vec<Result<Entry, Reject>> {
        let entry = |(identity, event): (&Identity<'_>, &Event<'_>)| {
            let object = if event.is_delete() { None } else { Some(object(event)?) };
            Ok(Entry { id: event.id.to_string(), version: identity.version, object, contribution: None })
        };
        events.into_iter().map(entry).collect()
    }
}

/// The enriched document under its `objectID`, without the time of enrichment: written again it is the same.
fn object(event: &Event<'_>) -> Result<String, Reject> {
    let bug = |_| Reject::new("not_a_document", "the enriched document is no JSON object, which is a bug");
    let mut document = Vec::new();
    enrichers::write_document(event, "", &mut document);
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&document).map_err(bug)?;
    members.remove("_enriched_at");
    members.insert("objectID".to_owned(), to_raw_value(&event.id).map_err(bug)?);
    serde_json::to_string(&members).map_err(bug)
}

impl Explained for TransactionsAlgolia {
    fn is_about(record: &Record, id: &str) -> bool {
        transactions::is_about(record, id)
    }

    fn kind(event: &Event<'_>) -> &'static str {
        transactions::kind(event)
    }
}
