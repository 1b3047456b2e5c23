//! The services: where they are, how to ask them, how to disturb them.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use millrace::systems::transactions::TEMPLATE;
use serde_json::{Value, json};

/// Where a service is.
pub fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `scripts/test e2e`, which starts the services"))
}

/// Sends a request to Elasticsearch.
pub fn elasticsearch(method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    search_engine(&variable("ELASTICSEARCH_URL"), method, path, body)
}

/// The source of a document as the search engine keeps it, to the letter.
pub fn source_of(index: &str, id: &str) -> String {
    let mut url: reqwest::Url = variable("ELASTICSEARCH_URL").parse().unwrap();
    // As a part of the path, whatever is in it.
    url.path_segments_mut().unwrap().pop_if_empty().extend([index, "_source", id]);
    reqwest::blocking::get(url).unwrap().error_for_status().unwrap().text().unwrap()
}

/// Sends a request to the search engine at an address; of a list, to the first node that answers.
pub fn search_engine(at: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let ask = |node: &str| {
        let url = format!("{}{path}", node.trim_end_matches('/'));
        let mut request = reqwest::blocking::Client::new().request(method.parse().unwrap(), url);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        request.send()
    };
    let (last, others) = at.rsplit_once(',').map_or((at, None), |(others, last)| (last, Some(others)));
    let of_others = others.and_then(|others| others.split(',').find_map(|node| ask(node).ok()));
    let answer = of_others.unwrap_or_else(|| ask(last).unwrap());
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().unwrap()).unwrap_or(Value::Null))
}

/// What the search engine calls a document that does not fit its mapping.
pub fn mapping_reject() -> &'static str {
    let opensearch = std::env::var("E2E_ENGINE").is_ok_and(|engine| engine == "opensearch");
    if opensearch { "mapper_parsing_exception" } else { "document_parsing_exception" }
}

/// Makes the index to come refuse a document with a text in its field `strict`, as only a mapping of somebody's own does: what
/// comes with the program takes every event.
pub fn refuse_strict(at: &str, alias: &str) {
    let mut template: Value = serde_json::from_str(TEMPLATE).unwrap();
    template["index_patterns"] = json!([format!("{alias}-*")]);
    // One that somebody tuned is of this version or a later one.
    template["version"] = json!(1_000);
    template["template"]["mappings"]["properties"]["strict"] = json!({"type": "long"});
    let (status, answer) = search_engine(at, "PUT", &format!("/_index_template/{alias}"), Some(&template));
    assert_eq!(status, 200, "{answer}");
}

/// Runs `scripts/services VERB NAME`; `elasticsearch` is whichever engine these tests run against.
pub fn services(verb: &str, name: &str) {
    let engine = std::env::var("E2E_ENGINE").unwrap_or_else(|_| name.to_owned());
    let name = if name == "elasticsearch" { &engine } else { name };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services");
    let done = Command::new(script).args([verb, name]).output().unwrap();
    assert!(done.status.success(), "services {verb} {name}: {}", String::from_utf8_lossy(&done.stderr));
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Asks until the answer is there, for two minutes at most.
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    eventually_within(Duration::from_secs(120), what, ask)
}

/// Asks until the answer is there, for so long at most.
pub(crate) fn eventually_within<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {} s for {what}", limit.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}
