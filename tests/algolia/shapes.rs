//! The double answers in the shapes of the specification.

use std::path::Path;

use reqwest::Method;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use testkit::double::FakeAlgolia;

const INDEX: &str = "theIndexName";

fn send(double: &FakeAlgolia, request: &Value) -> (u16, Value) {
    let [(_, app), (_, key), (_, url)] = double.variables();
    let method: Method = request["method"].as_str().unwrap().parse().unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    let mut call = client
        .request(method, format!("{url}{}", request["path"].as_str().unwrap()))
        .header("X-Algolia-Application-Id", app)
        .header("X-Algolia-API-Key", request["key"].as_str().unwrap_or(&key));
    if let Some(body) = request.get("body") {
        call = call.header("Content-Type", "application/json").body(body.to_string());
    }
    let answer = call.send().unwrap();
    (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().unwrap()).unwrap())
}

/// Fills in what a fixture leaves to the test.
fn filled(text: &str, task: &Value) -> Value {
    let fixture: Value = serde_json::from_str(text).unwrap();
    let text = text.replace("{taskID}", &task.to_string());
    let Some(size) = fixture["request"]["size"].as_u64() else { return serde_json::from_str(&text).unwrap() };
    let record = fixture["request"]["body"]["requests"][0]["body"].to_string().len() - "{padding}".len();
    serde_json::from_str(&text.replace("{padding}", &"x".repeat(size as usize - record))).unwrap()
}

fn same_shape(at: &str, found: &Value, expected: &Value) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            assert!(found.keys().eq(expected.keys()), "{at}: {found:?} has other attributes than {expected:?}");
            found.iter().for_each(|(name, value)| same_shape(&format!("{at}.{name}"), value, &expected[name]));
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{at}");
            found.iter().zip(expected).for_each(|(found, expected)| same_shape(&format!("{at}[]"), found, expected));
        }
        _ => {
            let same = std::mem::discriminant(found) == std::mem::discriminant(expected);
            assert!(same, "{at}: {found} is of another type than {expected}");
        }
    }
}

#[test]
fn every_call_answers_in_the_shape_of_its_fixture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/algolia/fixtures");
    let mut fixtures = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        fixtures += 1;
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let double = FakeAlgolia::start();
        let given = filled(&text, &Value::Null)["given"].as_array().cloned().unwrap_or_default();
        let stored: Vec<_> = given.iter().map(|object| json!({"action": "addObject", "body": object})).collect();
        let path = format!("/1/indexes/{INDEX}/batch");
        let (_, answer) = send(&double, &json!({"method": "POST", "path": path, "body": {"requests": stored}}));
        double.await_settled();
        let fixture = filled(&text, &answer["taskID"]);
        let (status, body) = send(&double, &fixture["request"]);
        assert_eq!(u64::from(status), fixture["response"]["status"], "{name}: {body}");
        same_shape(&name, &body, &fixture["response"]["body"]);
    }
    assert!(fixtures > 10, "only {fixtures} fixtures");
}

#[test]
fn what_is_not_offered_is_refused() {
    let double = FakeAlgolia::start();
    let batch = |action: &str, body: Value| {
        let requests =
            json!({"requests": [{"action": "addObject", "body": {"objectID": "1"}}, {"action": action, "body": body}]});
        send(&double, &json!({"method": "POST", "path": "/1/indexes/x/batch", "body": requests})).0
    };
    assert_eq!(batch("partialUpdateObject", json!({"n": 1})), 400);
    assert_eq!(batch("partialUpdateObjectNoCreate", json!({"objectID": "1"})), 400);
    assert_eq!(batch("deleteObject", json!({})), 400);
    let call =
        |method: &str, path: &str, body: Value| send(&double, &json!({"method": method, "path": path, "body": body})).0;
    assert_eq!(call("POST", "/1/indexes/x/batch", json!({"requests": [], "more": 1})), 400);
    assert_eq!(call("POST", "/1/indexes/x/batch", json!([])), 400);
    assert_eq!(call("POST", "/1/indexes/x/browse", json!({"filters": "a:b"})), 400);
    assert_eq!(call("POST", "/1/indexes/x/nothing", json!({})), 405);
    assert_eq!(call("POST", "/2/indexes/x/batch", json!({})), 404);
    assert_eq!(call("PUT", "/1/indexes/x/batch", json!({})), 405);
    double.await_settled();
    assert!(double.objects("x").is_empty(), "a batch that was refused has stored something");
}
