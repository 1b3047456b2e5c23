//! What is told of each operation, on a topic.

use rdkafka::admin::{AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use serde_json::{Value, json};
use testkit::made_topics::make_topics;
use testkit::services::eventually;
use testkit::world::block_on;

use crate::buffer::{Buffer, Engine, operation};
use crate::on_each;

on_each!(each_operation_is_told, what_is_not_told_is_not_done);

/// A topic of results, which takes messages of so many bytes.
fn told(engine: Engine, name: &str, bytes: &str) -> Buffer {
    let mut buffer = Buffer::new(engine, name);
    let topic = format!("{}.results", buffer.world.name);
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1)).set("max.message.bytes", bytes);
    make_topics(&buffer.world.client(), &[new]);
    buffer.world.set("DATABASE_RESULTS_TOPIC", &topic);
    buffer
}

fn results(buffer: &Buffer) -> Vec<Value> {
    let mut events = Vec::new();
    let topic = &buffer.world.env["DATABASE_RESULTS_TOPIC"];
    let take = |record: pipeline::Record| events.push(serde_json::from_slice(&record.payload.unwrap()).unwrap());
    pipeline::kafka::read_topic(&buffer.world.client(), topic, take).unwrap();
    events
}

fn short(events: &[Value]) -> Vec<(i64, String, String, String)> {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or("-").to_owned();
    let mut short: Vec<_> = events
        .iter()
        .map(|event| {
            let error = text(event, "error");
            (event["offset"].as_i64().unwrap(), text(event, "outcome"), text(event, "generatedId"), error)
        })
        .collect();
    short.sort();
    short
}

fn each_operation_is_told(engine: Engine) {
    let buffer = told(engine, "database-results", "1000000");
    let rating = operation("made", "CREATE", "Rating", json!({"businessId": 1, "score": 5}));
    let mut nameless = operation("", "DELETE", "User", json!({"id": 9}));
    nameless["metadata"] = json!({});
    buffer.send(&[
        rating.clone(),
        operation("ana", "CREATE", "User", json!({"id": 1, "name": "hunter2", "email": "a@x.co"})),
        operation("taken", "CREATE", "User", json!({"id": 1, "name": "hunter2", "email": "b@x.co"})),
        rating,
        nameless,
    ]);
    buffer.send_raw(&["not json"]);
    buffer.run_once();
    let events = results(&buffer);
    // A batch that is redone leaves a gap among the ids.
    let made = buffer.rows("Ratings", &["id"])[0][0].clone().unwrap();
    let taken = if engine == Engine::MariaDb { "sql_1062" } else { "sql_23505" };
    let wanted = [
        (0, "applied", made.as_str(), "-"),
        (1, "applied", "-", "-"),
        (2, "dead_lettered", "-", taken),
        (3, "applied", made.as_str(), "-"),
        (4, "applied", "-", "-"),
        (5, "dead_lettered", "-", "not_json"),
    ]
    .map(|(offset, outcome, made, error)| (offset, outcome.to_owned(), made.to_owned(), error.to_owned()));
    assert_eq!(short(&events), wanted);
    assert!(!format!("{events:?}").contains("hunter2"), "no value of a payload is told");
    let of = |offset: i64| events.iter().find(|event| event["offset"] == json!(offset)).unwrap();
    assert_eq!(
        (&of(0)["operationId"], &of(0)["entity"], &of(0)["type"]),
        (&json!("made"), &json!("Rating"), &json!("CREATE"))
    );
    assert_eq!((&of(0)["again"], &of(3)["again"]), (&json!(false), &json!(true)));
    assert_eq!((of(4).get("operationId"), of(5).get("entity")), (None, None));
    // Read once more from the start, each is told again, as it was judged then.
    buffer.world.reset_group(&buffer.world.env["KAFKA_GROUP_ID"]);
    buffer.run_once();
    let all = results(&buffer);
    assert_eq!(short(&all[events.len()..]), wanted);
}

fn what_is_not_told_is_not_done(engine: Engine) {
    assert!(!is_done_untold(engine, None));
}

/// No result event fits, until the topic takes larger ones. Gives whether some are missing when all is done.
pub fn is_done_untold(engine: Engine, mutant: Option<&str>) -> bool {
    let mut buffer = told(engine, "database-untold", "20");
    if let Some(mutant) = mutant {
        buffer.world.set("MILLRACE_MUTANT", mutant);
    }
    buffer.send(&[
        operation("1", "CREATE", "User", json!({"id": 1, "name": "a", "email": "a@x.co"})),
        operation("2", "CREATE", "User", json!({"id": 1, "name": "b", "email": "b@x.co"})),
    ]);
    let mut running = buffer.start();
    eventually("the row", || (buffer.has_table("Users") && buffer.count("Users") == 1).then_some(()));
    eventually("a word of it", || running.log().contains("DATABASE_RESULTS_TOPIC").then_some(()));
    assert_eq!((buffer.lag(), buffer.letters().len()), (2, 0));
    let topic = buffer.world.env["DATABASE_RESULTS_TOPIC"].clone();
    let raised = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("max.message.bytes", "1000000");
    for altered in block_on(buffer.world.admin().alter_configs([&raised], &AdminOptions::new())).unwrap() {
        altered.unwrap();
    }
    buffer.await_drained();
    running.signal("TERM");
    assert!(running.wait().success());
    let mut outcomes: Vec<String> = short(&results(&buffer)).into_iter().map(|(_, outcome, ..)| outcome).collect();
    outcomes.dedup();
    assert_eq!(buffer.letters().len(), 1);
    outcomes != ["applied", "dead_lettered"]
}
