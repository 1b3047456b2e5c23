//! The system `reviews`: reviews as objects of an Algolia index, and the ratings of the creators in another.

use enrichers::review::ReviewEvent;
use pipeline::sink::{Order, Reject};
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System};
use serde_json::json;

use super::ratings;
use super::transactions;
use crate::config::Config;
use crate::stores::algolia::version_store::{Contribution, IndexEntry};
use crate::stores::algolia::{IndexSpec, RatingIndexSpec, needs, target};
use crate::stores::mongodb::{Collection, OwnedFields};
use crate::stores::ratings::SUBJECT;
use crate::stores::target::{BoundSystem, SetupError};
use crate::systems::definition::{ConsumerGroup, Definition, Deletes};
use crate::walk;

/// The name of the system on the command line, in metrics and in logs.
pub const NAME: &str = ratings::READS;

static VERSIONS: Collection = Collection {
    name: "algoliaReviews",
    key: "_id",
    deleted: "_deleted",
    fields: OwnedFields::Only(&["object"]),
    indexes: &[SUBJECT],
};
static KEPT: IndexSpec = IndexSpec {
    system: NAME,
    index: "reviews",
    versions: &VERSIONS,
    only: &[&VERSIONS],
    rated: Some(RatingIndexSpec { index: "creators", subjects: "algoliaCreators" }),
    ordered: true,
};

/// Reads reviews and makes objects of them.
#[derive(Clone, Debug)]
struct Reviews;

/// What there is to know of it.
pub const DEFINITION: Definition = Definition {
    name: NAME,
    projection: None,
    service: Some(NAME),
    groups: |config| vec![ConsumerGroup::of(config, NAME)],
    versions: transactions::DEFINITION.versions,
    deletes: Deletes::Purged,
    documents: true,
    tuned: Config::clone,
    deletion: ratings::DEFINITION.deletion,
    bare: None,
    walk: walk::reviews::algolia,
    generator: Some(ratings::events),
    stores: |config| needs(&KEPT, config),
    bind: |config, _, order| bind(config, order),
};

fn bind(config: &Config, order: Order) -> Result<BoundSystem, SetupError> {
    Ok(target(&KEPT, config, order)?.bind(Reviews))
}

impl System for Reviews {
    type Event<'r> = ReviewEvent<'r>;
    type Write = IndexEntry;

    fn name(&self) -> &'static str {
        NAME
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, ReviewEvent<'r>> {
        ratings::decode(record)
    }

    fn is_about(&self, record: &Record, id: &str) -> bool {
        ratings::is_about(record, id)
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e ReviewEvent<'r>)>,
    ) -> Vec<Result<IndexEntry, Reject>> {
        events.into_iter().map(|(identity, event)| Ok(entry(identity, event))).collect()
    }
}

fn entry(identity: &Identity<'_>, event: &ReviewEvent<'_>) -> IndexEntry {
    let id = event.id.to_string();
    let object = event.review.as_ref().map(|review| {
        json!({
            "objectID": id,
            "creatorId": review.creator_id,
            "userId": review.user_id,
            "stars": review.stars,
            "title": review.title,
            "content": review.content,
            "createdAt": review.created_at,
            "updatedAt": review.updated_at,
        })
        .to_string()
    });
    let contribution =
        event.review.as_ref().map(|review| Contribution { subject: review.creator_id.clone(), stars: review.stars });
    IndexEntry { id, version: identity.version, object, contribution }
}
