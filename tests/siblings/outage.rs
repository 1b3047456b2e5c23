//! A store that is away is lag on the systems that need it, and nothing else.

use std::time::{Duration, Instant};

use millrace::synthetic::{reviews, users};
use mongodb::bson::Document;
use testkit::choices::{IN_ALGOLIA, IN_MONGODB, WITHOUT_AUDIT, one_a_topic, without};
use testkit::double::Fault;
use testkit::services::{eventually, services};
use testkit::siblings::Siblings;
use testkit::world::{World, scaled};

use crate::PROGRAM;

/// How long a store stays away: the longer the more there is to send.
fn outage() -> Duration {
    Duration::from_secs(if scaled(1) > 1 { 20 } else { 5 })
}

/// Sends a stream to everybody while something is away; says how far `well` got meanwhile, and gives the lags that were left.
fn through(siblings: &Siblings, well: &[&str], away: &[&str], leave: impl FnOnce(), back: impl FnOnce()) {
    leave();
    let begun = Instant::now();
    let transactions = siblings.publish("transactions", 1_000);
    let (people, opinions) = (siblings.publish("users", 500), siblings.publish("reviews", 500));
    eventually("those that need nothing of it", || well.iter().all(|system| siblings.lag(system) == 0).then_some(()));
    println!("{well:?} are through after {:?}, with {away:?} away", begun.elapsed());
    while begun.elapsed() < outage() {
        std::thread::sleep(Duration::from_millis(100));
    }
    for system in away {
        println!("{system}: lag {} after {:?}", siblings.lag(system), begun.elapsed());
        assert!(siblings.lag(system) > 0, "{system} needs what is away");
    }
    back();
    let healed = Instant::now();
    eventually("lag 0", || WITHOUT_AUDIT.iter().all(|system| siblings.lag(system) == 0).then_some(()));
    println!("worked off {:?} after it was back", healed.elapsed());
    siblings.world.assert_complete(&transactions.expect_documents().unwrap());
    let expected = users::expect_people(&people).unwrap();
    let held = siblings.collection("users", "clerkId");
    for (id, expected) in expected.iter().filter(|(_, expected)| expected.collection == "users") {
        assert_eq!(held[id].get_i64("_version").unwrap(), expected.version, "{id}");
    }
    let expected = reviews::expect_reviews(&opinions).unwrap();
    let objects = siblings.objects("reviews");
    assert_eq!(objects.len(), expected.reviews.values().filter(|review| !review.deleted).count());
    for system in WITHOUT_AUDIT.iter() {
        siblings.assert_verified(system);
    }
    let letters = |system: &str, poison: u64| {
        let letters = siblings.letters(system) as u64;
        assert!(letters >= poison && letters <= poison * 2, "{system}: {letters} letters, {poison} poisoned");
    };
    letters("users", people.counts().unwrap().malformed);
    letters("ratings", opinions.counts().unwrap().malformed);
    letters("reviews", opinions.counts().unwrap().malformed);
    letters("transactions-mongo", 0);
    letters("transactions-algolia", 0);
}

/// Everything in one process, at work.
fn all_at_work(siblings: &Siblings) -> testkit::program::Running {
    one_a_topic(&WITHOUT_AUDIT).iter().for_each(|system| siblings.create_topic(system));
    let running = siblings.start(&WITHOUT_AUDIT);
    running.await_ready();
    running
}

#[test]
fn mongodb_away_is_lag_on_what_needs_it() {
    let siblings = Siblings::in_world(World::alone(PROGRAM, "nomongo"));
    let running = all_at_work(&siblings);
    let leave = || services("down", "mongodb");
    let back = || services("up", "mongodb");
    through(&siblings, &without(&WITHOUT_AUDIT, &IN_MONGODB), &IN_MONGODB, leave, back);
    running.await_ready();
    assert!(running.terminate().success());
}

#[test]
fn algolia_away_or_asking_to_wait_is_lag_on_what_needs_it() {
    let siblings = Siblings::in_world(World::new(PROGRAM, "noalgolia"));
    let running = all_at_work(&siblings);
    let well = without(&WITHOUT_AUDIT, &IN_ALGOLIA);
    let leave = || siblings.algolia.fail(Fault::Status(429));
    let back = || siblings.algolia.heal();
    let changing = || {
        siblings.algolia.fail(Fault::Status(503));
        std::thread::sleep(Duration::from_secs(2));
        siblings.algolia.fail(Fault::Status(500));
        std::thread::sleep(Duration::from_secs(2));
        back();
    };
    through(&siblings, &well, &IN_ALGOLIA, leave, changing);
    running.await_ready();
    assert!(running.terminate().success());
}

#[test]
fn answers_that_are_lost_lose_nothing() {
    let siblings = Siblings::in_world(World::new(PROGRAM, "lost"));
    let options = siblings.publish("reviews", 200);
    let running = siblings.start(&["reviews"]);
    siblings.algolia.fail(Fault::Lost);
    eventually("some requests", || (siblings.algolia.requests("batch") > 3).then_some(()));
    siblings.algolia.heal();
    eventually("lag 0", || (siblings.lag("reviews") == 0).then_some(()));
    assert!(running.terminate().success());
    let expected = reviews::expect_reviews(&options).unwrap();
    assert_eq!(siblings.objects("reviews").len(), expected.reviews.values().filter(|one| !one.deleted).count());
    let versions: std::collections::BTreeMap<String, Document> = siblings.collection("algoliaReviews", "_id");
    assert_eq!(versions.len(), expected.reviews.len());
    siblings.assert_verified("reviews");
}
