//! What the stores must hold, by the models of the generators.

use std::collections::{BTreeMap, HashMap};

use millrace::synthetic::{ExpectedDocument, reviews, users};
use mongodb::bson::{Bson, Document};
use serde_json::{Value, json};

use crate::contents::{self, alike, find_alteration, json_of, payloads, sent_transaction};
use crate::services::variable;
use crate::siblings::Siblings;

const COLLECTIONS: [(&str, &str); 3] =
    [("users", "clerkId"), ("organizationMemberships", "membershipId"), ("userSessions", "sessionId")];

/// Documents by collection and key.
pub type ModelDocuments = HashMap<&'static str, BTreeMap<String, Document>>;

/// All documents of users.
pub fn people(siblings: &Siblings) -> ModelDocuments {
    COLLECTIONS.iter().map(|(name, key)| (*name, siblings.collection(name, key))).collect()
}

/// Holds the collections against what the publisher's events come to.
pub fn assert_people(siblings: &Siblings, held: &ModelDocuments, expected: &HashMap<String, users::ExpectedPerson>) {
    let events = contents::users(&siblings.world.client(), &siblings.topic("users"));
    assert_eq!(held.values().map(BTreeMap::len).sum::<usize>(), expected.len());
    for (id, expected) in expected {
        let document = held[expected.collection].get(id).unwrap_or_else(|| panic!("{id} is missing"));
        let text = |field: &str| document.get_str(field).ok().map(str::to_owned);
        assert_eq!(document.get_i64("_version").unwrap(), expected.version, "{id}");
        assert_eq!(document.get_bool("isDeleted").unwrap(), expected.deleted, "{id}");
        if expected.deleted {
            assert!(document.get_datetime("deletedAt").is_ok(), "{id}");
            continue;
        }
        match expected.collection {
            "users" => {
                assert_eq!(text("email"), expected.email, "{id}");
                assert_eq!(document.get_bool("emailVerified").unwrap(), expected.email_verified, "{id}");
                assert_eq!(text("firstName"), expected.first_name, "{id}");
                assert_eq!(text("lastName"), expected.last_name, "{id}");
                assert_eq!(text("username"), expected.username, "{id}");
                assert_eq!(text("imageUrl"), expected.image_url, "{id}");
                let payload = document.get_document("webhookPayload").unwrap();
                assert!(alike(&events[id], &json_of(payload)), "{id} as a whole: {payload}");
            }
            "organizationMemberships" => {
                assert_eq!(text("clerkId"), expected.user_id, "{id}");
                assert_eq!(text("organizationId"), expected.organization_id, "{id}");
                assert_eq!(text("organizationName"), expected.organization_name, "{id}");
                assert_eq!(text("role"), expected.role, "{id}");
            }
            _ => {
                assert_eq!(text("clerkId"), expected.user_id, "{id}");
                assert_eq!(text("status"), expected.status, "{id}");
            }
        }
    }
}

/// Holds the projections of transactions in MongoDB and in Algolia against the model.
pub fn assert_projected(siblings: &Siblings, expected: &HashMap<String, ExpectedDocument>) {
    let documents = siblings.collection("transactions", "_id");
    let objects = siblings.objects("transactions");
    let payloads = payloads(&siblings.world.client(), &siblings.topic("transactions"));
    assert_eq!(documents.len(), expected.len(), "documents");
    assert_eq!(objects.len(), expected.values().filter(|expected| !expected.deleted).count(), "objects");
    for (id, expected) in expected {
        let document = &documents[id];
        assert_eq!(document.get_i64("_version").unwrap(), expected.version, "{id}");
        assert_eq!(document.get_bool("_deleted").unwrap_or(false), expected.deleted, "{id}");
        if expected.deleted {
            assert_eq!(document.len(), 3, "nothing is left of {id}: {document}");
            assert!(!objects.contains_key(id), "{id} was deleted and is back");
            continue;
        }
        assert_eq!(document.get_str("status").unwrap(), expected.status, "{id}");
        let digits = match document.get("amount").unwrap() {
            Bson::Int64(number) => number.to_string(),
            Bson::Decimal128(number) => number.to_string(),
            other => other.as_str().unwrap().to_owned(),
        };
        assert_eq!(digits, expected.amount, "{id}");
        let object = &objects[id];
        let event = sent_transaction(Some(&payloads[&expected.payload_digest]));
        assert_eq!(find_alteration(&event, &json_of(document)), None, "{id} in MongoDB");
        assert_eq!(find_alteration(&event, object), None, "{id} in Algolia");
        assert_eq!((&object["objectID"], &object["status"]), (&json!(id), &json!(expected.status)));
        assert_eq!(object["search_content"].as_str(), document.get_str("search_content").ok(), "{id}");
    }
}

/// Counts as they stand in MongoDB.
pub fn histogram(creator: &Document) -> [u64; 5] {
    let histogram = creator.get_document("rating").unwrap().get_document("histogram").unwrap();
    [1, 2, 3, 4, 5].map(|stars| histogram.get_i64(stars.to_string()).unwrap() as u64)
}

pub fn shown_histogram(object: &Value) -> [u64; 5] {
    [1, 2, 3, 4, 5].map(|stars| object["rating"]["histogram"][stars.to_string()].as_u64().unwrap())
}

/// The rating that Redis holds.
pub fn cached_rating(siblings: &Siblings, creator: &str) -> Option<Value> {
    let mut connection = redis::Client::open(variable("REDIS_URL")).unwrap().get_connection().unwrap();
    let key = format!("{}{creator}:rating", siblings.world.env["RATINGS_CACHE_PREFIX"]);
    let text: Option<String> = redis::cmd("GET").arg(key).query(&mut connection).unwrap();
    text.map(|text| serde_json::from_str(&text).unwrap())
}

/// Holds contributions, ratings and their cache against the model; what Redis was made to forget need not be cached.
pub fn assert_rated(siblings: &Siblings, expected: &reviews::ExpectedReviews, forgotten: bool) {
    let creators = siblings.collection("creators", "_id");
    let contributions = siblings.collection("reviewContributions", "_id");
    assert_eq!(contributions.len(), expected.reviews.len());
    for (id, review) in &expected.reviews {
        let held = &contributions[id];
        assert_eq!(held.get_i64("_version").unwrap(), review.version, "{id}");
        assert_eq!(held.get_bool("_deleted").unwrap(), review.deleted, "{id}");
        if !review.deleted {
            assert_eq!(held.get_str("creatorId").unwrap(), review.creator_id, "{id}");
            assert_eq!(held.get_i32("stars").unwrap(), i32::from(review.stars), "{id}");
        }
    }
    for (id, rating) in expected.ratings.iter().filter(|(_, rating)| rating.count > 0) {
        let creator = &creators[id];
        assert_eq!(histogram(creator), rating.histogram, "{id}");
        let average = rating.sum as f64 / rating.count as f64;
        assert_eq!(creator.get_document("rating").unwrap().get_f64("average").unwrap(), average, "{id}");
        let Some(cached) = cached_rating(siblings, id) else {
            assert!(forgotten, "the rating of {id} is not cached");
            continue;
        };
        assert_eq!(cached["count"], rating.count, "{id}");
        assert!((cached["average"].as_f64().unwrap() - average).abs() < 1e-9, "{id}");
    }
}

/// Holds both indexes of reviews against the model.
pub fn assert_shown(siblings: &Siblings, expected: &reviews::ExpectedReviews) {
    let objects = siblings.objects("reviews");
    let living = expected.reviews.iter().filter(|(_, review)| !review.deleted);
    assert_eq!(objects.len(), living.clone().count());
    for (id, review) in living {
        let object = objects.get(id).unwrap_or_else(|| panic!("{id} is missing"));
        assert_eq!((&object["stars"], &object["title"]), (&json!(review.stars), &json!(review.title)), "{id}");
        assert_eq!(object["creatorId"], *review.creator_id, "{id}");
    }
    let creators = siblings.objects("creators");
    for (id, rating) in expected.ratings.iter().filter(|(_, rating)| rating.count > 0) {
        assert_eq!(shown_histogram(&creators[id]), rating.histogram, "{id}");
    }
}
