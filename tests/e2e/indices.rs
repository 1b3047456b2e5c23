//! What stands in the cluster already: other names, other people's templates, several indices behind the alias.

use millrace::synthetic::GeneratorOptions;
use serde_json::{Value, json};
use testkit::services::{elasticsearch, eventually};
use testkit::world::{World, options_of};

use crate::PROGRAM;

fn publish(world: &World, count: u64) -> GeneratorOptions {
    options_of(&world.publish(&["--count", &count.to_string(), "--update-ratio", "0.3"]), |options| {
        options.update_ratio = 0.3;
    })
}

/// Whether the mapping is ours: it knows what it was given, and takes no more.
fn assert_ours(index: &str) {
    let (status, mapping) = elasticsearch("GET", &format!("/{index}/_mapping"), None);
    assert_eq!(status, 200, "{mapping}");
    let mapping = &mapping[index]["mappings"];
    assert_eq!(mapping["dynamic"], "false", "{mapping}");
    assert_eq!(mapping["properties"]["amount"]["type"], "double", "{mapping}");
    assert_eq!(mapping["properties"]["_deleted"]["type"], "boolean", "{mapping}");
}

fn template(name: &str, body: &Value) {
    let (status, answer) = elasticsearch("PUT", &format!("/_index_template/{name}"), Some(body));
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn one_name_may_begin_with_another_in_either_order() {
    for suffixes in [["", "-v2"], ["-v2", ""]] {
        let mut world = World::new(PROGRAM, "index-names");
        let options = publish(&world, 200);
        let (topic, expected) = (world.name.clone(), options.expect_documents().unwrap());
        for suffix in suffixes {
            world.set("ELASTICSEARCH_INDEX", &format!("{topic}{suffix}"));
            world.set("KAFKA_CONSUMER_GROUP", &format!("{topic}{suffix}"));
            let output = world.output(&["run", "transactions", "--once"]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_ours(&format!("{topic}{suffix}-000001"));
            let (_, count) = elasticsearch("GET", &format!("/{topic}{suffix}-000001/_count"), None);
            assert!(count["count"].as_u64().is_some(), "{count}");
        }
        world.set("ELASTICSEARCH_INDEX", &topic);
        world.assert_complete(&expected);
        elasticsearch("DELETE", &format!("/{topic}-v2-000001"), None);
        elasticsearch("DELETE", &format!("/_index_template/{topic}-v2"), None);
    }
}

/// Documents come out as ours though somebody else's template is there for our index.
fn assert_not_in_the_way(name: &str, priority: impl Fn(&World) -> usize, mappings: &Value) {
    let world = World::new(PROGRAM, name);
    let other = format!("other-{}", world.name);
    let patterns = [format!("{}-*", world.name)];
    let theirs = json!({"index_patterns": patterns, "priority": priority(&world), "template": {"mappings": mappings}});
    template(&other, &theirs);
    let options = publish(&world, 200);
    world.run_once();
    world.assert_complete(&options.expect_documents().unwrap());
    assert_ours(&format!("{}-000001", world.name));
    elasticsearch("DELETE", &format!("/_index_template/{other}"), None);
}

#[test]
fn a_template_of_somebody_else_is_in_nobodys_way() {
    let theirs = json!({"dynamic": "strict", "properties": {"amount": {"type": "keyword", "ignore_above": 5}}});
    assert_not_in_the_way("index-template", |world| 200 + world.name.len(), &theirs);
}

#[test]
fn a_template_that_comes_first_does_not_take_our_mapping_away() {
    let theirs = json!({"dynamic": true, "properties": {"amount": {"type": "double"}, "theirs": {"type": "keyword"}}});
    assert_not_in_the_way("index-first", |_| 2_000_000, &theirs);
}

#[test]
fn the_cluster_says_in_its_own_words_what_it_refuses() {
    let world = World::new(PROGRAM, "index-refused");
    let other = format!("other-{}", world.name);
    let body = json!({"index_patterns": [format!("{}-*", world.name)], "priority": 2_000_000, "data_stream": {}, "template": {}});
    template(&other, &body);
    let options = publish(&world, 50);
    let running = world.start();
    eventually("the cluster's words", || running.ready().1.contains("creates data streams only").then_some(()));
    elasticsearch("DELETE", &format!("/_index_template/{other}"), None);
    world.await_drained();
    assert!(running.terminate().success());
    world.assert_complete(&options.expect_documents().unwrap());
}

#[test]
fn several_indices_behind_the_alias_are_named_and_nothing_of_them_counts() {
    let world = World::new(PROGRAM, "index-several");
    let old = publish(&world, 500);
    let running = world.start();
    world.await_drained();
    let (status, answer) = elasticsearch("POST", &format!("/{}/_rollover", world.name), None);
    assert_eq!(status, 200, "{answer}");
    // The same events, as from a topic that is read anew: in the second index each of them would be the first.
    let again = world.publish(&["--count", "500", "--update-ratio", "0.3", "--seed", &old.seed.to_string()]);
    assert_eq!(again["creates"], 500);
    let named = |text: &str| text.contains("several indices") && text.contains(&format!("{}-000002", world.name));
    eventually("both indices", || named(&running.ready().1).then_some(()));
    assert!(world.lag_of(&world.name) > 0, "nothing is committed that went there");
    assert!(running.terminate().success());
    assert!(!world.output(&["doctor", "transactions"]).status.success());
    let running = world.start();
    eventually("both indices, at the start", || named(&running.ready().1).then_some(()));
    // One stays.
    elasticsearch("DELETE", &format!("/{}-000002", world.name), None);
    let write = json!({"actions": [{"add": {"index": format!("{}-000001", world.name), "alias": world.name,
        "is_write_index": true, "filter": {"bool": {"must_not": {"term": {"_deleted": true}}}}}}]});
    assert_eq!(elasticsearch("POST", "/_aliases", Some(&write)).0, 200);
    world.await_drained();
    assert!(running.terminate().success());
    let (_, held) = elasticsearch("GET", &format!("/_alias/{}", world.name), None);
    assert_eq!(held.as_object().unwrap().len(), 1);
}

#[test]
fn an_alias_may_be_moved_to_another_index_while_it_is_written_to() {
    let world = World::new(PROGRAM, "index-moved");
    publish(&world, 200);
    let running = world.start();
    world.await_drained();
    let (from, to) = (format!("{}-000001", world.name), format!("{}-000002", world.name));
    assert_eq!(elasticsearch("PUT", &format!("/{to}"), None).0, 200);
    let filter = json!({"bool": {"must_not": {"term": {"_deleted": true}}}});
    let moved = json!({"actions": [{"remove": {"index": from, "alias": world.name}},
        {"add": {"index": to, "alias": world.name, "is_write_index": true, "filter": filter}}]});
    assert_eq!(elasticsearch("POST", "/_aliases", Some(&moved)).0, 200);
    let second = publish(&world, 200);
    world.await_drained();
    assert!(running.terminate().success());
    world.assert_complete(&second.expect_documents().unwrap());
    elasticsearch("DELETE", &format!("/{to}"), None);
}
