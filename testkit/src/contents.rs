//! What an event says, read by code of the tests' own, against what a store holds of it.
//!
//! Numbers are compared by their worth here; that they keep their digits is what the odd values of `siblings` are for.

use std::collections::HashMap;

use mongodb::bson::{Bson, Document};
use pipeline::kafka::read_topic;
use rdkafka::ClientConfig;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Payloads by their SHA-256.
pub type Payloads = HashMap<[u8; 32], Vec<u8>>;

/// What the log of a topic holds.
pub fn payloads(client: &ClientConfig, topic: &str) -> Payloads {
    let mut payloads = Payloads::new();
    read_topic(client, topic, |record| {
        if let Some(payload) = record.payload {
            payloads.insert(Sha256::digest(&payload).into(), payload.to_vec());
        }
    })
    .unwrap();
    payloads
}

/// The transaction of an event, as far as it can be read at all.
pub fn sent_transaction(payload: Option<&[u8]>) -> Value {
    let event: Option<Value> = payload.and_then(|payload| serde_json::from_slice(payload).ok());
    event.map_or(Value::Null, |mut event| event["transaction"].take())
}

/// The first field that a document does not hold as it was sent, or that it has beside those. What the program adds is its own:
/// names that begin with `_`, the search content, and in `metadata` whatever the producer did not name.
pub fn find_alteration(sent: &Value, held: &Value) -> Option<String> {
    let none = Map::new();
    let (sent, held) = (sent.as_object().unwrap_or(&none), held.as_object().unwrap_or(&none));
    let is_lost = |name: &str, value: &Value| match (name, value, held.get(name)) {
        ("metadata", Value::Null, _) => false,
        ("metadata", Value::Object(named), Some(held)) => {
            named.iter().any(|(name, value)| held.get(name).is_none_or(|held| !alike(value, held)))
        }
        (_, value, held) => held.is_none_or(|held| !alike(value, held)),
    };
    let ours = |name: &str| name.starts_with('_') || ["search_content", "metadata", "objectID"].contains(&name);
    let lost = sent.iter().find(|(name, value)| !name.starts_with('_') && is_lost(name, value));
    let added = || held.iter().find(|(name, _)| !ours(name) && !sent.contains_key(*name));
    lost.or_else(added).map(|(name, _)| name.clone())
}

/// The same kinds, names, texts and numbers.
pub(crate) fn alike(sent: &Value, held: &Value) -> bool {
    match (sent, held) {
        (Value::Number(sent), Value::Number(held)) => sent.as_f64() == held.as_f64(),
        (Value::Array(sent), Value::Array(held)) => {
            sent.len() == held.len() && sent.iter().zip(held).all(|(sent, held)| alike(sent, held))
        }
        (Value::Object(sent), Value::Object(held)) => {
            let same = |(name, sent): (&String, &Value)| held.get(name).is_some_and(|held| alike(sent, held));
            sent.len() == held.len() && sent.iter().all(same)
        }
        (sent, held) => sent == held,
    }
}

/// A document of MongoDB as JSON.
pub(crate) fn json_of(document: &Document) -> Value {
    Value::Object(document.iter().map(|(name, value)| (name.clone(), json_value(value))).collect())
}

fn json_value(value: &Bson) -> Value {
    match value {
        Bson::Document(document) => json_of(document),
        Bson::Array(values) => values.iter().map(json_value).collect(),
        Bson::String(text) => json!(text),
        Bson::Boolean(bool) => json!(bool),
        Bson::Int32(number) => json!(number),
        Bson::Int64(number) => json!(number),
        Bson::Double(number) => json!(number),
        Bson::Decimal128(number) => json!(number.to_string().parse::<f64>().unwrap()),
        Bson::Null => Value::Null,
        other => json!(other.to_string()),
    }
}

/// The newest event of each user that is left, of equals the later: Clerk's times are milliseconds.
pub fn users(client: &ClientConfig, topic: &str) -> HashMap<String, Value> {
    let mut newest: HashMap<String, (i64, Value)> = HashMap::new();
    read_topic(client, topic, |record| {
        let event: Value = record.payload.and_then(|payload| serde_json::from_slice(&payload).ok()).unwrap_or_default();
        let rank = match event["type"].as_str() {
            Some("user.created") => 0,
            Some("user.updated") => 1,
            _ => return,
        };
        let time = event["data"]["updated_at"].as_i64().or_else(|| event["timestamp"].as_i64());
        if let (Some(id), Some(time)) = (event["data"]["id"].as_str(), time) {
            let version = time * 4_000 + rank;
            if newest.get(id).is_none_or(|(known, _)| *known <= version) {
                newest.insert(id.to_owned(), (version, event));
            }
        }
    })
    .unwrap();
    newest.into_iter().map(|(id, (_, event))| (id, event)).collect()
}
