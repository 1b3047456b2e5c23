//! One trial: a topic, a group, a store and an audit of its own, members that come and go, and links that can be disturbed.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Output};
use std::time::Duration;

use pipeline::mutants::Mutant;
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use testkit::database::Audited;
use testkit::program::Running;
use testkit::services::{eventually, refuse_strict, search_engine, services, variable};
use testkit::world::{World, block_on};

use crate::PROGRAM;
use crate::account::{Account, Message};
use crate::cluster;
use crate::crew::Crew;
use crate::filed::Filed;
use crate::liar::{Liars, Mode};
use crate::links::Links;

pub const PARTITIONS: i32 = 6;
/// Of the dead-letter topic, in milliseconds, as the program makes it.
const RETENTION: &str = "2592000000";
/// Of the group; a member that is silent for longer is thought dead.
pub const SESSION: Duration = Duration::from_secs(6);

pub struct Arena {
    pub audited: Audited,
    pub liar: Liars,
    pub links: Links,
    pub members: Crew,
    pub account: Account,
    pub filed: Filed,
    /// What was done, how often.
    pub done: BTreeMap<&'static str, u64>,
    mutant: Option<Mutant>,
    store: String,
    /// Records were taken out of the log on purpose: what came of them cannot be told any more.
    pub log_was_cut: bool,
    /// Whether every letter must be of a record that is dead now.
    pub expect_letters: bool,
    /// Properties of librdkafka for members to come, each with a `{place}` where its place in the crew is to stand.
    properties: Option<String>,
}

impl Arena {
    /// A trial whose members may have a bug switched on.
    pub fn new(name: &str, mutant: Option<Mutant>) -> Self {
        Self::before(name, mutant, &variable("ELASTICSEARCH_URL"))
    }

    /// A trial in front of another search engine.
    pub fn before(name: &str, mutant: Option<Mutant>, store: &str) -> Self {
        let (links, liar) = (Links::open(), Liars::start(store, 1));
        let mut audited = Audited::new(World::new(PROGRAM, name));
        let world = &mut audited.world;
        world.set("KAFKA_BOOTSTRAP_SERVERS", &links.kafka.servers());
        world.set("REDIS_URL", &links.redis.through(&variable("REDIS_URL")));
        world.set("ELASTICSEARCH_URL", &liar.urls());
        world.set("CONSUMER_BATCH_SIZE", "25");
        world.set("CONSUMER_MAX_IN_FLIGHT", "2");
        let database = links.postgres.through(&audited.url);
        audited.world.set("DATABASE_URL", &database);
        audited.world.create_topic(&[]);
        refuse_strict(store, &audited.world.name);
        let account = Account::default();
        Self {
            audited,
            liar,
            links,
            members: Crew::default(),
            account,
            filed: Filed::default(),
            done: BTreeMap::new(),
            mutant,
            store: store.to_owned(),
            log_was_cut: false,
            expect_letters: true,
            properties: None,
        }
    }

    /// The store has several addresses, each with a proxy of its own before it.
    pub fn before_nodes(&mut self, count: usize) {
        self.liar = Liars::start(&self.store, count);
        let urls = self.liar.urls();
        self.set("ELASTICSEARCH_URL", &urls);
    }

    pub fn world(&self) -> &World {
        &self.audited.world
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.audited.world.set(name, value);
    }

    /// The audit is left out of this trial.
    pub fn without_audit(&mut self) {
        self.set("CONSUMER_ENABLE_AUDIT_DB", "false");
    }

    fn audits(&self) -> bool {
        self.world().env.get("CONSUMER_ENABLE_AUDIT_DB").is_none_or(|set| set != "false")
    }

    /// The systems under trial, each with its group.
    pub fn systems(&self) -> Vec<(&'static str, String)> {
        let group = &self.world().name;
        let mut systems = vec![("transactions", group.clone())];
        if self.audits() {
            systems.push(("transactions-audit", format!("{group}.audit")));
        }
        systems
    }

    pub fn note(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    /// Sends messages past every link, and waits until the broker has them.
    pub fn send(&mut self, messages: &[Message]) {
        let records = messages.iter().map(|message| (message.key.as_str(), message.payload.as_deref()));
        deliver(self.world(), &self.world().name, records);
        messages.iter().for_each(|message| self.account.note(message));
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world().command(args);
        if let Some(mutant) = self.mutant {
            command.env("MILLRACE_MUTANT", mutant.name());
        }
        command
    }

    /// Starts a member; it may have to wait for services.
    pub fn join(&mut self) {
        let mut command = self.command(&["run", "transactions"]);
        if let Some(properties) = &self.properties {
            let place = self.members.free_place().to_string();
            let dir = self.world().dir.join(&place);
            std::fs::create_dir_all(&dir).unwrap();
            let text = format!("[kafka.properties]\n{}\n", properties.replace("{place}", &place));
            std::fs::write(dir.join("millrace.toml"), text).unwrap();
            command.current_dir(dir);
        }
        let member = Running::start(command);
        self.members.enter(member);
    }

    /// Starts a member and waits until it works.
    pub fn start(&mut self) {
        self.join();
        self.members.last().unwrap().await_events("Partitions assigned", 1);
    }

    /// Members that come from now on have these properties; `{place}` stands for a member's place in the crew.
    pub fn with_properties(&mut self, properties: &str) {
        self.properties = Some(properties.to_owned());
    }

    /// Begins to count anew.
    pub fn forget(&mut self) {
        self.account = Account::default();
        self.members.forget();
    }

    /// Runs a system to the end of its log, and says how that ended.
    pub fn once(&mut self, system: &str) {
        let member = Running::start(self.command(&["run", system, "--once"]));
        let status = self.members.retire(member, None);
        assert!(status.success(), "{system} --once: {status}");
    }

    /// What `verify` finds in the store of a system, by name.
    pub fn findings(&self, system: &str) -> Vec<String> {
        let output = self.command(&["verify", system, "--json"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["finding"].as_str().map(str::to_owned)).collect()
    }

    /// Waits until the members, gone and present, counted so many records of the primary.
    pub fn await_processed(&self, count: u64) {
        eventually(&format!("{count} records"), || {
            (self.members.sums().get("transactions").is_some_and(|sums| sums.records >= count)).then_some(())
        });
    }

    /// Everything is well again: links, the store, the dead-letter topic.
    pub fn heal(&self) {
        self.links.heal();
        self.liar.set(Mode::Honest);
        self.liar.delay(Duration::ZERO);
        for name in [cluster::brokers(), cluster::nodes(), &["redis", "postgres"]].concat() {
            services("start", name);
        }
        if cluster::is_on() {
            cluster::await_in_sync(self.world());
        }
    }

    /// The concrete index.
    pub fn index(&self) -> String {
        format!("/{}-000001", self.world().name)
    }

    /// Asks the store past the proxy.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        search_engine(&self.store, method, path, body)
    }

    /// Changes settings of the index.
    pub fn settings(&self, settings: &Value) {
        let (status, answer) = self.ask("PUT", &format!("{}/_settings", self.index()), Some(settings));
        assert_eq!(status, 200, "{answer}");
    }

    /// Deletes are forgotten at once, as they are after a minute by default.
    pub fn forget_deletes(&self) {
        self.settings(&json!({"index.gc_deletes": "0s"}));
    }

    /// Nobody can write letters, or everybody again.
    pub fn block_letters(&self, block: bool) {
        self.set_letters(block, "2097176", RETENTION);
    }

    /// Takes room from the dead-letter topic that the program has made or raised.
    pub fn squeeze_letters(&self, bytes: &str) {
        self.set_letters(false, bytes, RETENTION);
    }

    fn set_letters(&self, block: bool, bytes: &str, retention: &str) {
        // Of one copy all must agree, of three two; more than there are can never.
        let replicas = match (block, cluster::is_on()) {
            (true, _) => "4",
            (false, true) => "2",
            (false, false) => "1",
        };
        let topic = format!("{}.dlq", self.world().name);
        let change = AlterConfig::new(ResourceSpecifier::Topic(&topic))
            .set("min.insync.replicas", replicas)
            .set("max.message.bytes", bytes)
            .set("retention.ms", retention);
        self.configure(&change);
    }

    fn configure(&self, change: &AlterConfig<'_>) {
        let done = block_on(self.world().admin().alter_configs([change], &AdminOptions::new())).unwrap();
        assert!(done.iter().all(Result::is_ok), "{done:?}");
    }

    /// Both topics keep records for so many milliseconds.
    pub fn keep_for(&self, millis: &str) {
        let topic = AlterConfig::new(ResourceSpecifier::Topic(&self.world().name)).set("retention.ms", millis);
        self.configure(&topic);
        self.set_letters(false, "2097176", millis);
    }

    /// Runs a command, with the bug that the members have.
    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Empties the dead-letter topic.
    pub fn forget_letters(&self) {
        let mut all = rdkafka::TopicPartitionList::new();
        all.add_partition_offset(&format!("{}.dlq", self.world().name), 0, rdkafka::Offset::End).unwrap();
        block_on(self.world().admin().delete_records(&all, &AdminOptions::new())).unwrap();
    }

    /// Sets the group back to these offsets; nobody may be in it.
    pub fn reset_to(&self, group: &str, next: impl Fn(i32) -> i64) {
        eventually("offsets set back", || {
            let consumer = self.world().group(group);
            let mut list = rdkafka::TopicPartitionList::new();
            for partition in 0..PARTITIONS {
                list.add_partition_offset(&self.world().name, partition, rdkafka::Offset::Offset(next(partition)))
                    .unwrap();
            }
            rdkafka::consumer::Consumer::commit(&consumer, &list, rdkafka::consumer::CommitMode::Sync).ok()
        });
    }
}

/// Sends records past every link, each with a header, and waits until the broker has them.
pub fn deliver<'a>(world: &World, topic: &str, records: impl Iterator<Item = (&'a str, Option<&'a str>)>) {
    let mut client = world.client();
    let producer: BaseProducer =
        client.set("enable.idempotence", "true").set("queue.buffering.max.messages", "1000000").create().unwrap();
    for (key, payload) in records {
        let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some(b"\x00\xff".as_slice()) });
        let mut record = BaseRecord::to(topic).key(key).headers(headers);
        record.payload = payload;
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
}

/// Forgets whatever Redis holds.
pub fn flush_redis() {
    let url: url::Url = variable("REDIS_URL").parse().unwrap();
    if let Ok(mut redis) = std::net::TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())) {
        redis.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        // A server that is paused or gone has nothing to forget now.
        redis.write_all(b"FLUSHALL\r\n").ok();
        redis.read_exact(&mut [0; 5]).ok();
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // Whatever a scenario left broken must not meet the next one.
        self.heal();
        self.ask("DELETE", &self.index(), None);
        self.ask("DELETE", &format!("/_index_template/{}", self.world().name), None);
    }
}
