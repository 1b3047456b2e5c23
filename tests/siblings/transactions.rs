//! The projections of transactions in MongoDB and in Algolia.

use std::collections::HashMap;

use millrace::synthetic::Expected;
use mongodb::bson::Bson;
use serde_json::json;

use crate::siblings::Siblings;

const BOTH: [&str; 2] = ["transactions-mongo", "transactions-algolia"];

fn assert_complete(siblings: &Siblings, expected: &HashMap<String, Expected>) {
    let documents = siblings.collection("transactions", "_id");
    let objects = siblings.objects("transactions");
    assert_eq!(documents.len(), expected.len());
    assert_eq!(objects.len(), expected.values().filter(|expected| !expected.deleted).count());
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
        assert_eq!((&object["objectID"], &object["status"]), (&json!(id), &json!(expected.status)));
        assert_eq!(object["search_content"].as_str(), document.get_str("search_content").ok(), "{id}");
    }
}

#[test]
fn the_projections_are_as_the_model_says_and_a_replay_changes_no_object() {
    let siblings = Siblings::new("projected");
    let options = siblings.publish("transactions", 2_000);
    let summaries = siblings.run_once(&BOTH);
    let expected = options.expected().unwrap();
    assert_complete(&siblings, &expected);
    for system in BOTH {
        assert_eq!(summaries[system]["records"], options.counts().unwrap().records());
        assert_eq!(summaries[system]["dead_lettered"], 0, "the primary buries what is no event");
        siblings.verified(system);
    }
    let before = siblings.objects("transactions");
    for system in BOTH {
        siblings.reset(system);
    }
    siblings.run_once(&BOTH);
    assert!(siblings.objects("transactions") == before, "a replay changes no object");
    assert_complete(&siblings, &expected);
    BOTH.iter().for_each(|system| siblings.verified(system));
}

#[test]
fn explain_shows_what_the_projections_hold() {
    let mut siblings = Siblings::new("beside");
    siblings.world.set("CONSUMER_ENABLE_MONGO", "true");
    siblings.world.set("CONSUMER_ENABLE_ALGOLIA", "true");
    let options = siblings.publish("transactions", 20);
    let summaries = siblings.run_once(&["transactions"]);
    assert_eq!(summaries.len(), 3, "{summaries:?}");
    let expected = options.expected().unwrap();
    let (id, _) = expected.iter().find(|(_, expected)| !expected.deleted).unwrap();
    let story = siblings.explained("transactions", id).to_string();
    for system in ["transactions-mongo", "transactions-algolia"] {
        assert!(story.contains(system), "{story}");
    }
}
