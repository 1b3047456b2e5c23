//! The projections of transactions in MongoDB and in Algolia.

use testkit::choices::{IN_MONGODB, OF_TRANSACTIONS, without};
use testkit::model::assert_projected;
use testkit::siblings::Siblings;

use crate::PROGRAM;

/// The projections of transactions that are in the stores of a sibling.
fn in_siblings() -> Vec<&'static str> {
    let elsewhere = without(&OF_TRANSACTIONS, &IN_MONGODB);
    without(&OF_TRANSACTIONS, &elsewhere)
}

#[test]
fn the_projections_are_as_the_model_says_and_a_replay_changes_no_object() {
    let siblings = Siblings::new(PROGRAM, "projected");
    let both = in_siblings();
    let options = siblings.publish("transactions", 2_000);
    let summaries = siblings.run_once(&both);
    let expected = options.expect_documents().unwrap();
    assert_projected(&siblings, &expected);
    for system in both.iter().copied() {
        assert_eq!(summaries[system]["records"], options.counts().unwrap().records());
        assert_eq!(summaries[system]["dead_lettered"], 0, "the primary buries what is no event");
        siblings.assert_verified(system);
    }
    let before = siblings.objects("transactions");
    for system in both.iter().copied() {
        siblings.reset(system);
    }
    siblings.run_once(&both);
    assert!(siblings.objects("transactions") == before, "a replay changes no object");
    assert_projected(&siblings, &expected);
    both.iter().for_each(|system| siblings.assert_verified(system));
}

#[test]
fn explain_shows_what_the_projections_hold() {
    let mut siblings = Siblings::new(PROGRAM, "beside");
    siblings.world.set("CONSUMER_ENABLE_MONGO", "true");
    siblings.world.set("CONSUMER_ENABLE_ALGOLIA", "true");
    let options = siblings.publish("transactions", 20);
    let summaries = siblings.run_once(&["transactions"]);
    assert_eq!(summaries.len(), 3, "{summaries:?}");
    let expected = options.expect_documents().unwrap();
    let (id, _) = expected.iter().find(|(_, expected)| !expected.deleted).unwrap();
    let story = siblings.explain("transactions", id).to_string();
    for system in in_siblings() {
        assert!(story.contains(system), "{story}");
    }
}
