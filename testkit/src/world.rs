//! A world of its own for each test: topic, group, alias, working directory.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use millrace::synthetic::{ExpectedDocument, GeneratorOptions};
use pipeline::Record;
use pipeline::kafka::read_topic;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::contents::{find_alteration, payloads, sent_transaction};
use crate::hold::Hold;
use crate::made_topics::make_topics;
use crate::program::{Running, printed};
pub use crate::services::block_on;
use crate::services::{elasticsearch, eventually, variable};

const PARTITIONS: i32 = 6;
const WAIT: Duration = Duration::from_secs(60);

pub struct World {
    /// The path of the program under test.
    program: &'static str,
    /// Names the topic, the group and the alias.
    pub name: String,
    pub dir: PathBuf,
    pub env: HashMap<String, String>,
    _hold: Hold,
}

/// A number of messages, scaled.
pub fn scaled(count: u64) -> u64 {
    count * std::env::var("E2E_SCALE").map_or(1, |scale| scale.parse().unwrap())
}

impl World {
    pub fn new(program: &'static str, name: &str) -> Self {
        Self::with(program, name, Hold::shared())
    }

    /// Nobody else uses the services meanwhile.
    pub fn alone(program: &'static str, name: &str) -> Self {
        Self::with(program, name, Hold::alone())
    }

    /// The program has the broker that demands SASL over TLS, and of it only what a managed Kafka hands out.
    pub fn secured(program: &'static str, name: &str) -> Self {
        let mut world = Self::new(program, name);
        world.env.remove("KAFKA_BOOTSTRAP_SERVERS");
        for name in ["KAFKA_SERVICE_URI", "KAFKA_USERNAME", "KAFKA_PASSWORD", "KAFKA_CA_CERT"] {
            world.set(name, &variable(&format!("SECURED_{name}")));
        }
        world
    }

    fn with(program: &'static str, name: &str, hold: Hold) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("e2e-{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&dir).unwrap();
        let services = ["KAFKA_BOOTSTRAP_SERVERS", "ELASTICSEARCH_URL", "REDIS_URL"];
        let mut env: HashMap<String, String> = services.map(|name| (name.to_owned(), variable(name))).into();
        for variable in ["KAFKA_TRANSACTIONS_TOPIC", "KAFKA_CONSUMER_GROUP", "ELASTICSEARCH_INDEX"] {
            env.insert(variable.to_owned(), name.clone());
        }
        let settings = [
            ("CONSUMER_BATCH_SIZE", "500"),
            ("CONSUMER_BATCH_TIMEOUT", "0.2"),
            ("CONSUMER_SESSION_TIMEOUT", "6000"),
            ("CONSUMER_HEARTBEAT_INTERVAL", "500"),
            ("RETRY_DELAY_MS", "100"),
            ("HTTP_PORT", "0"),
            ("LOG_FORMAT", "json"),
        ];
        env.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Self { program, name, dir, env, _hold: hold }
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.env_clear().envs(&self.env).current_dir(&self.dir).args(args);
        command
    }

    /// Runs a command that ends by itself, within five minutes.
    pub fn output(&self, args: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.env_clear().envs(&self.env).current_dir(&self.dir);
        command.arg("300").arg(self.program).args(args).output().unwrap()
    }

    /// Publishes, and gives the report.
    pub fn publish(&self, args: &[&str]) -> Value {
        let output = self.output(&[&["publish"], args].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        printed(&output)
    }

    /// Runs to the end of the log, and gives the counts.
    pub fn run_once(&self) -> Value {
        self.run_all_once().remove("transactions").unwrap()
    }

    /// Runs to the end of the log, and gives the counts of each system.
    pub fn run_all_once(&self) -> HashMap<String, Value> {
        let output = self.output(&["run", "transactions", "--once"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let summaries = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let by_system: HashMap<_, _> =
            summaries.map(|summary| (summary["system"].as_str().unwrap().to_owned(), summary)).collect();
        for system in by_system.keys() {
            let group = system.strip_prefix("transactions").unwrap().replace('-', ".");
            let group = format!("{}{group}", self.name);
            assert_eq!(self.lag_of(&group), 0, "the commits of {group} cover the log");
        }
        by_system
    }

    pub fn start(&self) -> Running {
        Running::start(self.command(&["run", "transactions"]))
    }

    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        if !self.env.contains_key("KAFKA_SERVICE_URI") {
            return client.set("bootstrap.servers", variable("KAFKA_BOOTSTRAP_SERVERS")).clone();
        }
        // Not as the test has changed them: a wrong password, or who wants something else, is the program's trouble.
        client.set("security.protocol", "SASL_SSL").set("sasl.mechanism", "PLAIN");
        let names = ["bootstrap.servers", "sasl.username", "sasl.password", "ssl.ca.location"];
        for (name, part) in names.into_iter().zip(["SERVICE_URI", "USERNAME", "PASSWORD", "CA_CERT"]) {
            client.set(name, variable(&format!("SECURED_KAFKA_{part}")));
        }
        client
    }

    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    pub fn create_topic(&self, config: &[(&str, &str)]) {
        self.make_topic(&self.name, PARTITIONS, config);
    }

    /// The same, with so many partitions.
    pub fn create_topic_with(&self, partitions: i32, config: &[(&str, &str)]) {
        self.make_topic(&self.name, partitions, config);
    }

    /// Creates another topic.
    pub fn create_topic_named(&self, name: &str) {
        self.make_topic(name, PARTITIONS, &[]);
    }

    /// Sends records to a topic, each once whatever the broker does, and waits until it has them.
    pub fn send(&self, topic: &str, records: &[(&str, &str)]) {
        let producer: BaseProducer = self.client().set("enable.idempotence", "true").create().unwrap();
        for (key, payload) in records {
            producer.send(BaseRecord::to(topic).key(*key).payload(*payload)).unwrap();
        }
        producer.flush(WAIT).unwrap();
    }

    /// Creates the dead-letter topic, where it is not to be as the program makes it.
    pub fn create_letters(&self, config: &[(&str, &str)]) {
        self.make_topic(&format!("{}.dlq", self.name), 1, config);
    }

    fn make_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        // As many copies as the cluster makes by default: one of a single broker.
        let new = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
        let new = config.iter().fold(new, |new, (name, value)| new.set(name, value));
        make_topics(&self.client(), &[new]);
    }

    /// Deletes what the first partition holds below this offset.
    pub fn delete_records_before(&self, offset: i64) {
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(&self.name, 0, Offset::Offset(offset)).unwrap();
        block_on(self.admin().delete_records(&before, &AdminOptions::new())).unwrap();
    }

    /// Deletes the topic and waits until it is gone.
    pub fn delete_topic(&self) {
        block_on(self.admin().delete_topics(&[&self.name], &AdminOptions::new())).unwrap();
        eventually("the topic to be gone", || {
            let metadata = self.group(&self.name).fetch_metadata(None, WAIT).unwrap();
            (!metadata.topics().iter().any(|found| found.name() == self.name)).then_some(())
        });
    }

    /// Deletes the records of a partition before an offset, as retention does.
    pub fn delete_records(&self, partition: i32, before: i64) {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&self.name, partition, Offset::Offset(before)).unwrap();
        block_on(self.admin().delete_records(&offsets, &AdminOptions::new())).unwrap();
    }

    /// Forgets the group's offsets, so that it begins at the start of the log; waits until nobody is in it.
    pub fn reset(&self) {
        self.reset_group(&self.name);
    }

    pub fn reset_group(&self, group: &str) {
        eventually("an empty group", || {
            let gone = block_on(self.admin().delete_groups(&[group], &AdminOptions::new())).unwrap();
            gone.into_iter().all(|gone| gone.is_ok()).then_some(())
        });
    }

    pub fn group(&self, name: &str) -> BaseConsumer {
        self.client().set("group.id", name).create().unwrap()
    }

    /// Records of the log that the group has not committed.
    pub fn lag(&self) -> i64 {
        self.lag_of(&self.name)
    }

    pub fn lag_of(&self, group: &str) -> i64 {
        self.lag_on(&self.name, group)
    }

    /// Records of a topic that a group has not committed.
    pub fn lag_on(&self, topic: &str, group: &str) -> i64 {
        let consumer = self.group(group);
        let behind = self.committed_on(topic, &consumer).into_iter().map(|(partition, next)| {
            // A broker that has just come back may lead nothing yet.
            let (low, high) = eventually("its ends", || consumer.fetch_watermarks(topic, partition, WAIT).ok());
            high - next.unwrap_or(low).max(low)
        });
        behind.sum()
    }

    /// The next offset of each partition, as a group's member sees it committed.
    pub fn committed(&self, group: &BaseConsumer) -> BTreeMap<i32, Option<i64>> {
        self.committed_on(&self.name, group)
    }

    fn committed_on(&self, topic: &str, group: &BaseConsumer) -> BTreeMap<i32, Option<i64>> {
        let metadata = eventually("the partitions", || group.fetch_metadata(Some(topic), WAIT).ok());
        let partitions = metadata.topics()[0].partitions().len() as i32;
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(topic, 0, partitions - 1);
        let committed = eventually("what is committed", || group.committed_offsets(asked.clone(), WAIT).ok());
        let next = |offset| if let Offset::Offset(next) = offset { Some(next) } else { None };
        committed.elements().iter().map(|element| (element.partition(), next(element.offset()))).collect()
    }

    /// Waits until the group has committed the whole log.
    pub fn await_drained(&self) {
        self.await_drained_by(&self.name);
    }

    pub fn await_drained_by(&self, group: &str) {
        eventually("lag 0", || (self.lag_of(group) == 0).then_some(()));
    }

    /// The letters, as they lie in the dead-letter topic.
    pub fn letters(&self) -> Vec<Record> {
        self.letters_of(&self.name)
    }

    /// The same for another topic.
    pub fn letters_of(&self, topic: &str) -> Vec<Record> {
        let mut letters = Vec::new();
        read_topic(&self.client(), &format!("{topic}.dlq"), |record| letters.push(record)).unwrap();
        letters
    }

    /// The living documents with their versions, without the time of enrichment.
    pub fn documents(&self) -> BTreeMap<String, (i64, Value)> {
        elasticsearch("POST", &format!("/{}/_refresh", self.name), None);
        let first = json!({"size": 5000, "sort": ["_doc"], "version": true});
        let (status, mut page) = elasticsearch("POST", &format!("/{}/_search?scroll=1m", self.name), Some(&first));
        assert_eq!(status, 200, "{page}");
        let mut documents = BTreeMap::new();
        while let Some(hits) = page["hits"]["hits"].as_array().filter(|hits| !hits.is_empty()) {
            for hit in hits {
                let mut source = hit["_source"].clone();
                source.as_object_mut().unwrap().remove("_enriched_at").expect("every document has _enriched_at");
                documents.insert(hit["_id"].as_str().unwrap().to_owned(), (hit["_version"].as_i64().unwrap(), source));
            }
            let next = json!({"scroll": "1m", "scroll_id": page["_scroll_id"]});
            page = elasticsearch("POST", "/_search/scroll", Some(&next)).1;
        }
        documents
    }

    /// Holds the documents against what the publisher's events come to, and against what of these the log still has.
    pub fn assert_complete(&self, expected: &HashMap<String, ExpectedDocument>) {
        let documents = self.documents();
        let payloads = payloads(&self.client(), &self.name);
        let living = expected.values().filter(|expected| !expected.deleted).count();
        for (id, expected) in expected {
            match documents.get(id) {
                None => assert!(expected.deleted, "{id} is missing"),
                Some(_) if expected.deleted => panic!("{id} was deleted and is back"),
                Some((version, source)) => {
                    assert_eq!(*version, expected.version, "{id} is stale or ahead: {source}");
                    assert_eq!(source["status"], *expected.status, "{id}");
                    if let Some(payload) = payloads.get(&expected.payload_digest) {
                        assert_eq!(find_alteration(&sent_transaction(Some(payload)), source), None, "{id}: {source}");
                    }
                }
            }
        }
        assert_eq!(documents.len(), living);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What a failed test leaves is worth looking at.
        if std::thread::panicking() {
            return;
        }
        elasticsearch("DELETE", &format!("/{}-000001", self.name), None);
        elasticsearch("DELETE", &format!("/_index_template/{}", self.name), None);
        let letters = format!("{}.dlq", self.name);
        block_on(self.admin().delete_topics(&[&self.name, &letters], &AdminOptions::new())).ok();
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

/// The publisher's options for a report of it.
pub fn options_of(report: &Value, change: impl FnOnce(&mut GeneratorOptions)) -> GeneratorOptions {
    let until: DateTime<Utc> = report["until"].as_str().unwrap().parse().unwrap();
    let mut options = GeneratorOptions::new(report["seed"].as_u64().unwrap(), until);
    options.count = report["creates"].as_u64().unwrap();
    change(&mut options);
    options
}
