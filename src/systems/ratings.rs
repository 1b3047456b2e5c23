//! The system `ratings`: what the reviews of each creator come to, in MongoDB and in Redis.
//!
//! Each review's contribution is kept under its id; the rating is counted from all of them, never incremented.

use std::sync::Arc;

use enrichers::review::{self, ReviewEvent};
use mongodb::bson::{Document, doc};
use pipeline::sink::{Order, Reject};
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System};
use serde_json::json;

use super::transactions;
use crate::config::Config;
use crate::stores::follow_up::FollowUps;
use crate::stores::mongodb::{Collection, Mongo, MongoReader, MongoRefusals, MongoSink, OwnedFields, Upsert};
use crate::stores::ratings::redis::RatingCache;
use crate::stores::ratings::sink::{Counted, RatingsReader, RatingsSink};
use crate::stores::ratings::{MongoRatings, STARS, SUBJECT, SUBJECTS};
use crate::stores::target::{BoundSystem, Needed, SetupError, Target, prepare};
use crate::synthetic::{self, OptionsError};
use crate::systems::definition::{ConsumerGroup, Definition, Deletes, Messages};
use crate::walk;

/// The name of the system on the command line, in metrics and in logs.
pub const NAME: &str = "ratings";
/// The system whose topic it reads.
pub(super) const READS: &str = "reviews";

static CONTRIBUTIONS: Collection = Collection {
    name: "reviewContributions",
    key: "_id",
    deleted: "_deleted",
    fields: OwnedFields::Only(&[SUBJECT, STARS]),
    indexes: &[SUBJECT],
};
static ALL: &[&Collection] = &[&CONTRIBUTIONS];
const CREATORS: &str = "creators";

/// Reads reviews and keeps what they contribute.
#[derive(Clone, Debug)]
struct RatingsSystem;

/// What there is to know of it.
pub const DEFINITION: Definition = Definition {
    name: NAME,
    projection: None,
    service: Some(NAME),
    groups: |config| vec![ConsumerGroup { topics: vec![config.topic(READS)], ..ConsumerGroup::of(config, NAME) }],
    versions: transactions::DEFINITION.versions,
    deletes: Deletes::Purged,
    documents: true,
    tuned: Config::clone,
    deletion: Some(deletion),
    bare: None,
    walk: walk::reviews::contribution,
    generator: Some(events),
    stores: |_| vec![Needed::MongoDb],
    bind: |config, _, order| bind(config, order),
};

/// What deletes a review.
pub(super) fn deletion(id: &str, time: &str) -> serde_json::Value {
    json!({"type": "review.deleted", "timestamp": time, "data": {"id": id}})
}

fn bind(config: &Config, order: Order) -> Result<BoundSystem, SetupError> {
    let mongo = Mongo::of(config, NAME)?;
    let name = format!("mongodb/{}/{}", mongo.address(), CONTRIBUTIONS.name);
    let cached = |redis| RatingCache::new(redis, &config.reviews.cache_prefix);
    let cache = config.redis.as_ref().map(cached).transpose()?;
    let ratings = MongoRatings::new(mongo.clone(), &CONTRIBUTIONS, CREATORS);
    let counted = Arc::new(Counted { ratings, cache });
    let refusals = Arc::new(MongoRefusals::new(mongo.clone(), NAME));
    let follow_ups = Arc::new(FollowUps::new(NAME, counted.clone(), refusals));
    let sink = MongoSink::new(mongo.clone(), &CONTRIBUTIONS, order, true);
    let sink = Arc::new(RatingsSink { sink, follow_ups: follow_ups.clone(), counted: counted.clone() });
    let reader = Arc::new(RatingsReader { reader: MongoReader::new(mongo.clone(), ALL), follow_ups, counted });
    let prepare = prepare(mongo, |mongo| async move { mongo.install(ALL).await });
    Ok(Target { sink, reader, prepare, name }.bind(RatingsSystem))
}

impl System for RatingsSystem {
    type Event<'r> = ReviewEvent<'r>;
    type Write = Upsert;

    fn name(&self) -> &'static str {
        NAME
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, ReviewEvent<'r>> {
        decode(record)
    }

    fn is_about(&self, record: &Record, id: &str) -> bool {
        is_about(record, id)
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e ReviewEvent<'r>)>,
    ) -> Vec<Result<Upsert, Reject>> {
        events.into_iter().map(|(identity, event)| Ok(contribution(identity, event))).collect()
    }
}

fn contribution(identity: &Identity<'_>, event: &ReviewEvent<'_>) -> Upsert {
    let (id, version) = (&identity.document, identity.version);
    match &event.review {
        None => Upsert::set(&CONTRIBUTIONS, id, version, true, Document::new()),
        Some(review) => {
            let fields = doc! {SUBJECT: &review.creator_id, STARS: i32::from(review.stars)};
            let upsert = Upsert::set(&CONTRIBUTIONS, id, version, false, fields);
            upsert.and_add(SUBJECTS, review.creator_id.as_str())
        }
    }
}

/// Makes review events, for any system of reviews.
pub(super) fn events(options: &synthetic::GeneratorOptions) -> Result<Messages, OptionsError> {
    Ok(Box::new(synthetic::reviews::events(options)?.map(Into::into)))
}

/// Reads a review event, for any system of reviews.
pub(super) fn decode(record: &Record) -> Decoded<'_, ReviewEvent<'_>> {
    let Some(payload) = record.payload.as_deref().filter(|payload| !payload.is_empty()) else {
        return Decoded::Ignore;
    };
    match review::decode(payload, record.time_ms()) {
        Ok(event) => {
            let (document, message, version) = (event.id.clone(), event.message_id, event.version());
            Decoded::Event(Identity { document, message: Some(message), version, kind: event.kind.name() }, event)
        }
        Err(reject) => Decoded::Reject(Reject::new(reject.class, reject.reason)),
    }
}

/// As [`System::is_about`], for any system of reviews.
pub(super) fn is_about(record: &Record, id: &str) -> bool {
    record.payload.as_deref().is_some_and(|payload| review::is_about(payload, id))
}
