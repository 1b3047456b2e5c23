//! A world with topics, groups, a database and an application of its own for the sibling systems.

use std::collections::{BTreeMap, HashMap};

use futures_util::TryStreamExt;
use millrace::config::Config;
use millrace::config::table::VARIABLES;
use millrace::synthetic::GeneratorOptions;
use millrace::systems::ConsumerGroup;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::{Client, Database};
use rdkafka::admin::AdminOptions;
use serde_json::Value;

use crate::choices::{WITH_DOCUMENTS, definition, one_a_topic};
use crate::double::FakeAlgolia;
use crate::program::{Running, printed};
use crate::services::variable;
use crate::world::{World, block_on, options_of, scaled};

pub struct Siblings {
    pub world: World,
    pub algolia: FakeAlgolia,
}

/// What a stream has, beside creates.
const UPDATES: f64 = 0.3;
const DELETES: f64 = 0.1;
const LATE: f64 = 0.1;
const TWICE: f64 = 0.03;
const POISON: f64 = 0.01;
const EMPTY: f64 = 0.005;

impl Siblings {
    pub fn new(program: &'static str, name: &str) -> Self {
        Self::in_world(World::new(program, name))
    }

    pub fn in_world(mut world: World) -> Self {
        let algolia = FakeAlgolia::start();
        let server = variable("MONGODB_URL");
        let (server, _) = server.rsplit_once('/').unwrap();
        world.set("MONGODB_URL", &format!("{server}/{}", world.name));
        for (name, value) in algolia.variables() {
            world.set(name, &value);
        }
        // Creators have the same names in every test.
        let prefix = format!("{}:", world.name);
        world.set("RATINGS_CACHE_PREFIX", &prefix);
        let mut siblings = Self { world, algolia };
        for variable in VARIABLES {
            let Some((system, "topic" | "group")) = variable.key.split_once('.') else { continue };
            // What the world has set is the world's.
            if WITH_DOCUMENTS.contains(&system) && !siblings.world.env.contains_key(variable.name()) {
                let value = format!("{}.{system}", siblings.world.name);
                siblings.world.set(variable.name(), &value);
            }
        }
        siblings
    }

    /// The topic that a system reads.
    pub fn topic(&self, system: &str) -> String {
        self.reads(system).topics.remove(0)
    }

    pub fn group(&self, system: &str) -> String {
        self.reads(system).id
    }

    /// The group of a system, with its topic.
    fn reads(&self, system: &str) -> ConsumerGroup {
        let variables =
            VARIABLES.iter().filter(|variable| variable.key.ends_with(".topic") || variable.key.ends_with(".group"));
        let set = variables
            .filter_map(|variable| Some((variable.name().to_owned(), self.world.env.get(variable.name())?.clone())));
        let config = Config::from_variables(set).unwrap();
        (definition(system).groups)(&config).remove(0)
    }

    /// Publishes a stream with everything in it, of so many creates.
    pub fn publish(&self, system: &str, count: u64) -> GeneratorOptions {
        let count = scaled(count).to_string();
        let shares = [UPDATES, DELETES, LATE, TWICE, POISON, EMPTY].map(|share| share.to_string());
        let [updates, deletes, late, twice, poison, empty] = shares.each_ref().map(String::as_str);
        let args = [
            ["--system", system, "--count", &count, "--users", "40"].as_slice(),
            &["--update-ratio", updates, "--delete-ratio", deletes, "--late-ratio", late],
            &["--duplicate-ratio", twice, "--malformed-ratio", poison, "--null-ratio", empty],
        ]
        .concat();
        options_of(&self.world.publish(&args), |options| {
            (options.update_ratio, options.delete_ratio, options.late_ratio) = (UPDATES, DELETES, LATE);
            (options.duplicate_ratio, options.malformed_ratio, options.null_ratio) = (TWICE, POISON, EMPTY);
            options.users = Some(40);
        })
    }

    /// Sends events that were made by hand; the key is the first part.
    pub fn send(&self, system: &str, events: &[(&str, Value)]) {
        let payloads: Vec<(&str, String)> = events.iter().map(|(key, event)| (*key, event.to_string())).collect();
        let records: Vec<(&str, &str)> = payloads.iter().map(|(key, payload)| (*key, payload.as_str())).collect();
        self.world.send(&self.topic(system), &records);
    }

    pub fn create_topic(&self, system: &str) {
        self.world.create_topic_named(&self.topic(system));
    }

    /// Runs systems to the end of their logs, and gives the counts of each.
    pub fn run_once(&self, systems: &[&str]) -> HashMap<String, Value> {
        let output = self.world.output(&[&["run", "--once"], systems].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let summaries = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let all: HashMap<_, _> = summaries.map(|one| (one["system"].as_str().unwrap().to_owned(), one)).collect();
        for (system, summary) in &all {
            println!("{summary}");
            assert_eq!(self.lag(system), 0, "the commits of {system} cover the log");
        }
        all
    }

    pub fn start(&self, systems: &[&str]) -> Running {
        Running::start(self.world.command(&[&["run"], systems].concat()))
    }

    pub fn lag(&self, system: &str) -> i64 {
        self.world.lag_on(&self.topic(system), &self.group(system))
    }

    /// Makes a system read its topic from the start.
    pub fn reset(&self, system: &str) {
        self.world.reset_group(&self.group(system));
    }

    /// The letters of a system.
    pub fn letters(&self, system: &str) -> usize {
        let group = self.group(system);
        let ours = |record: &pipeline::Record| {
            record.headers.iter().any(|header| {
                header.name == "millrace.error.group" && header.value.as_deref() == Some(group.as_bytes())
            })
        };
        self.world.letters_of(&self.topic(system)).iter().filter(|record| ours(record)).count()
    }

    /// `verify` finds nothing.
    pub fn assert_verified(&self, system: &str) {
        let output = self.world.output(&["verify", system, "--json"]);
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What `verify` finds: names and ids; its exit code.
    pub fn findings(&self, system: &str, args: &[&str]) -> (Vec<(String, String)>, Option<i32>) {
        let output = self.world.output(&[&["verify", system, "--json"], args].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let finding = |line: Value| Some((line["finding"].as_str()?.to_owned(), line["id"].as_str()?.to_owned()));
        let mut found: Vec<_> = lines.filter_map(finding).collect();
        found.sort();
        (found, output.status.code())
    }

    pub fn explain(&self, system: &str, id: &str) -> Value {
        printed(&self.world.output(&["explain", id, "--system", system, "--json"]))
    }

    /// Asks the database.
    pub fn ask<T>(&self, ask: impl AsyncFnOnce(Database) -> T) -> T {
        block_on(async {
            let client = Client::with_uri_str(&self.world.env["MONGODB_URL"]).await.unwrap();
            ask(client.database(&self.world.name)).await
        })
    }

    /// The documents of a collection, by their key.
    pub fn collection(&self, name: &str, key: &str) -> BTreeMap<String, Document> {
        let documents: Vec<Document> = self.ask(async |database| {
            let cursor = database.collection::<RawDocumentBuf>(name).find(doc! {}).await.unwrap();
            // As the bytes say: the driver's own reading makes other types of objects with names such as `$oid`.
            let raw: Vec<RawDocumentBuf> = cursor.try_collect().await.unwrap();
            raw.iter().map(|raw| Document::try_from(raw).unwrap()).collect()
        });
        documents.into_iter().map(|document| (document.get_str(key).unwrap().to_owned(), document)).collect()
    }

    pub fn objects(&self, index: &str) -> BTreeMap<String, Value> {
        self.algolia.await_settled();
        self.algolia.objects(index)
    }
}

impl Drop for Siblings {
    fn drop(&mut self) {
        // What a failed test leaves is worth looking at.
        if std::thread::panicking() {
            return;
        }
        self.ask(async |database| database.drop().await.ok());
        let topics = one_a_topic(&WITH_DOCUMENTS).into_iter().map(|system| self.topic(system));
        let others = topics.filter(|topic| *topic != self.world.name);
        let all: Vec<String> = others.flat_map(|topic| [format!("{topic}.dlq"), topic]).collect();
        let names: Vec<&str> = all.iter().map(String::as_str).collect();
        block_on(self.world.admin().delete_topics(&names, &AdminOptions::new())).ok();
    }
}
