//! Puts an index together with its version store.

use std::sync::Arc;

use pipeline::sink::Order;

use super::reader::AlgoliaReader;
use super::sink::{AlgoliaIndex, AlgoliaSink, RatedIndex, ShownRatings};
use super::{AlgoliaClient, MongoVersionStore, PostgresVersionStore};
use crate::config::{Config, Database};
use crate::stores::algolia::version_store::{IndexEntry, VersionStore};
use crate::stores::follow_up::{FollowUps, Refusals};
use crate::stores::mongodb::{Collection, Mongo, MongoRefusals};
use crate::stores::postgres::{Postgres, PostgresRefusals};
use crate::stores::ratings::recompute::Ratings;
use crate::stores::ratings::{MongoRatings, PostgresRatings};
use crate::stores::target::{Needed, Prepare, SetupError, Target, prepare};

/// What a system keeps in Algolia.
pub struct IndexSpec {
    pub system: &'static str,
    pub index: &'static str,
    /// The version store's collection; its key is `_id`.
    pub versions: &'static Collection,
    /// The same, alone in a list.
    pub only: &'static [&'static Collection],
    pub rated: Option<RatingIndexSpec>,
    /// Records of one partition go one after the other.
    pub ordered: bool,
}

/// The ratings that follow from what a system keeps.
pub struct RatingIndexSpec {
    pub index: &'static str,
    /// The collection of the subjects.
    pub subjects: &'static str,
}

/// A version store, the ratings that it keeps for whoever shows them with the list of those that are refused, and what puts it in place.
type IndexParts = (Arc<dyn VersionStore>, Option<Rates>, Prepare);

/// Ratings, and the list of those that are refused.
type Rates = (Arc<dyn Ratings>, Arc<dyn Refusals>);

/// The index with its version store: in MongoDB, or in PostgreSQL when that alone is configured.
///
/// # Errors
/// A sentence that names the variable that is missing.
pub fn target(kept: &'static IndexSpec, config: &Config, order: Order) -> Result<Target<IndexEntry>, SetupError> {
    let missing =
        || SetupError::Missing(format!("{} needs Algolia: set ALGOLIA_APP_ID and ALGOLIA_API_KEY", kept.system));
    let settings = config.algolia.as_ref().ok_or_else(missing)?;
    let client = AlgoliaClient::new(settings)?;
    let (versions, rated, prepare) = match (&config.mongodb, &config.database) {
        (Some(settings), _) => in_mongodb(kept, Mongo::new(settings), order),
        (None, Some(Database::Postgres { url, address })) => {
            in_postgres(kept, Postgres::new(url, address, config.connections())?, order)
        }
        (None, _) => {
            return Err(SetupError::Missing(format!(
                "{} keeps versions apart: set MONGODB_URL, or DATABASE_URL to PostgreSQL",
                kept.system
            )));
        }
    };
    let name = format!("algolia/{}/{}{}", settings.app_id, settings.index_prefix, kept.index);
    let rating = |(kept_at, (ratings, refusals)): (&RatingIndexSpec, Rates)| {
        let shown = Arc::new(RatedIndex { client: client.clone(), name: kept_at.index, ratings });
        ShownRatings { follow_ups: Arc::new(FollowUps::new(kept.system, shown.clone(), refusals)), shown }
    };
    let rated = kept.rated.as_ref().zip(rated).map(rating);
    let index = Arc::new(AlgoliaIndex { client, name: kept.index, versions, rated });
    let reader = Arc::new(AlgoliaReader(index.clone()));
    Ok(Target { sink: Arc::new(AlgoliaSink { index, ordered: kept.ordered }), reader, prepare, name })
}

/// The stores that this needs: the index, and MongoDB where the version store is there.
pub fn needs(kept: &IndexSpec, config: &Config) -> Vec<Needed> {
    let in_postgres = config.mongodb.is_none() && matches!(config.database, Some(Database::Postgres { .. }));
    let index = Needed::Algolia(kept.index);
    if in_postgres { vec![index] } else { vec![Needed::MongoDb, index] }
}

fn in_mongodb(kept: &'static IndexSpec, mongo: Mongo, order: Order) -> IndexParts {
    let rated = kept.rated.as_ref().map(|rated| {
        let ratings: Arc<dyn Ratings> = Arc::new(MongoRatings::new(mongo.clone(), kept.versions, rated.subjects));
        let refusals: Arc<dyn Refusals> = Arc::new(MongoRefusals::new(mongo.clone(), kept.system));
        (ratings, refusals)
    });
    let versions = Arc::new(MongoVersionStore::new(mongo.clone(), kept.versions, kept.only, order));
    (versions, rated, prepare(mongo, move |mongo| async move { mongo.install(kept.only).await }))
}

fn in_postgres(kept: &'static IndexSpec, postgres: Postgres, order: Order) -> IndexParts {
    let rated = kept.rated.as_ref().map(|_| {
        let ratings: Arc<dyn Ratings> = Arc::new(PostgresRatings::new(postgres.clone(), kept.index));
        let refusals: Arc<dyn Refusals> = Arc::new(PostgresRefusals::new(postgres.clone(), kept.system));
        (ratings, refusals)
    });
    let versions = Arc::new(PostgresVersionStore::new(postgres.clone(), kept.index, order));
    (versions, rated, prepare(postgres, |postgres| async move { postgres.install_version_store().await }))
}
