//! The program beside its topics and its schema, for events that go all the way.

use std::collections::{BTreeSet, HashMap};

use events::Event;
use millrace::config::Config;
use millrace::systems::find;
use pipeline::kafka::read_topic;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use testkit::made_topics::make_topics;
use testkit::program::Running;
use testkit::services::variable;
use testkit::world::{World, block_on};

use super::model::Model;
use super::{compare, drop_schema};
use crate::PROGRAM;

/// A transaction that has said something, and is not committed.
pub struct HeldTransaction {
    runtime: tokio::runtime::Runtime,
    connection: sqlx::PgConnection,
}

impl HeldTransaction {
    pub fn commit(self) {
        self.end("COMMIT");
    }

    pub fn roll_back(self) {
        self.end("ROLLBACK");
    }

    fn end(mut self, how: &'static str) {
        self.runtime.block_on(sqlx::raw_sql(how).execute(&mut self.connection)).unwrap();
    }
}

/// Partitions of each topic.
pub const PARTITIONS: i32 = 3;
const WAIT: std::time::Duration = std::time::Duration::from_secs(60);

pub struct Stage {
    pub world: World,
    pub schema: String,
    /// Of each partition.
    copies: i32,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        block_on(drop_schema(&self.schema));
        // So many partitions are a burden to a broker that other tests use.
        let mut topics = self.topics();
        topics.extend(self.topics().iter().map(|topic| format!("{topic}.dlq")));
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        block_on(self.world.admin().delete_topics(&names, &AdminOptions::new())).ok();
    }
}

impl Stage {
    /// With all topics.
    pub fn new(name: &str) -> Self {
        Self::bare(name).with_topics()
    }

    /// On three brokers, with a copy on each.
    pub fn on_brokers(name: &str) -> Self {
        let mut world = World::alone(PROGRAM, name);
        world.set("TOPIC_REPLICATION", "3");
        let mut stage = Self::of(world, name);
        stage.copies = 3;
        stage.with_topics()
    }

    /// Of another build of the program.
    pub fn of_program(program: &'static str, name: &str) -> Self {
        Self::of(World::new(program, name), name).with_topics()
    }

    /// Nobody else uses the services meanwhile.
    pub fn alone(name: &str) -> Self {
        Self::of(World::alone(PROGRAM, name), name).with_topics()
    }

    /// Without a topic.
    pub fn bare(name: &str) -> Self {
        Self::of(World::new(PROGRAM, name), name)
    }

    fn with_topics(self) -> Self {
        let topics = self.topics();
        self.create(&topics.iter().map(String::as_str).collect::<Vec<_>>());
        self
    }

    fn of(mut world: World, name: &str) -> Self {
        let schema = format!("rx_{name}_{}", std::process::id()).replace('-', "_");
        let (prefix, group) = (format!("{}.", world.name), world.name.clone());
        world.set("EVENTS_TOPIC_PREFIX", &prefix);
        world.set("KAFKA_REACTIONS_GROUP", &group);
        world.set("REACTIONS_SCHEMA", &schema);
        // `REACTIONS_THROUGH=PGBOUNCER_URL` runs everything behind the pool; the tests' own look goes past it.
        let through = std::env::var("REACTIONS_THROUGH").unwrap_or_else(|_| "DATABASE_URL".to_owned());
        world.set("REACTIONS_DATABASE_URL", &variable(&through));
        Self { world, schema, copies: 1 }
    }

    /// All topics, with their prefix.
    pub fn topics(&self) -> Vec<String> {
        let variables = self.world.env.iter().map(|(name, value)| (name.clone(), value.clone()));
        find("reactions").unwrap().topics(&Config::from_variables(variables).unwrap())
    }

    pub fn topic(&self, event: &str) -> String {
        format!("{}.{event}", self.world.name)
    }

    pub fn create(&self, topics: &[&str]) {
        let new: Vec<_> = topics
            .iter()
            .map(|topic| {
                NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(self.copies))
                    .set("max.message.bytes", "10000000")
                    .set("min.insync.replicas", if self.copies > 1 { "2" } else { "1" })
            })
            .collect();
        make_topics(&self.world.client(), &new);
    }

    /// Sends events to their topics; those with an odd place without a key, so that they lie on any partition.
    pub fn send(&self, events: &[Event]) {
        self.send_by(events, None);
    }

    /// In transactions, whose markers stand in the logs behind the records.
    pub fn send_in_transactions(&self, events: &[Event]) {
        self.send_by(events, Some(&format!("{}.producer", self.world.name)));
    }

    fn send_by(&self, events: &[Event], transactional: Option<&str>) {
        let mut client = self.world.client();
        client.set("enable.idempotence", "true").set("message.timeout.ms", "60000");
        if let Some(id) = transactional {
            client.set("transactional.id", id);
        }
        let producer: BaseProducer = client.create().unwrap();
        if transactional.is_some() {
            producer.init_transactions(WAIT).unwrap();
        }
        for part in events.chunks(100) {
            if transactional.is_some() {
                producer.begin_transaction().unwrap();
            }
            for (place, event) in part.iter().enumerate() {
                let payload = events::write(event).unwrap();
                let topic = self.topic(event.name().as_str());
                let record = BaseRecord::<str, [u8]>::to(&topic).payload(&payload);
                let record = if place % 2 == 0 { record.key(event.data.key()) } else { record };
                producer.send(record).map_err(|(error, _)| error).unwrap();
            }
            match transactional {
                Some(_) => producer.commit_transaction(WAIT).unwrap(),
                None => producer.flush(WAIT).unwrap(),
            }
        }
    }

    /// Runs to the end of the logs, and gives the counts of each consumer.
    pub fn run_once(&self) -> HashMap<String, Value> {
        let output = self.world.output(&["run", "reactions", "--once"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let summaries = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        summaries.map(|summary| (summary["system"].as_str().unwrap().to_owned(), summary)).collect()
    }

    pub fn start(&self) -> Running {
        Running::start(self.world.command(&["run", "reactions"]))
    }

    /// What `verify` finds, and its exit code.
    pub fn verify(&self, args: &[&str]) -> (Vec<Value>, i32) {
        let output = self.world.output(&[&["verify", "reactions", "--json"], args].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let found = found.filter(|line| line.get("finding").is_some()).collect();
        (found, output.status.code().unwrap())
    }

    /// Nothing of the log is missing. What waits, such as files where no media store is named, is another matter.
    pub fn assert_verified(&self) {
        let (mut found, code) = self.verify(&[]);
        found.retain(|one| one["finding"] != "derived");
        assert!(found.is_empty() && code <= 1, "{code}: {found:?}");
    }

    pub fn compare(&self, model: &Model, at: &str) {
        block_on(compare(&self.schema, model, at));
    }

    /// The first column of a statement's rows.
    pub fn ask(&self, statement: &str) -> Vec<String> {
        let statement = statement.replace("SCHEMA", &self.schema);
        block_on(async {
            sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_all(&mut super::connect().await).await.unwrap()
        })
    }

    pub fn tell(&self, statement: &str) {
        let statement = statement.replace("SCHEMA", &self.schema);
        block_on(async {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut super::connect().await).await.unwrap();
        });
    }

    /// Says it in a transaction that stays open.
    pub fn hold(&self, statement: &str) -> HeldTransaction {
        let statement = format!("BEGIN; {}", statement.replace("SCHEMA", &self.schema));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(async {
            let mut connection = super::connect().await;
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
            connection
        });
        HeldTransaction { runtime, connection }
    }

    /// The ids of a topic's events, in their order.
    pub fn ids(&self, event: &str) -> Vec<String> {
        let mut ids = Vec::new();
        read_topic(&self.world.client(), &self.topic(event), |record| {
            let payload: Value = serde_json::from_slice(record.payload.as_deref().unwrap()).unwrap();
            ids.push(payload["id"].as_str().unwrap().to_owned());
        })
        .unwrap();
        ids
    }

    /// Of those, what the outbox said.
    pub fn emitted(&self, event: &str, sent: &[Event]) -> Vec<String> {
        let sent: BTreeSet<&str> = sent.iter().map(|event| event.id.as_str()).collect();
        self.ids(event).into_iter().filter(|id| !sent.contains(id.as_str())).collect()
    }
}
