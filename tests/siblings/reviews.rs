//! Reviews in Algolia, and the ratings that follow from them there, in MongoDB and in Redis.

use std::collections::BTreeMap;

use millrace::synthetic::reviews;
use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value, json};
use testkit::model::{assert_rated, assert_shown, cached_rating, histogram, shown_histogram};
use testkit::services::eventually;
use testkit::siblings::Siblings;

use crate::PROGRAM;

/// Ratings of MongoDB without what counts how often they were counted.
fn ratings(siblings: &Siblings) -> BTreeMap<String, Bson> {
    let creators = siblings.collection("creators", "_id");
    creators.into_iter().map(|(id, creator)| (id, creator.get("rating").unwrap().clone())).collect()
}

#[test]
fn reviews_and_ratings_are_as_the_model_says_and_a_replay_changes_none() {
    let siblings = Siblings::new(PROGRAM, "reviews");
    let options = siblings.publish("reviews", 2_000);
    let expected = reviews::expect_reviews(&options).unwrap();
    let summaries = siblings.run_once(&["ratings", "reviews"]);
    assert_rated(&siblings, &expected, false);
    assert_shown(&siblings, &expected);
    let counts = options.counts().unwrap();
    for system in ["ratings", "reviews"] {
        assert_eq!(summaries[system]["records"], counts.records());
        assert_eq!(summaries[system]["dead_lettered"], siblings.letters(system));
        assert!(siblings.letters(system) as u64 >= counts.malformed);
        siblings.assert_verified(system);
    }
    let before = (ratings(&siblings), siblings.objects("reviews"), siblings.objects("creators"));
    for system in ["ratings", "reviews"] {
        siblings.reset(system);
    }
    siblings.run_once(&["ratings", "reviews"]);
    let after = (ratings(&siblings), siblings.objects("reviews"), siblings.objects("creators"));
    assert!(before == after, "a replay changes no rating and no object");
    assert_rated(&siblings, &expected, false);
    siblings.assert_verified("ratings");
    siblings.assert_verified("reviews");
}

/// A review's event, made by hand.
pub fn review(kind: &str, id: &'static str, creator: &str, stars: u8, minute: u8) -> (&'static str, Value) {
    let time = format!("2026-11-01T10:{minute:02}:00Z");
    let data = json!({"id": id, "creatorId": creator, "userId": "u", "stars": stars, "title": format!("{stars} stars"), "updatedAt": time});
    (
        id,
        json!({"id": format!("evt_{id}_{minute}_{kind}"), "type": format!("review.{kind}"), "timestamp": time, "data": data}),
    )
}

#[test]
fn an_older_version_that_comes_late_changes_neither_rating_nor_object() {
    let siblings = Siblings::new(PROGRAM, "late");
    siblings.create_topic("reviews");
    let creator = format!("cr_{}", siblings.world.name);
    siblings
        .send("reviews", &[review("created", "rev_1", &creator, 3, 0), review("updated", "rev_1", &creator, 5, 20)]);
    siblings.run_once(&["ratings", "reviews"]);
    siblings.send("reviews", &[review("updated", "rev_1", &creator, 1, 10)]);
    let summaries = siblings.run_once(&["ratings", "reviews"]);
    for system in ["ratings", "reviews"] {
        assert_eq!(summaries[system]["superseded"], 1, "{system}");
    }
    assert_eq!(histogram(&siblings.collection("creators", "_id")[&creator]), [0, 0, 0, 0, 1]);
    assert_eq!(siblings.objects("reviews")["rev_1"]["stars"], 5);
    assert_eq!(shown_histogram(&siblings.objects("creators")[&creator]), [0, 0, 0, 0, 1]);

    // A delete, and an update that is older than it.
    siblings
        .send("reviews", &[review("deleted", "rev_1", &creator, 5, 40), review("updated", "rev_1", &creator, 2, 30)]);
    siblings.run_once(&["ratings", "reviews"]);
    assert_eq!(histogram(&siblings.collection("creators", "_id")[&creator]), [0; 5]);
    assert!(siblings.objects("reviews").is_empty());
    assert_eq!(shown_histogram(&siblings.objects("creators")[&creator]), [0; 5]);
    siblings.assert_verified("ratings");
    siblings.assert_verified("reviews");
}

#[test]
fn a_review_that_moves_to_another_creator_counts_there_alone() {
    let siblings = Siblings::new(PROGRAM, "moves");
    siblings.create_topic("reviews");
    let [one, other] = ["a", "b"].map(|name| format!("cr_{name}_{}", siblings.world.name));
    siblings.send("reviews", &[review("created", "rev_1", &one, 3, 0), review("created", "rev_2", &one, 4, 0)]);
    siblings.run_once(&["ratings", "reviews"]);
    siblings.send("reviews", &[review("updated", "rev_1", &other, 3, 10)]);
    siblings.run_once(&["ratings", "reviews"]);
    let creators = siblings.collection("creators", "_id");
    assert_eq!((histogram(&creators[&one]), histogram(&creators[&other])), ([0, 0, 0, 1, 0], [0, 0, 1, 0, 0]));
    let creators = siblings.objects("creators");
    assert_eq!(
        (shown_histogram(&creators[&one]), shown_histogram(&creators[&other])),
        ([0, 0, 0, 1, 0], [0, 0, 1, 0, 0])
    );
}

#[test]
fn two_instances_that_write_reviews_of_one_creator_lose_none() {
    let mut siblings = Siblings::new(PROGRAM, "race");
    siblings.create_topic("reviews");
    siblings.world.set("CONSUMER_BATCH_SIZE", "10");
    let creator = format!("cr_{}", siblings.world.name);
    let instances = [siblings.start(&["ratings", "reviews"]), siblings.start(&["ratings", "reviews"])];
    eventually("both to be at work", || instances.iter().all(|instance| instance.ready().0 == 200).then_some(()));
    let ids: Vec<String> = (0..1_000).map(|n| format!("rev_{n}")).collect();
    let events: Vec<(&str, Value)> = ids
        .iter()
        .enumerate()
        .map(|(n, id)| {
            let (_, mut event) = review("created", "rev", &creator, (n % 5 + 1) as u8, 0);
            event["data"]["id"] = json!(id);
            (id.as_str(), event)
        })
        .collect();
    let (mut seq, mut count, mut looked) = (0, 0, 0);
    for events in events.chunks(50) {
        siblings.send("reviews", events);
        // Whatever is seen in between: a rating that was counted later never has fewer contributions.
        if let Some(now) =
            siblings.collection("creators", "_id").get(&creator).filter(|now| now.contains_key("rating_seq"))
        {
            let at = (now.get_i64("rating_seq").unwrap(), histogram(now).iter().sum::<u64>());
            assert!(at.0 >= seq && at.1 >= count, "{at:?} after {:?}", (seq, count));
            (seq, count, looked) = (at.0, at.1, looked + 1);
        }
    }
    eventually("lag 0", || (siblings.lag("ratings") + siblings.lag("reviews") == 0).then_some(()));
    assert!(looked > 0, "nobody looked while it was counted");
    assert_eq!(histogram(&siblings.collection("creators", "_id")[&creator]), [200; 5]);
    assert_eq!(shown_histogram(&siblings.objects("creators")[&creator]), [200; 5]);
    assert_eq!(cached_rating(&siblings, &creator).unwrap()["count"], 1_000);
    for instance in instances {
        assert!(instance.terminate().success());
    }
    siblings.assert_verified("ratings");
    siblings.assert_verified("reviews");
}

#[test]
fn verify_names_what_was_changed_by_hand_and_mends_it() {
    let siblings = Siblings::new(PROGRAM, "mended");
    let options = siblings.publish("reviews", 300);
    let expected = reviews::expect_reviews(&options).unwrap();
    siblings.run_once(&["ratings", "reviews"]);
    let living: Vec<&String> =
        expected.reviews.iter().filter(|(_, review)| !review.deleted).map(|(id, _)| id).collect();
    let (gone, changed) = (living[0].clone(), living[1].clone());
    let creator = expected.ratings.iter().find(|(_, rating)| rating.count > 0).unwrap().0.clone();
    siblings.algolia.change("reviews", |objects| {
        objects.remove(&gone);
        objects.get_mut(&changed).unwrap()["stars"] = json!(0);
        objects.insert("foreign".to_owned(), json!({"objectID": "foreign"}));
    });
    siblings.algolia.change("creators", |objects| objects.get_mut(&creator).unwrap()["rating"] = json!(null));
    let (found, code) = siblings.findings("reviews", &[]);
    let mut wanted: Vec<(String, String)> =
        [("missing", &gone), ("different", &changed), ("phantom", &"foreign".to_owned()), ("derived", &creator)]
            .map(|(name, id)| (name.to_owned(), id.clone()))
            .into();
    wanted.sort();
    assert_eq!((found, code), (wanted, Some(1)));
    siblings.ask(async |database| {
        let creators = database.collection::<Document>("creators");
        creators.update_one(doc! {"_id": &creator}, doc! {"$set": {"rating.histogram.5": 99_i64}}).await.unwrap();
    });
    assert_eq!(siblings.findings("ratings", &[]), (vec![("derived".to_owned(), creator.clone())], Some(1)));
    assert_eq!(siblings.findings("ratings", &["--repair"]).1, Some(0));
    siblings.assert_verified("ratings");
    // As if the database had been set back since: what is cached counts as later.
    let key = format!("{}{creator}:rating", siblings.world.env["RATINGS_CACHE_PREFIX"]);
    let later = json!({"seq": 999_999, "histogram": {}}).to_string();
    let mut connection =
        redis::Client::open(testkit::services::variable("REDIS_URL")).unwrap().get_connection().unwrap();
    let _: String = redis::cmd("SET").arg(key).arg(later).query(&mut connection).unwrap();
    assert_eq!(siblings.findings("ratings", &["--repair"]), (vec![("derived".to_owned(), creator.clone())], Some(0)));
    assert_eq!(cached_rating(&siblings, &creator).unwrap()["count"], expected.ratings[&creator].count);
    siblings.assert_verified("ratings");
    assert_eq!(siblings.findings("reviews", &["--repair", "--delete-phantoms"]).1, Some(0));
    siblings.assert_verified("reviews");
    assert_shown(&siblings, &expected);
}

#[test]
fn an_object_that_is_too_large_is_a_letter_alone_and_the_one_before_it_stays() {
    let siblings = Siblings::new(PROGRAM, "large");
    siblings.create_topic("reviews");
    let creator = format!("cr_{}", siblings.world.name);
    let large = |id: &'static str, minute: u8| {
        let (key, mut event) = review("updated", id, &creator, 1, minute);
        event["data"]["content"] = json!("x".repeat(200_000));
        (key, event)
    };
    siblings.send("reviews", &[review("created", "rev_1", &creator, 4, 0), review("created", "rev_2", &creator, 4, 0)]);
    siblings.run_once(&["reviews"]);
    siblings.send("reviews", &[large("rev_1", 10), review("updated", "rev_2", &creator, 5, 10), large("rev_3", 10)]);
    let summary = &siblings.run_once(&["reviews"])["reviews"];
    assert_eq!((&summary["applied"], &summary["dead_lettered"]), (&json!(1), &json!(2)));
    let objects = siblings.objects("reviews");
    assert_eq!((&objects["rev_1"]["stars"], &objects["rev_2"]["stars"], objects.len()), (&json!(4), &json!(5), 2));
    assert_eq!(shown_histogram(&siblings.objects("creators")[&creator]), [0, 0, 0, 1, 1]);
    siblings.assert_verified("reviews");
    // Between the two: newer than what is shown, older than what was refused.
    siblings.send("reviews", &[review("updated", "rev_1", &creator, 2, 5)]);
    assert_eq!(siblings.run_once(&["reviews"])["reviews"]["applied"], 1);
    assert_eq!(siblings.objects("reviews")["rev_1"]["stars"], 2);
    siblings.assert_verified("reviews");
}
