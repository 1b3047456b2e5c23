//! The commands around the main job: dead letters, errors as a person meets them, waiting for what is not there.

use serde_json::{Value, json};
use testkit::program::printed;
use testkit::services::{elasticsearch, eventually, mapping_reject, refuse_strict, variable};
use testkit::world::World;

use crate::PROGRAM;

/// Puts one event into the topic, whatever its shape.
pub fn send(world: &World, event: &Value) {
    use rdkafka::producer::{FutureProducer, FutureRecord};
    let producer: FutureProducer = world.client().create().unwrap();
    let payload = event.to_string();
    let record = FutureRecord::to(&world.name).key("u").payload(&payload).partition(0);
    testkit::world::block_on(producer.send(record, std::time::Duration::from_secs(20))).unwrap();
}

fn event(id: &str, second: u32, status: &str) -> Value {
    json!({"event_type": "transaction.updated", "timestamp": format!("2026-01-01T00:00:{second:02}Z"),
        "transaction": {"id": id, "user_id": "u", "transaction_type": "card", "status": status}})
}

fn refused(id: &str) -> Value {
    let mut event = event(id, 1, "pending");
    event["transaction"]["strict"] = json!("text");
    event
}

#[test]
fn dead_letters_are_listed_shown_and_replayed_where_nothing_is_newer() {
    let world = World::new(PROGRAM, "letters");
    world.create_topic(&[]);
    refuse_strict(&variable("ELASTICSEARCH_URL"), &world.name);
    // A text does not fit the mapping of `strict`; later one of the two documents gets a good update.
    send(&world, &refused("mended"));
    send(&world, &refused("overtaken"));
    send(&world, &event("overtaken", 2, "completed"));
    send(&world, &json!({"event_type": "transaction.updated"}));
    assert_eq!(world.run_once()["dead_lettered"], 3);
    let list = printed(&world.output(&["dlq", "list", "--json"]));
    assert_eq!(list["letters"], 3);
    assert_eq!(list["causes"][0]["class"], mapping_reject());
    assert_eq!(list["causes"][0]["count"], 2);
    let shown = world.output(&["dlq", "show", "--class", mapping_reject(), "--limit", "1"]);
    assert_eq!(printed(&shown)["payload"], refused("mended").to_string());

    let before = world.documents();
    assert!(world.output(&["dlq", "replay", "--dry-run"]).status.success());
    let still = world.output(&["dlq", "replay"]);
    assert_eq!(still.status.code(), Some(1), "nothing was mended yet");
    assert_eq!(printed(&still)["rejected"], 3);
    assert_eq!(world.documents(), before);

    // Mended: an index whose mapping takes texts there, with the documents that stood before.
    let index = format!("/{}-000001", world.name);
    elasticsearch("DELETE", &index, None);
    // OpenSearch would merge the template's field into ours.
    elasticsearch("DELETE", &format!("/_index_template/{}", world.name), None);
    let lenient = json!({"mappings": {"dynamic": false, "properties": {"strict": {"type": "keyword"}}},
        "aliases": {&world.name: {"is_write_index": true}}});
    assert_eq!(elasticsearch("PUT", &index, Some(&lenient)).0, 200);
    let version = before["overtaken"].0;
    let path = format!("{index}/_doc/overtaken?version={version}&version_type=external");
    assert_eq!(elasticsearch("PUT", &path, Some(&json!({"status": "completed", "_enriched_at": 0}))).0, 201);
    let replayed = world.output(&["dlq", "replay", "--class", mapping_reject()]);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stdout));
    let replayed = printed(&replayed);
    assert_eq!((&replayed["applied"], &replayed["superseded"]), (&json!(1), &json!(1)));
    let documents = world.documents();
    assert_eq!(documents["mended"].1["strict"], "text");
    assert_eq!(documents["overtaken"].1["status"], "completed", "a replay never overwrites a newer document");
}

fn fails(world: &World, args: &[&str], code: i32, says: &[&str]) {
    let output = world.output(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    let last = errors.lines().last().unwrap();
    says.iter().for_each(|part| assert!(last.contains(part), "{last:?} says {part:?}"));
}

#[test]
fn errors_are_one_line_that_says_what_and_where() {
    let mut world = World::new(PROGRAM, "errors");
    fails(&world, &["run", "transaction"], 64, &["transactions"]);
    std::fs::write(world.dir.join("millrace.toml"), "[kafka]\nbootstrap_server = 'x:1'\n").unwrap();
    fails(&world, &["run"], 78, &["bootstrap_server", "kafka.bootstrap_servers", "millrace.toml"]);
    std::fs::remove_file(world.dir.join("millrace.toml")).unwrap();
    world.set("CONSUMER_BATCH_SIZE", "many");
    fails(&world, &["run"], 78, &["CONSUMER_BATCH_SIZE", "many"]);
    world.set("CONSUMER_BATCH_SIZE", "10");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    world.set("HTTP_PORT", &port);
    fails(&world, &["run"], 69, &["HTTP_PORT", &port]);
    world.set("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1");
    fails(&world, &["publish", "--count", "1"], 69, &["127.0.0.1:1", "KAFKA_BOOTSTRAP_SERVERS"]);
    world.set("DATABASE_URL", "mysql://u:hunter2@127.0.0.1/x");
    fails(&world, &["run"], 78, &["DATABASE_URL", "postgresql://"]);
}

#[test]
fn a_wrong_host_is_named_with_its_variable_and_waited_for() {
    for (variable, value, says) in [
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1", "127.0.0.1:1"),
        ("ELASTICSEARCH_URL", "http://127.0.0.1:1", "no connection to http://127.0.0.1:1/"),
        ("DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/x", "no connection to PostgreSQL at 127.0.0.1:1/x"),
    ] {
        let mut world = World::new(PROGRAM, "host");
        world.create_topic(&[]);
        world.set(variable, value);
        let running = world.start();
        eventually(says, || {
            let (_, text) = running.ready();
            (text.contains(says) && text.contains(variable) && !text.contains("hunter2")).then_some(())
        });
        assert!(running.terminate().success());
    }
}

/// The lines of `doctor` that are no "ok".
fn complaints(world: &World) -> Vec<String> {
    let output = world.output(&["doctor"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let complaints: Vec<_> = text.lines().filter(|line| !line.starts_with("ok ")).map(str::to_owned).collect();
    let faults = complaints.iter().any(|line| line.starts_with("FAULT"));
    assert_eq!(output.status.code(), Some(i32::from(faults)), "{text}");
    complaints
}

fn complains(world: &World, part: &str, says: &[&str]) {
    let complaints = complaints(world);
    let found =
        |line: &String| line.starts_with(&format!("FAULT {part} ")) && says.iter().all(|part| line.contains(part));
    assert!(complaints.iter().any(found), "{part} {says:?}: {complaints:#?}");
}

#[test]
fn doctor_has_nothing_to_say_where_all_is_well_and_names_what_is_not() {
    let mut world = World::new(PROGRAM, "doctor");
    complains(&world, "kafka", &[&world.name, "does not exist"]);
    world.publish(&["--count", "100"]);
    world.run_once();
    assert_eq!(complaints(&world), Vec::<String>::new());

    let index = format!("/{}-000001", world.name);
    let blocked = |on: bool| {
        let settings = json!({"index.blocks.read_only_allow_delete": if on { json!(true) } else { Value::Null }});
        assert_eq!(elasticsearch("PUT", &format!("{index}/_settings"), Some(&settings)).0, 200);
    };
    blocked(true);
    complains(&world, "elasticsearch", &["read_only_allow_delete"]);
    blocked(false);
    let alias =
        |change: Value| assert_eq!(elasticsearch("POST", "/_aliases", Some(&json!({"actions": [change]}))).0, 200);
    let (name, concrete) = (world.name.clone(), index.trim_start_matches('/').to_owned());
    alias(json!({"remove": {"index": concrete, "alias": name}}));
    alias(json!({"add": {"index": concrete, "alias": name}}));
    complains(&world, "elasticsearch", &["no filter"]);
    assert_eq!(elasticsearch("DELETE", &index, None).0, 200);
    assert_eq!(elasticsearch("PUT", &format!("/{name}"), None).0, 200);
    complains(&world, "elasticsearch", &["is an index", "ELASTICSEARCH_INDEX"]);
    elasticsearch("DELETE", &format!("/{name}"), None);

    for (variable, value, part) in [
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1", "kafka"),
        ("ELASTICSEARCH_URL", "http://127.0.0.1:1", "elasticsearch"),
        ("REDIS_URL", "redis://:hunter2@127.0.0.1:1", "redis"),
        ("DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/x", "postgres"),
    ] {
        let good = world.env.get(variable).cloned();
        world.set(variable, value);
        complains(&world, part, &["127.0.0.1:1", variable]);
        assert!(!complaints(&world).concat().contains("hunter2"));
        match good {
            Some(good) => world.set(variable, &good),
            None => drop(world.env.remove(variable)),
        }
    }
}

#[test]
fn doctor_calls_only_our_own_index_red() {
    let world = World::new(PROGRAM, "red");
    world.publish(&["--count", "10"]);
    world.run_once();
    let nowhere = json!({"index.routing.allocation.require._name": "nowhere"});
    let foreign = format!("/foreign-{}", world.name);
    let body = json!({"settings": nowhere});
    assert_eq!(elasticsearch("PUT", &format!("{foreign}?wait_for_active_shards=0"), Some(&body)).0, 200);
    let cluster = elasticsearch("GET", "/_cluster/health", None).1;
    let found = complaints(&world);
    assert_eq!(elasticsearch("DELETE", &foreign, None).0, 200);
    assert_eq!(cluster["status"], "red");
    assert_eq!(found, Vec::<String>::new());

    // An index that never had a shard stays red; one that had is brought back by force, whatever its settings say.
    let world = World::new(PROGRAM, "red-of-ours");
    let index = format!("/{}-000001", world.name);
    let filter = json!({"bool": {"must_not": {"term": {"_deleted": true}}}});
    let alias = json!({"is_write_index": true, "filter": filter});
    let body = json!({"settings": nowhere, "aliases": {&world.name: alias}});
    assert_eq!(elasticsearch("PUT", &format!("{index}?wait_for_active_shards=0"), Some(&body)).0, 200);
    complains(&world, "elasticsearch", &["is red", "allocation/explain"]);
    assert_eq!(elasticsearch("DELETE", &index, None).0, 200);
}

#[test]
fn a_wrong_password_is_named_and_never_shown() {
    let mut world = World::new(PROGRAM, "password");
    world.create_topic(&[]);
    let database = variable("DATABASE_URL");
    let (_, address) = database.split_once('@').unwrap();
    let make = async {
        use sqlx::Connection;
        let mut connection = sqlx::PgConnection::connect(&database).await.unwrap();
        let role =
            "DO $$ BEGIN CREATE ROLE guarded LOGIN PASSWORD 'right'; EXCEPTION WHEN duplicate_object THEN NULL; END $$";
        sqlx::raw_sql(role).execute(&mut connection).await.unwrap();
    };
    testkit::world::block_on(make);
    world.set("DATABASE_URL", &format!("postgresql://guarded:hunter2@{address}"));
    complains(&world, "postgres", &["refuses the login", "DATABASE_URL", "28P01"]);
    let running = world.start();
    eventually("the refused login", || {
        let (_, text) = running.ready();
        (text.contains("refuses the login") && !text.contains("hunter2")).then_some(())
    });
    assert!(running.terminate().success());
    let redis = world.env["REDIS_URL"].replace("redis://", "redis://nobody:hunter2@");
    world.set("REDIS_URL", &redis);
    complains(&world, "redis", &["AuthenticationFailed", "REDIS_URL"]);
    assert!(!complaints(&world).concat().contains("hunter2"));
}

#[test]
fn a_missing_topic_is_waited_for() {
    let world = World::new(PROGRAM, "waits");
    let running = world.start();
    running.await_reason(&world.name);
    world.publish(&["--count", "10", "--update-ratio", "0"]);
    running.await_events("Batch processed", 1);
    running.await_ready();
    world.await_drained();
    let applied = running.metric(r#"millrace_records_total{system="transactions",outcome="applied"}"#);
    assert_eq!(applied, Some(10.0));
    assert!(running.terminate().success());
    assert_eq!(world.documents().len(), 10);
}

#[test]
fn an_index_under_the_aliass_name_is_named() {
    let world = World::new(PROGRAM, "index");
    world.create_topic(&[]);
    assert_eq!(elasticsearch("PUT", &format!("/{}", world.name), None).0, 200);
    let running = world.start();
    running.await_reason("is an index");
    assert!(running.terminate().success());
    elasticsearch("DELETE", &format!("/{}", world.name), None);
}
