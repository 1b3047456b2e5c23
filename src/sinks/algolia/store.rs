//! Puts an index together with its ledger.

use std::sync::Arc;

use pipeline::sink::Order;

use super::Client;
use super::shelf::AlgoliaShelf;
use super::sink::{AlgoliaSink, Index, RatedIndex};
use crate::config::Config;
use crate::consumer::{Target, prepare};
use crate::sinks::ledger::Entry;
use crate::sinks::mongodb::{Collection, Mongo, MongoLedger, MongoRatings};

/// What a system keeps in Algolia.
pub struct Kept {
    pub system: &'static str,
    pub index: &'static str,
    /// The ledger's collection, alone; its key is `_id`.
    pub ledger: &'static [&'static Collection],
    pub rated: Option<RatedKept>,
    /// Records of one partition go one after the other.
    pub ordered: bool,
}

/// The ratings that follow from what a system keeps.
pub struct RatedKept {
    pub index: &'static str,
    /// The collection of the subjects.
    pub subjects: &'static str,
}

/// The index with its ledger in MongoDB.
///
/// # Errors
/// A sentence that names the variable that is missing.
pub fn target(kept: &'static Kept, config: &Config, order: Order) -> Result<Target<Entry>, String> {
    let missing = || format!("{} needs Algolia: set ALGOLIA_APP_ID and ALGOLIA_API_KEY", kept.system);
    let settings = config.algolia.as_ref().ok_or_else(missing)?;
    let client = Client::new(settings)?;
    let [collection] = kept.ledger else { return Err(format!("{} has no ledger, which is a bug", kept.system)) };
    let mongo = Mongo::of(config, kept.system)?;
    let ledger = Arc::new(MongoLedger::new(mongo.clone(), collection, kept.ledger, order));
    let rated = kept.rated.as_ref().map(|rated| RatedIndex {
        name: rated.index,
        ratings: Arc::new(MongoRatings::new(mongo.clone(), collection, rated.subjects)),
    });
    let name = format!("algolia/{}/{}{}", settings.app_id, settings.index_prefix, kept.index);
    let prepare = prepare(mongo, move |mongo| async move { mongo.install(kept.ledger).await });
    let index = Arc::new(Index { client, name: kept.index, ledger, rated });
    let shelf = Arc::new(AlgoliaShelf(index.clone()));
    Ok(Target { sink: Arc::new(AlgoliaSink { index, ordered: kept.ordered }), shelf, prepare, name })
}
