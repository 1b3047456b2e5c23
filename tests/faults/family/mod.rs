//! A trial of the sibling systems: their world, members that run all of them in one process, and links that can be disturbed.

mod judge;
pub mod nemesis;

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use millrace::synthetic::reviews::{self, ExpectedRating};
use millrace::synthetic::{self, GeneratorOptions, SyntheticKind, users};
use pipeline::mutants::Mutant;
use serde_json::json;
use testkit::choices::one_a_topic;
use testkit::model::histogram;
use testkit::services::{eventually, services};
use testkit::siblings::Siblings;
use testkit::world::World;

use crate::PROGRAM;
use crate::arena::deliver;
use crate::crew::Crew;
use crate::links::Links;
pub use judge::{INVARIANTS, OBJECTS, RATINGS, TRANSACTIONS, drained, judge};

/// The systems on trial.
pub use testkit::choices::IN_MONGODB as SYSTEMS;

pub struct Family {
    // First, and so the first to go: the others are what it stands on.
    pub members: Crew,
    pub siblings: Siblings,
    pub links: Links,
    /// What was done, how often.
    pub done: BTreeMap<&'static str, u64>,
    /// What was sent to all topics.
    streams: Vec<GeneratorOptions>,
    /// Payloads that have to be dead-lettered.
    poison: HashSet<Vec<u8>>,
    /// Redis was made to forget.
    pub forgotten: bool,
}

/// What the stores must hold in the end.
pub struct Expected {
    pub transactions: HashMap<String, synthetic::ExpectedDocument>,
    pub people: HashMap<String, users::ExpectedPerson>,
    pub reviews: reviews::ExpectedReviews,
}

/// A stream with everything in it.
fn options(seed: u64, count: u64) -> GeneratorOptions {
    // Fixed, so that a seed gives the same records every day.
    let until: DateTime<Utc> = "2026-06-01T00:00:00Z".parse().unwrap();
    let mut options = GeneratorOptions::new(seed, until);
    options.count = count;
    options.users = Some(40);
    (options.update_ratio, options.delete_ratio, options.late_ratio) = (0.4, 0.15, 0.1);
    (options.malformed_ratio, options.null_ratio, options.duplicate_ratio) = (0.02, 0.01, 0.03);
    options
}

impl Family {
    /// A trial whose members may have a bug switched on.
    pub fn new(name: &str, mutant: Option<Mutant>) -> Self {
        let links = Links::open();
        let mut siblings = Siblings::in_world(World::new(PROGRAM, name));
        let world = &mut siblings.world;
        world.set("KAFKA_BOOTSTRAP_SERVERS", &links.kafka.servers());
        for (link, url) in [(&links.redis, "REDIS_URL"), (&links.mongodb, "MONGODB_URL")] {
            let through = link.through(&world.env[url]);
            world.set(url, &through);
        }
        world.set("CONSUMER_BATCH_SIZE", "25");
        world.set("CONSUMER_MAX_IN_FLIGHT", "2");
        if let Some(mutant) = mutant {
            world.set("MILLRACE_MUTANT", mutant.name());
        }
        one_a_topic(&SYSTEMS).iter().for_each(|system| siblings.create_topic(system));
        Self {
            members: Crew::default(),
            siblings,
            links,
            done: BTreeMap::new(),
            streams: Vec::new(),
            poison: HashSet::new(),
            forgotten: false,
        }
    }

    /// Members at work on a stream.
    pub fn at_work(name: &str, mutant: Option<Mutant>, count: u64) -> Self {
        let mut family = Self::new(name, mutant);
        family.start();
        family.members[0].await_ready();
        family.send(1, count);
        family
    }

    pub fn note(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    /// Sends a stream of so many creates to each topic, past every link.
    pub fn send(&mut self, seed: u64, count: u64) {
        let options = options(seed, count);
        let of = |event: synthetic::SyntheticEvent| (event.kind, event.key, event.payload);
        self.deliver("transactions-mongo", options.events().unwrap().map(of));
        let of = |event: users::UserMessage| (event.kind, event.key, event.payload);
        self.deliver("users", users::events(&options).unwrap().map(of));
        let of = |event: reviews::ReviewMessage| (event.kind, event.key, event.payload);
        self.deliver("reviews", reviews::events(&options).unwrap().map(of));
        self.streams.push(options);
    }

    /// Sends a version of one review, made by hand: its stars, its minute, and so many bytes of text.
    pub fn send_review(&mut self, kind: &str, stars: u8, minute: u8, bytes: usize) {
        let time = format!("2026-05-01T10:{minute:02}:00Z");
        let data = json!({"id": "by-hand", "creatorId": "by-hand", "userId": "u", "stars": stars, "title": "t",
            "content": "x".repeat(bytes), "updatedAt": time});
        let event = json!({"id": format!("by-hand-{minute}"), "type": format!("review.{kind}"), "timestamp": time, "data": data});
        self.deliver(
            "reviews",
            std::iter::once((SyntheticKind::Created, "by-hand".to_owned(), Some(event.to_string()))),
        );
    }

    fn deliver(&mut self, system: &str, events: impl Iterator<Item = (SyntheticKind, String, Option<String>)>) {
        let events: Vec<_> = events.collect();
        let records = events.iter().map(|(_, key, payload)| (key.as_str(), payload.as_deref()));
        deliver(&self.siblings.world, &self.siblings.topic(system), records);
        let poison = events.into_iter().filter(|(kind, ..)| *kind == SyntheticKind::Malformed);
        self.poison.extend(poison.filter_map(|(.., payload)| payload.map(String::into_bytes)));
    }

    /// Whether a record has to be dead-lettered by this system; the projections leave that to the primary.
    pub fn is_due(&self, system: &str, payload: Option<&[u8]>) -> bool {
        !system.starts_with("transactions") && payload.is_some_and(|payload| self.poison.contains(payload))
    }

    /// By the models of the generators, not by the program's own reckoning. Streams share creators and nothing else.
    pub fn expected(&self) -> Expected {
        let mut all = reviews::ExpectedReviews::default();
        for one in self.streams.iter().map(|options| reviews::expect_reviews(options).unwrap()) {
            all.reviews.extend(one.reviews);
            for (creator, rating) in one.ratings {
                add(all.ratings.entry(creator).or_default(), rating);
            }
        }
        Expected {
            transactions: self.streams.iter().flat_map(|options| options.expect_documents().unwrap()).collect(),
            people: self.streams.iter().flat_map(|options| users::expect_people(options).unwrap()).collect(),
            reviews: all,
        }
    }

    /// Starts a member; it may have to wait for services.
    pub fn join(&mut self) {
        let member = self.siblings.start(&SYSTEMS);
        self.members.enter(member);
    }

    /// Starts a member and waits until all its systems work.
    pub fn start(&mut self) {
        self.join();
        self.members.last().unwrap().await_events("Partitions assigned", SYSTEMS.len());
    }

    pub fn lag(&self, system: &str) -> i64 {
        self.siblings.lag(system)
    }

    /// Everybody leaves, and the group of a system begins at the start of its log.
    pub fn reset(&mut self, system: &str) {
        self.members.stop_all();
        self.siblings.reset(system);
    }

    /// Rows of the version store of reviews that the index does not show as they are.
    pub fn not_pushed(&self) -> usize {
        let rows = self.siblings.collection("algoliaReviews", "_id");
        let shown = self.siblings.objects("reviews");
        let object = |row: &mongodb::bson::Document| row.get_str("object").ok().map(str::to_owned);
        let held = |id: &String| shown.get(id).cloned();
        rows.iter().filter(|(id, row)| object(row).map(|text| serde_json::from_str(&text).unwrap()) != held(id)).count()
    }

    /// Creators whose rating is not what the contributions come to.
    pub fn not_rated(&self) -> usize {
        let creators = self.siblings.collection("creators", "_id");
        let rated = |creator: &String| {
            let creator = creators.get(creator).filter(|creator| creator.contains_key("rating"));
            creator.map_or([0; 5], histogram)
        };
        let mut counted: HashMap<String, [u64; 5]> = HashMap::new();
        for contribution in self.siblings.collection("reviewContributions", "_id").into_values() {
            let stars =
                contribution.get_i32("stars").ok().filter(|_| matches!(contribution.get_bool("_deleted"), Ok(false)));
            if let (Some(stars), Ok(creator)) = (stars, contribution.get_str("creatorId")) {
                counted.entry(creator.to_owned()).or_default()[stars as usize - 1] += 1;
            }
        }
        counted.iter().filter(|(creator, counted)| rated(creator) != **counted).count()
    }

    /// Waits until more batches than these have come to Algolia.
    pub fn await_pushes(&self, before: usize) {
        eventually("pushes", || (self.siblings.algolia.requests("batch") > before).then_some(()));
    }

    /// Everything is well again: links, stores, Algolia.
    pub fn heal(&self) {
        self.links.heal();
        self.siblings.algolia.heal();
        ["kafka", "redis", "mongodb"].iter().for_each(|name| services("start", name));
    }
}

fn add(all: &mut ExpectedRating, one: ExpectedRating) {
    all.count += one.count;
    all.sum += one.sum;
    all.histogram.iter_mut().zip(one.histogram).for_each(|(all, one)| *all += one);
}

impl Drop for Family {
    fn drop(&mut self) {
        // Whatever a scenario left broken must not meet the next one.
        self.heal();
    }
}
