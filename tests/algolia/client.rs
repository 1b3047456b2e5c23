//! Our client against the double: what it writes and reads.

use millrace::config::Config;
use millrace::stores::algolia::{AlgoliaClient, Operation};
use pipeline::sink::FailureKind;
use serde_json::{Value, json};
use testkit::double::{FakeAlgolia, FakeOptions};

pub fn config(double: &FakeAlgolia, more: &[(&str, &str)]) -> millrace::config::Algolia {
    let own = double.variables().map(|(name, value)| (name.to_owned(), value));
    let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_variables(own.into_iter().chain(more)).unwrap().algolia.unwrap()
}

pub fn client(double: &FakeAlgolia) -> AlgoliaClient {
    AlgoliaClient::new(&config(double, &[])).unwrap()
}

/// Stores objects of these ids, and waits for them.
pub async fn store(client: &AlgoliaClient, index: &str, ids: &[String]) {
    let objects: Vec<_> = ids.iter().map(|id| json!({"objectID": id, "n": 1}).to_string()).collect();
    let operations: Vec<_> = objects.iter().map(|object| Operation::Save { object }).collect();
    let task = client.batch(index, &operations).await.unwrap();
    client.wait(index, task).await.unwrap();
}

pub fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("id {number:05}")).collect()
}

#[tokio::test]
async fn a_batch_is_applied_in_its_order_and_is_there_after_the_wait() {
    let double = FakeAlgolia::start();
    let client = client(&double);
    let operations = [
        Operation::Save { object: r#"{"objectID":"a","n":1}"# },
        Operation::Save { object: r#"{"objectID":"a","n":2}"# },
        Operation::Save { object: r#"{"objectID":"b\u0000é","text":"\"quoted\""}"# },
        Operation::Save { object: r#"{"objectID":"c"}"# },
        Operation::Delete { id: "c" },
        Operation::Delete { id: "never there" },
    ];
    let task = client.batch("things", &operations).await.unwrap();
    client.wait("things", task).await.unwrap();
    let wanted = ["b\0é", "a", "c"].map(str::to_owned);
    let objects = client.objects("things", &wanted).await.unwrap();
    let objects: Vec<Option<Value>> =
        objects.into_iter().map(|object| object.map(|object| serde_json::from_str(object.get()).unwrap())).collect();
    assert_eq!(
        objects,
        [Some(json!({"objectID": "b\0é", "text": "\"quoted\""})), Some(json!({"objectID": "a", "n": 2})), None]
    );
    let later = client.batch("things", &[Operation::Delete { id: "a" }]).await.unwrap();
    assert!(later > task);
    client.wait("things", later).await.unwrap();
    assert!(!double.objects("things").contains_key("a"));
}

#[tokio::test]
async fn attributes_are_replaced_and_others_stay() {
    let double = FakeAlgolia::start();
    let client = client(&double);
    let operations = [
        Operation::Save { object: r#"{"objectID":"a","name":"Ada","rating":{"count":1,"old":true}}"# },
        Operation::Merge { object: r#"{"objectID":"a","rating":{"count":2}}"# },
        Operation::Merge { object: r#"{"objectID":"b","rating":{"count":3}}"# },
    ];
    let task = client.batch("things", &operations).await.unwrap();
    client.wait("things", task).await.unwrap();
    let things = double.objects("things");
    assert_eq!(things["a"], json!({"objectID": "a", "name": "Ada", "rating": {"count": 2}}));
    assert_eq!(things["b"], json!({"objectID": "b", "rating": {"count": 3}}));
}

#[tokio::test]
async fn an_index_is_browsed_page_by_page() {
    let double = FakeAlgolia::start();
    let client = client(&double);
    let ids = ids(2_500);
    store(&client, "things", &ids).await;
    let (mut seen, mut pages, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let page = client.browse("things", cursor.as_deref()).await.unwrap();
        pages.push(page.objects.len());
        for (id, object) in page.objects {
            assert!(object.get().contains(&id), "{}", object.get());
            seen.push(id);
        }
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((pages.as_slice(), seen), ([1_000, 1_000, 500].as_slice(), ids));
}

#[tokio::test]
async fn more_ids_than_one_request_takes_go_in_several() {
    let double = FakeAlgolia::start();
    let client = client(&double);
    let ids = ids(2_001);
    store(&client, "things", &ids).await;
    let found = client.objects("things", &ids).await.unwrap();
    assert_eq!((found.len(), found.iter().flatten().count()), (2_001, 2_001));
    assert_eq!(double.requests("objects"), 3);
    assert!(client.objects("things", &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_missing_index_is_empty_and_a_write_makes_it() {
    let double = FakeAlgolia::start();
    let client = client(&double);
    let page = client.browse("none", None).await.unwrap();
    assert!(page.objects.is_empty() && page.cursor.is_none());
    assert!(client.objects("none", &ids(2)).await.unwrap().iter().all(Option::is_none));
    store(&client, "none", &ids(1)).await;
    assert_eq!(client.browse("none", None).await.unwrap().objects.len(), 1);
}

#[tokio::test]
async fn the_prefix_stands_before_every_index_and_names_are_escaped() {
    let double = FakeAlgolia::start();
    let client = AlgoliaClient::new(&config(&double, &[("ALGOLIA_INDEX_PREFIX", "dev_")])).unwrap();
    store(&client, "a/b ?é", &ids(2)).await;
    assert_eq!(double.objects("dev_a/b ?é").len(), 2);
    assert_eq!(client.browse("a/b ?é", None).await.unwrap().objects.len(), 2);
    assert_eq!(client.objects("a/b ?é", &ids(2)).await.unwrap().iter().flatten().count(), 2);
}

#[tokio::test]
async fn the_probe_is_a_write_that_changes_nothing() {
    let double = FakeAlgolia::start();
    let client = client(&double);
    store(&client, "things", &ids(3)).await;
    client.probe("things").await.unwrap();
    double.await_settled();
    assert_eq!((double.objects("things").len(), double.requests("batch")), (3, 2));
}

#[tokio::test]
async fn one_record_that_is_too_large_refuses_the_batch_and_stores_nothing() {
    let double = FakeAlgolia::with(FakeOptions { record_limit: 500, body_limit: 2_000, ..FakeOptions::default() });
    let client = client(&double);
    let large = json!({"objectID": "secret-id", "text": "secret-text".repeat(50)}).to_string();
    let operations = [Operation::Save { object: r#"{"objectID":"a"}"# }, Operation::Save { object: &large }];
    let failure = client.batch("things", &operations).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.why.contains("larger than the Algolia plan allows") && !failure.why.contains("secret"));
    let failure = client.batch("things", &[Operation::Save { object: &large }; 10]).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TurnedAway);
    assert!(failure.why.contains("413"), "{}", failure.why);
    double.await_settled();
    assert!(double.objects("things").is_empty());
}
