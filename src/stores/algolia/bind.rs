//! Puts an index together with its ledger.

use std::sync::Arc;

use pipeline::sink::Order;

use super::reader::AlgoliaShelf;
use super::sink::{AlgoliaSink, Index, RatedIndex, Rating};
use super::{Client, MongoLedger, PostgresLedger};
use crate::config::{Config, Database};
use crate::stores::algolia::version_store::{Entry, Ledger};
use crate::stores::follow_up::{FollowUps, Refusals};
use crate::stores::mongodb::{Collection, Mongo, MongoRefusals};
use crate::stores::postgres::{Postgres, PostgresRefusals};
use crate::stores::ratings::recompute::Ratings;
use crate::stores::ratings::{MongoRatings, PostgresRatings};
use crate::stores::target::{Needed, Prepare, Target, prepare};

/// What a system keeps in Algolia.
pub struct Kept {
    pub system: &'static str,
    pub index: &'static str,
    /// The ledger's collection; its key is `_id`.
    pub ledger: &'static Collection,
    /// The same, alone in a list.
    pub only: &'static [&'static Collection],
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

/// A ledger, the ratings that it keeps for whoever shows them with the list of those that are refused, and what puts it in place.
type Books = (Arc<dyn Ledger>, Option<Rates>, Prepare);

/// Ratings, and the list of those that are refused.
type Rates = (Arc<dyn Ratings>, Arc<dyn Refusals>);

/// The index with its ledger: in MongoDB, or in PostgreSQL when that alone is configured.
///
/// # Errors
/// A sentence that names the variable that is missing.
pub fn target(kept: &'static Kept, config: &Config, order: Order) -> Result<Target<Entry>, String> {
    let missing = || format!("{} needs Algolia: set ALGOLIA_APP_ID and ALGOLIA_API_KEY", kept.system);
    let settings = config.algolia.as_ref().ok_or_else(missing)?;
    let client = Client::new(settings)?;
    let (ledger, rated, prepare) = match (&config.mongodb, &config.database) {
        (Some(settings), _) => in_mongodb(kept, Mongo::new(settings), order),
        (None, Some(Database::Postgres { url, address })) => {
            // One connection a batch, and one for probes.
            let connections = u32::try_from(config.max_in_flight + 1).unwrap_or(u32::MAX);
            in_postgres(kept, Postgres::new(url, address, connections)?, order)
        }
        (None, _) => {
            return Err(format!("{} keeps a ledger: set MONGODB_URL, or DATABASE_URL to PostgreSQL", kept.system));
        }
    };
    let name = format!("algolia/{}/{}{}", settings.app_id, settings.index_prefix, kept.index);
    let rating = |(kept_at, (ratings, refusals)): (&RatedKept, Rates)| {
        let shown = Arc::new(RatedIndex { client: client.clone(), name: kept_at.index, ratings });
        Rating { follow_ups: Arc::new(FollowUps::new(kept.system, shown.clone(), refusals)), shown }
    };
    let rated = kept.rated.as_ref().zip(rated).map(rating);
    let index = Arc::new(Index { client, name: kept.index, ledger, rated });
    let shelf = Arc::new(AlgoliaShelf(index.clone()));
    Ok(Target { sink: Arc::new(AlgoliaSink { index, ordered: kept.ordered }), shelf, prepare, name })
}

/// The stores that this needs: the index, and MongoDB where the ledger is there.
pub fn needed(kept: &Kept, config: &Config) -> Vec<Needed> {
    let in_postgres = config.mongodb.is_none() && matches!(config.database, Some(Database::Postgres { .. }));
    let index = Needed::Algolia(kept.index);
    if in_postgres { vec![index] } else { vec![Needed::MongoDb, index] }
}

fn in_mongodb(kept: &'static Kept, mongo: Mongo, order: Order) -> Books {
    let rated = kept.rated.as_ref().map(|rated| {
        let ratings: Arc<dyn Ratings> = Arc::new(MongoRatings::new(mongo.clone(), kept.ledger, rated.subjects));
        let refusals: Arc<dyn Refusals> = Arc::new(MongoRefusals::new(mongo.clone(), kept.system));
        (ratings, refusals)
    });
    let ledger = Arc::new(MongoLedger::new(mongo.clone(), kept.ledger, kept.only, order));
    (ledger, rated, prepare(mongo, move |mongo| async move { mongo.install(kept.only).await }))
}

fn in_postgres(kept: &'static Kept, postgres: Postgres, order: Order) -> Books {
    let rated = kept.rated.as_ref().map(|_| {
        let ratings: Arc<dyn Ratings> = Arc::new(PostgresRatings::new(postgres.clone(), kept.index));
        let refusals: Arc<dyn Refusals> = Arc::new(PostgresRefusals::new(postgres.clone(), kept.system));
        (ratings, refusals)
    });
    let ledger = Arc::new(PostgresLedger::new(postgres.clone(), kept.index, order));
    (ledger, rated, prepare(postgres, |postgres| async move { postgres.install_ledger().await }))
}
