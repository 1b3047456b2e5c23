//! The system `reviews`: reviews as objects of an Algolia index, and the ratings of the creators in another.

use enrichers::review::Event;
use pipeline::sink::{Order, Reject};
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System};
use serde_json::json;

use super::ratings;
use super::transactions;
use crate::config::Config;
use crate::erase;
use crate::sinks::algolia::{Kept, RatedKept, needed, target};
use crate::sinks::ledger::{Contribution, Entry};
use crate::sinks::mongodb::{Collection, Fields, SUBJECT};
use crate::systems::definition::{Bound, Definition, Deletes};
use crate::walk;

/// As in commands, metrics and logs.
pub const NAME: &str = "reviews";

static LEDGER: Collection = Collection {
    name: "algoliaReviews",
    key: "_id",
    deleted: "_deleted",
    fields: Fields::Only(&["object"]),
    indexes: &[SUBJECT],
};
static KEPT: Kept = Kept {
    system: NAME,
    index: "reviews",
    ledger: &LEDGER,
    only: &[&LEDGER],
    rated: Some(RatedKept { index: "creators", subjects: "algoliaCreators" }),
    ordered: true,
};

/// Reads reviews and makes objects of them.
#[derive(Clone, Debug)]
pub struct Reviews;

/// What there is to know of it.
pub const DEFINITION: Definition = Definition {
    name: NAME,
    projection: None,
    topics: |config| vec![config.reviews.topic.clone()],
    group: |config| config.reviews.group.clone(),
    versions: transactions::DEFINITION.versions,
    deletes: Deletes::Purged,
    deletion: Some(erase::review),
    walk: walk::reviews::algolia,
    generator: Some(ratings::events),
    stores: |config| needed(&KEPT, config),
    bind: bound,
};

fn bound(config: &Config, order: Order) -> Result<Bound, String> {
    Ok(target(&KEPT, config, order)?.bound_to(Reviews))
}

impl System for Reviews {
    type Event<'r> = Event<'r>;
    type Write = Entry;

    fn name(&self) -> &'static str {
        NAME
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, Event<'r>> {
        ratings::decode(record)
    }

    fn is_about(&self, record: &Record, id: &str) -> bool {
        ratings::is_about(record, id)
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e Event<'r>)>,
    ) -> Vec<Result<Entry, Reject>> {
        events.into_iter().map(|(identity, event)| Ok(entry(identity, event))).collect()
    }
}

fn entry(identity: &Identity<'_>, event: &Event<'_>) -> Entry {
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
    Entry { id, version: identity.version, object, contribution }
}
