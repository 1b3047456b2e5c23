//! What the calls do and answer; `fixtures/SOURCES.md` names the specification of each.

use std::collections::BTreeMap;
use std::ops::Bound;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::state::{Change, FakeState};

/// A status and a JSON body.
pub(super) struct FakeAnswer(u16, Value);

impl FakeAnswer {
    pub(super) fn ok(body: Value) -> Self {
        Self(200, body)
    }
}

impl IntoResponse for FakeAnswer {
    fn into_response(self) -> Response {
        (StatusCode::from_u16(self.0).unwrap(), Json(self.1)).into_response()
    }
}

/// An error, in the API's form.
pub(super) fn refuse(status: u16, message: impl Into<String>) -> FakeAnswer {
    FakeAnswer(status, json!({"message": message.into(), "status": status}))
}

fn no_index(index: &str) -> FakeAnswer {
    refuse(404, format!("Index {index} does not exist"))
}

const WHEN: &str = "2023-07-04T12:49:15Z";

/// The most that one request reads.
const MOST: u64 = 1_000;

/// Attributes that the double does not know it does not ignore.
fn only(body: &Value, known: &[&str]) -> Result<(), FakeAnswer> {
    let unknown = body.as_object().into_iter().flatten().find(|(name, _)| !known.contains(&name.as_str()));
    unknown.map_or(Ok(()), |(name, _)| Err(refuse(400, format!("Unexpected attribute: {name}"))))
}

/// Ids may be written as numbers.
fn id_of(object: &Value) -> Option<String> {
    match &object["objectID"] {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) if id.is_i64() => Some(id.to_string()),
        _ => None,
    }
}

/// What is saved under an id, which is in it; or why it is not.
fn record(
    state: &FakeState,
    id: Option<String>,
    mut body: Value,
    position: usize,
) -> Result<(String, Value), FakeAnswer> {
    let limit = state.options.record_limit;
    let size = body.to_string().len();
    let id = id.or_else(|| id_of(&body)).unwrap_or_else(|| state.new_id());
    if size > limit {
        let message = format!(
            "Record at the position {position} objectID={id} is too big size={size}/{limit} bytes. Please have a look at \
             https://www.algolia.com/doc/guides/sending-and-managing-data/prepare-your-data/in-depth/index-and-records-size-and-usage-limitations/#record-size-limits"
        );
        return Err(FakeAnswer(400, json!({"message": message, "position": position, "objectID": id, "status": 400})));
    }
    body["objectID"] = Value::String(id.clone());
    Ok((id, body))
}

fn change(state: &FakeState, request: &Value, position: usize) -> Result<(String, Change), FakeAnswer> {
    only(request, &["action", "body"])?;
    let body = &request["body"];
    if !body.is_object() {
        return Err(refuse(400, "Expecting an object in body"));
    }
    match request["action"].as_str() {
        Some("addObject") => {
            record(state, None, body.clone(), position).map(|(id, body)| (id.clone(), Change::Save(id, body)))
        }
        Some(action @ ("updateObject" | "partialUpdateObject" | "deleteObject")) => {
            let id = id_of(body).ok_or_else(|| refuse(400, "objectID is missing"))?;
            if action == "deleteObject" {
                return Ok((id.clone(), Change::Delete(id)));
            }
            // The size of the whole object after a partial update is not checked here.
            let (id, body) = record(state, None, body.clone(), position)?;
            let merge = action == "partialUpdateObject";
            Ok((id.clone(), if merge { Change::Merge(id, body) } else { Change::Save(id, body) }))
        }
        _ => Err(refuse(400, "Invalid action, or one that this double does not offer")),
    }
}

fn changes(state: &FakeState, body: &Value) -> Result<Vec<(String, Change)>, FakeAnswer> {
    only(body, &["requests"])?;
    let requests = body["requests"].as_array().ok_or_else(|| refuse(400, "Expecting an array in requests"))?;
    requests.iter().enumerate().map(|(position, request)| change(state, request, position)).collect()
}

/// All or nothing: one operation that cannot be taken refuses the batch.
pub(super) fn batch(state: &FakeState, index: &str, body: &Value) -> FakeAnswer {
    match changes(state, body) {
        Ok(changes) => {
            let (ids, changes): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
            FakeAnswer::ok(json!({"taskID": state.enqueue(index, changes), "objectIDs": ids}))
        }
        Err(refusal) => refusal,
    }
}

pub(super) fn save_new(state: &FakeState, index: &str, body: Value) -> FakeAnswer {
    match record(state, None, body, 0) {
        Ok((id, object)) => {
            let task = state.enqueue(index, vec![Change::Save(id.clone(), object)]);
            FakeAnswer(201, json!({"createdAt": WHEN, "taskID": task, "objectID": id}))
        }
        Err(refusal) => refusal,
    }
}

pub(super) fn save(state: &FakeState, index: &str, id: &str, body: Value) -> FakeAnswer {
    match record(state, Some(id.to_owned()), body, 0) {
        Ok((id, object)) => {
            let task = state.enqueue(index, vec![Change::Save(id.clone(), object)]);
            FakeAnswer::ok(json!({"updatedAt": WHEN, "taskID": task, "objectID": id}))
        }
        Err(refusal) => refusal,
    }
}

pub(super) fn delete(state: &FakeState, index: &str, id: String) -> FakeAnswer {
    FakeAnswer::ok(json!({"taskID": state.enqueue(index, vec![Change::Delete(id)]), "deletedAt": WHEN}))
}

pub(super) fn clear(state: &FakeState, index: &str) -> FakeAnswer {
    FakeAnswer::ok(json!({"taskID": state.enqueue(index, vec![Change::Clear]), "updatedAt": WHEN}))
}

pub(super) fn object(state: &FakeState, index: &str, id: &str) -> FakeAnswer {
    match state.with_index(index, |objects| objects.get(id).cloned()) {
        None => no_index(index),
        Some(None) => refuse(404, "ObjectID does not exist"),
        Some(Some(object)) => FakeAnswer::ok(object),
    }
}

/// The attributes that are asked for, and the id.
fn select_attributes(object: &Value, wanted: &Value) -> Value {
    let Some(wanted) = wanted.as_array().filter(|wanted| !wanted.contains(&json!("*"))) else { return object.clone() };
    let attributes = object.as_object().into_iter().flatten();
    let kept = attributes.filter(|(name, _)| *name == "objectID" || wanted.contains(&json!(name)));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect::<serde_json::Map<_, _>>().into()
}

pub(super) fn objects(state: &FakeState, body: &Value) -> FakeAnswer {
    let read = || {
        only(body, &["requests"])?;
        let requests = body["requests"].as_array().ok_or_else(|| refuse(400, "Expecting an array in requests"))?;
        if requests.len() as u64 > MOST {
            return Err(refuse(400, "Too many objects, maximum 1000"));
        }
        let found = requests.iter().map(|request| {
            only(request, &["attributesToRetrieve", "objectID", "indexName"])?;
            let (Some(id), Some(index)) = (request["objectID"].as_str(), request["indexName"].as_str()) else {
                return Err(refuse(400, "objectID or indexName is missing"));
            };
            let wanted = &request["attributesToRetrieve"];
            let look =
                |objects: &BTreeMap<String, Value>| objects.get(id).map(|object| select_attributes(object, wanted));
            state.with_index(index, look).ok_or_else(|| no_index(index)).map(|object| object.unwrap_or_default())
        });
        found.collect::<Result<Vec<_>, _>>()
    };
    read().map_or_else(|refusal| refusal, |results| FakeAnswer::ok(json!({"results": results})))
}

/// The size of a page, as the index settings limit it.
fn page_size(body: &Value, default: u64) -> Result<u64, FakeAnswer> {
    match &body["hitsPerPage"] {
        Value::Null => Ok(default),
        size => size
            .as_u64()
            .filter(|size| (1..=MOST).contains(size))
            .ok_or_else(|| refuse(400, "hitsPerPage has to be a number from 1 to 1000")),
    }
}

fn listing(objects: &BTreeMap<String, Value>, hits: Vec<Value>, size: u64) -> Value {
    let all = objects.len() as u64;
    json!({
        "hits": hits, "nbHits": all, "page": 0, "nbPages": all.div_ceil(size), "hitsPerPage": size,
        "processingTimeMS": 1, "query": "", "params": "",
    })
}

/// A cursor is the last id of a page.
pub(super) fn browse(state: &FakeState, index: &str, body: &Value) -> FakeAnswer {
    let read = || {
        only(body, &["cursor", "hitsPerPage", "attributesToRetrieve"])?;
        let size = page_size(body, MOST)?;
        let after = match &body["cursor"] {
            Value::Null => Bound::Unbounded,
            cursor => {
                Bound::Excluded(cursor.as_str().and_then(open_cursor).ok_or_else(|| refuse(400, "Invalid cursor"))?)
            }
        };
        let page = state.with_index(index, |objects| {
            let mut rest = objects.range::<String, _>((after, Bound::Unbounded));
            let hits: Vec<_> = rest.by_ref().take(size as usize).collect();
            let last = hits.last().map(|(id, _)| (*id).clone()).filter(|_| rest.next().is_some());
            let hits =
                hits.into_iter().map(|(_, object)| select_attributes(object, &body["attributesToRetrieve"])).collect();
            let mut page = listing(objects, hits, size);
            if let Some(last) = last {
                page["cursor"] = Value::String(close_cursor(&last));
            }
            page
        });
        page.ok_or_else(|| no_index(index))
    };
    read().map_or_else(|refusal| refusal, FakeAnswer::ok)
}

fn close_cursor(id: &str) -> String {
    id.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn open_cursor(cursor: &str) -> Option<String> {
    let byte = |at| cursor.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let bytes: Option<Vec<u8>> = (0..cursor.len()).step_by(2).map(byte).collect();
    String::from_utf8(bytes?).ok()
}

/// Finds everything: a query of words it does not take.
pub(super) fn query(state: &FakeState, index: &str, body: &Value) -> FakeAnswer {
    let read = || {
        only(body, &["query", "hitsPerPage", "attributesToRetrieve"])?;
        if !matches!(body["query"].as_str(), None | Some("")) {
            return Err(refuse(400, "This double does not search for words"));
        }
        let size = page_size(body, 20)?;
        let page = state.with_index(index, |objects| {
            let wanted = &body["attributesToRetrieve"];
            let hits = objects.values().take(size as usize).map(|object| select_attributes(object, wanted)).collect();
            listing(objects, hits, size)
        });
        page.ok_or_else(|| no_index(index))
    };
    read().map_or_else(|refusal| refusal, FakeAnswer::ok)
}
