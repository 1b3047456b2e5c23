//! Follow-ups that another's document refuses: no record is to blame, the subject is listed, and done when the document is mended.

use std::sync::Arc;

use async_trait::async_trait;
use millrace::stores::follow_up::{FollowUp, FollowUps, Refusal};
use millrace::stores::ratings::recompute::{Ratings, rate};
use mongodb::bson::{Document, doc};
use pipeline::sink::{Failure, Order};
use testkit::model::{cached_rating, histogram};
use testkit::services::{eventually, variable};
use testkit::siblings::Siblings;

use crate::PROGRAM;
use crate::reviews::review;
use crate::version_store::{Place, in_each, review as contribution, take, texts};

in_each! {
    a_subject_that_refuses_is_listed_until_it_is_mended
}

struct Rates(Arc<dyn Ratings>);

#[async_trait]
impl FollowUp for Rates {
    async fn attempt(&self, subjects: &[String]) -> Result<Vec<Refusal>, Failure> {
        rate(&*self.0, subjects).await
    }
}

async fn a_subject_that_refuses_is_listed_until_it_is_mended(place: Arc<Place>) {
    let (versions, ratings) = (place.versions(Order::Log), place.ratings());
    let subjects = texts(&["a", "b", "c", "d", "e"]);
    let contributions = ["a", "b", "c", "d", "e"].map(|subject| contribution(subject, 1, subject, 5));
    take(&*versions, &contributions).await;
    place.spoil("c").await;
    let work = Arc::new(Rates(ratings.clone()));
    let here = FollowUps::new("here", work.clone(), place.refusals());
    here.run(&subjects).await.unwrap();
    let rated = ratings.load(&subjects).await.unwrap();
    assert_eq!(rated.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false, true, true]);
    // Another instance knows it from the store alone, and finds it refused still.
    let there = FollowUps::new("there", work, place.refusals());
    let listed = there.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].refusal.document.contains("c"), "{:?}", listed[0]);
    assert_eq!(there.retry().await.unwrap(), 1);
    // An entry that is newer than what was seen stays.
    place.refusals().remove(&listed).await.unwrap();
    assert_eq!(there.list().await.unwrap().len(), 1);
    place.mend("c").await;
    assert_eq!(there.retry().await.unwrap(), 0);
    assert_eq!(here.list().await.unwrap(), []);
    assert_eq!(ratings.load(&texts(&["c"])).await.unwrap()[0].as_ref().unwrap().rating.histogram, [0, 0, 0, 0, 1]);
}

/// A world whose refused follow-ups are tried again each second.
fn world(name: &str) -> (Siblings, String) {
    let mut siblings = Siblings::new(PROGRAM, name);
    siblings.world.set("RATINGS_RETRY_SECONDS", "1");
    siblings.create_topic("reviews");
    let creator = format!("cr_{}", siblings.world.name);
    (siblings, creator)
}

fn set_seq(siblings: &Siblings, creator: &str, update: Document) {
    siblings.ask(async |database| {
        let creators = database.collection::<Document>("creators");
        creators.update_one(doc! {"_id": creator}, update).upsert(true).await.unwrap();
    });
}

#[test]
fn a_creator_with_a_text_for_a_number_buries_no_review_and_is_rated_once_it_is_mended() {
    let (siblings, creator) = world("blame");
    let other = format!("{creator}_other");
    set_seq(&siblings, &creator, doc! {"$set": {"seq": "many", "name": "Ann"}});
    let running = siblings.start(&["ratings"]);
    running.await_ready();
    let ids = ["rev_1", "rev_2", "rev_3", "rev_4", "rev_5", "rev_6"];
    let events: Vec<_> =
        (0..6).map(|n| review("created", ids[n], if n % 2 == 0 { &creator } else { &other }, 4, 0)).collect();
    siblings.send("reviews", &events);
    eventually("lag 0", || (siblings.lag("ratings") == 0).then_some(()));
    assert_eq!(siblings.letters("ratings"), 0);
    assert_eq!(siblings.collection("reviewContributions", "_id").len(), 6);
    assert_eq!(histogram(&siblings.collection("creators", "_id")[&other]), [0, 0, 0, 3, 0]);
    assert_eq!(running.ready().0, 200);
    let named = format!("creators/{creator} in MongoDB");
    let said = &running.await_events("Follow-up refused; the records are stored, and it is tried again", 1)[0];
    assert!(said["documents"].as_str().unwrap().contains(&named) && said["why"].to_string().contains("seq"), "{said}");
    running.await_events("Follow-ups are refused still", 2);
    eventually("the metric", || {
        running.metric("millrace_follow_ups_refused{system=\"ratings\"}").filter(|n| *n == 1.0)
    });
    let (found, code) = siblings.findings("ratings", &[]);
    let wrong = |name: &str| (name.to_owned(), creator.clone());
    assert_eq!((found, code), (vec![wrong("derived"), wrong("refused")], Some(1)));
    // It dies; the list stays.
    running.kill();
    set_seq(&siblings, &creator, doc! {"$unset": {"seq": ""}});
    let running = siblings.start(&["ratings"]);
    eventually("the rating without a further record", || {
        let creators = siblings.collection("creators", "_id");
        (creators[&creator].contains_key("rating") && cached_rating(&siblings, &creator).is_some()).then_some(())
    });
    assert_eq!(histogram(&siblings.collection("creators", "_id")[&creator]), [0, 0, 0, 3, 0]);
    running.await_events("Refused follow-ups are done", 1);
    assert_eq!(siblings.collection("creators", "_id")[&creator].get_str("name").unwrap(), "Ann");
    assert!(running.terminate().success());
    siblings.assert_verified("ratings");
}

#[test]
fn a_key_of_another_type_in_the_cache_is_listed_and_holds_nothing_up() {
    let (siblings, creator) = world("refuses");
    let key = format!("{}{creator}:rating", siblings.world.env["RATINGS_CACHE_PREFIX"]);
    let mut redis = redis::Client::open(variable("REDIS_URL")).unwrap().get_connection().unwrap();
    let _: i64 = redis::cmd("HSET").arg(&key).arg("theirs").arg(1).query(&mut redis).unwrap();
    let running = siblings.start(&["ratings"]);
    running.await_ready();
    siblings.send("reviews", &[review("created", "rev_1", &creator, 4, 0)]);
    eventually("lag 0", || (siblings.lag("ratings") == 0).then_some(()));
    assert_eq!(siblings.letters("ratings"), 0);
    assert_eq!(histogram(&siblings.collection("creators", "_id")[&creator]), [0, 0, 0, 1, 0]);
    let said = &running.await_events("Follow-up refused; the records are stored, and it is tried again", 1)[0];
    assert!(
        said["documents"].as_str().unwrap().contains(&key) && said["why"].to_string().contains("WRONGTYPE"),
        "{said}"
    );
    let found = siblings.findings("ratings", &[]);
    assert_eq!(found, (vec![("derived".into(), creator.clone()), ("refused".into(), creator.clone())], Some(1)));
    let _: i64 = redis::cmd("DEL").arg(&key).query(&mut redis).unwrap();
    running.await_events("Refused follow-ups are done", 1);
    assert_eq!(cached_rating(&siblings, &creator).unwrap()["count"], 1);
    assert!(running.terminate().success());
    siblings.assert_verified("ratings");
}
