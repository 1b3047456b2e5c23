//! The events between services on a real broker: sent, followed, and held against the topics.

use std::process::{Output, Stdio};

use pipeline::kafka::read_topic;
use rdkafka::admin::AdminOptions;
use serde_json::Value;
use testkit::program::{Running, printed};
use testkit::services::eventually;
use testkit::world::{World, block_on};

use crate::PROGRAM;

/// A world whose events have topics of their own, which are deleted in the end.
struct Topics(World);

impl Topics {
    fn new(name: &str) -> Self {
        let mut world = World::new(PROGRAM, name);
        let prefix = format!("{}.", world.name);
        world.set("EVENTS_TOPIC_PREFIX", &prefix);
        Self(world)
    }

    fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.0.name)
    }

    fn events(&self, args: &[&str]) -> Output {
        self.0.output(&[&["events"], args].concat())
    }

    fn emit(&self, args: &[&str]) -> Value {
        let output = self.events(&[&["emit"], args].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        printed(&output)
    }

    /// What `events tail --json` prints of so many records, from the beginning.
    fn tail(&self, count: usize, names: &[&str]) -> Vec<Value> {
        let limit = count.to_string();
        lines(&self.events(&[&["tail", "--from-beginning", "--json", "--limit", &limit], names].concat()))
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let metadata = {
            use rdkafka::consumer::Consumer;
            self.0.group("nobody").fetch_metadata(None, std::time::Duration::from_secs(20)).unwrap()
        };
        let ours = metadata.topics().iter().map(|topic| topic.name()).filter(|name| name.starts_with(&self.topic("")));
        let ours: Vec<&str> = ours.collect();
        block_on(self.0.admin().delete_topics(&ours, &AdminOptions::new())).ok();
    }
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

fn last_error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()
}

#[test]
fn what_is_emitted_is_followed_in_either_version() {
    let topics = Topics::new("emit");
    let liked = topics.emit(&["content.post.liked", "--field", "postId=p", "--field", "userId=u", "--id", "first"]);
    assert_eq!((liked["id"].as_str(), liked["key"].as_str()), (Some("first"), Some("p")));
    let tier =
        ["subscription.tier.created", "--field", "tierId=t", "--field", "creatorId=c", "--field", "currency=EUR"];
    let price = ["--field", "price=12345678901234567890.123456789012345678", "--version", "1.0", "--cloudevents"];
    topics.emit(&[&tier[..], &price].concat());
    // What others send is no event, and is shown as such.
    topics.0.send(&topics.topic("content.post.liked"), &[("p", r#"{"postId":"p"}"#)]);
    let mut seen = topics.tail(3, &[]);
    seen.sort_by_key(|line| (line["topic"].to_string(), line["unreadable"].to_string()));
    let [unreadable, first, second] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(unreadable["unreadable"], "missing_field: `userId` is missing");
    assert_eq!((&first["id"], &first["key"], &first["version"]), (&"first".into(), &"p".into(), &"2.0".into()));
    assert_eq!(first["data"], serde_json::json!({"postId": "p", "userId": "u"}));
    assert_eq!(second["version"], "1.0");

    let mut records = Vec::new();
    read_topic(&topics.0.client(), &topics.topic("subscription.tier.created"), |record| records.push(record)).unwrap();
    let payload = std::str::from_utf8(records[0].payload.as_deref().unwrap()).unwrap();
    assert!(payload.contains(r#""price":12345678901234567890.123456789012345678,"#), "{payload}");
    let header = |name: &str| {
        let found = records[0].headers.iter().find(|header| header.name == name);
        String::from_utf8(found.unwrap().value.as_deref().unwrap().to_vec()).unwrap()
    };
    assert_eq!((header("ce_specversion").as_str(), header("ce_type").as_str()), ("1.0", "subscription.tier.created"));
    assert_eq!(Value::from(header("ce_id")), second["id"]);
}

#[test]
fn what_is_no_event_is_refused_before_it_is_sent() {
    let topics = Topics::new("refused");
    let name = "subscription.tier.created";
    topics.0.create_topic_named(&topics.topic(name));
    for (field, says) in [("price=-1", "is negative"), ("price=1e400", "too large"), ("price=12,50", "decimal comma")] {
        let output = topics.events(&["emit", name, "--example", "--field", field]);
        assert_eq!(output.status.code(), Some(64), "{field}");
        let error = last_error(&output);
        assert!(error.contains("`data.price`") && error.contains(says), "{error}");
    }
    let output = topics.events(&["emit", "subscription.tier.create"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(last_error(&output).contains("is it subscription.tier.created?"));
    assert_eq!(read_topic(&topics.0.client(), &topics.topic(name), |_| {}).unwrap(), 0);
}

#[test]
fn the_tail_begins_at_the_end_and_sees_topics_that_come_later() {
    let topics = Topics::new("tail");
    topics.emit(&["media.uploaded", "--example", "--id", "before"]);
    let mut command = topics.0.command(&["events", "tail", "--json", "--limit", "2"]);
    let out = topics.0.dir.join("tail.out");
    // The log says when it is there, the file what it saw.
    let mut shell = std::process::Command::new("sh");
    shell
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(&topics.0.dir);
    shell.arg("-c").arg("exec \"$@\" > tail.out").arg("sh").arg(command.get_program()).args(command.get_args());
    command.stdout(Stdio::null());
    let mut running = Running::start(shell);
    running.await_events("Following", 1);
    topics.emit(&["media.uploaded", "--example", "--id", "after"]);
    topics.emit(&["media.deleted", "--example", "--id", "new-topic"]);
    assert!(running.wait().success());
    let text = eventually("the lines", || std::fs::read_to_string(&out).ok());
    let mut ids: Vec<String> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].to_string()).collect();
    ids.sort();
    assert_eq!(ids, ["\"after\"", "\"new-topic\""]);
}

#[test]
fn the_list_says_which_topics_are_missing_and_which_are_unknown() {
    let topics = Topics::new("live");
    let live = || {
        let output = topics.events(&["list", "--live", "--json"]);
        let lines = lines(&output);
        let missing = lines.iter().filter(|line| line["exists"] == false).count();
        let unknown =
            lines.iter().filter(|line| line["name"].is_null()).map(|line| line["topic"].as_str().unwrap().to_owned());
        (output.status.code(), missing, unknown.collect::<Vec<_>>())
    };
    assert_eq!(live(), (Some(1), 18, vec![]));
    let plain = topics.events(&["list", "--json"]);
    assert_eq!(plain.status.code(), Some(0));
    for line in lines(&plain) {
        topics.0.create_topic_named(line["topic"].as_str().unwrap());
    }
    topics.0.create_topic_named(&topics.topic("media.uploaded.dlq"));
    topics.0.create_topic_named(&topics.topic("elsewhere"));
    eventually("all topics", || (live() == (Some(0), 0, vec![])).then_some(()));
    topics.0.create_topic_named(&topics.topic("content.post.shared"));
    eventually("the unknown topic", || {
        (live() == (Some(1), 0, vec![topics.topic("content.post.shared")])).then_some(())
    });
}

#[test]
fn brokers_that_are_away_are_named() {
    let mut topics = World::new(PROGRAM, "away");
    topics.set("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1");
    for args in [&["list", "--live"][..], &["tail"], &["emit", "media.deleted", "--example"]] {
        let output = topics.output(&[&["events"], args].concat());
        assert_eq!(output.status.code(), Some(69), "{args:?}");
        let error = last_error(&output);
        assert!(error.contains("127.0.0.1:1") && error.contains("KAFKA_BOOTSTRAP_SERVERS"), "{error}");
    }
}
