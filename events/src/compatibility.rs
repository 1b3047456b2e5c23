//! Owns which changes of a schema break what was written or read by an older one.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What a later schema may not do to an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaChange {
    /// The field, from the top: `data.price`; empty for the event itself.
    pub path: String,
    /// What was done.
    pub what: String,
}

impl std::fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() { "the event" } else { &self.path };
        write!(f, "{path}: {}", self.what)
    }
}

/// Keywords that bind nobody.
const ANNOTATIONS: &[&str] = &[
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];
/// A larger number lets less through.
const LOWER_BOUNDS: &[&str] = &["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"];
/// A smaller number lets less through.
const UPPER_BOUNDS: &[&str] = &["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"];
/// Keywords that are looked into.
const UNDERSTOOD: &[&str] = &["type", "properties", "required", "enum", "const", "items", "allOf", "anyOf", "oneOf"];

/// The incompatible changes from an older schema to a newer one: a field removed, a type narrowed, a field newly required, a word
/// removed, a bound, format or condition tightened. A new optional field, a wider bound and another description are none.
pub fn changes(old: &Value, new: &Value) -> Vec<SchemaChange> {
    let mut found = Vec::new();
    compare(old, new, "", &mut found);
    found.sort();
    found.dedup();
    found
}

fn note(found: &mut Vec<SchemaChange>, path: &str, what: impl Into<String>) {
    found.push(SchemaChange { path: path.to_owned(), what: what.into() });
}

fn compare(old: &Value, new: &Value, path: &str, found: &mut Vec<SchemaChange>) {
    let nothing = Map::new();
    let (old, new) = match (old, new) {
        // A schema that is `false` lets nothing through, one that is `true` everything.
        (Value::Bool(false), _) | (_, Value::Bool(true)) => return,
        (_, Value::Bool(false)) => return note(found, path, "nothing is allowed any more"),
        (Value::Object(old), Value::Object(new)) => (old, new),
        (_, Value::Object(new)) => (&nothing, new),
        _ => return note(found, path, "the schema cannot be read"),
    };
    types(old, new, path, found);
    words(old, new, path, found);
    bounds(old, new, path, found);
    fields(old, new, path, found);
    if let Some(items) = new.get("items") {
        compare(old.get("items").unwrap_or(&Value::Bool(true)), items, &format!("{path}[]"), found);
    }
    for keyword in ["anyOf", "oneOf"] {
        alternatives(old.get(keyword), new.get(keyword), path, found);
    }
    conditions(old.get("allOf"), new.get("allOf"), path, found);
    others(old, new, path, found);
}

/// The types that a schema allows; `None` for all.
fn list_types(schema: &Map<String, Value>) -> Option<BTreeSet<&str>> {
    match schema.get("type")? {
        Value::String(one) => Some(BTreeSet::from([one.as_str()])),
        Value::Array(some) => Some(some.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

fn types(old: &Map<String, Value>, new: &Map<String, Value>, path: &str, found: &mut Vec<SchemaChange>) {
    let Some(after) = list_types(new) else { return };
    let holds = |kind: &str| after.contains(kind) || (kind == "integer" && after.contains("number"));
    match list_types(old) {
        None => note(found, path, "the type is narrowed: any was allowed"),
        Some(before) => {
            let lost: Vec<&str> = before.into_iter().filter(|kind| !holds(kind)).collect();
            if !lost.is_empty() {
                note(found, path, format!("the type is narrowed: {} is not allowed any more", lost.join(", ")));
            }
        }
    }
}

/// The values that a schema lists; `None` for any.
fn list_values(schema: &Map<String, Value>) -> Option<Vec<&Value>> {
    let list = schema.get("enum").and_then(Value::as_array).map(|values| values.iter().collect());
    list.or_else(|| schema.get("const").map(|value| vec![value]))
}

fn words(old: &Map<String, Value>, new: &Map<String, Value>, path: &str, found: &mut Vec<SchemaChange>) {
    let Some(after) = list_values(new) else { return };
    let Some(before) = list_values(old) else { return note(found, path, "only listed values are allowed now") };
    let lost: Vec<String> = before.into_iter().filter(|value| !after.contains(value)).map(Value::to_string).collect();
    if !lost.is_empty() {
        note(found, path, format!("a value is removed: {}", lost.join(", ")));
    }
}

fn bounds(old: &Map<String, Value>, new: &Map<String, Value>, path: &str, found: &mut Vec<SchemaChange>) {
    let number = |schema: &Map<String, Value>, keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let lower = LOWER_BOUNDS.iter().map(|keyword| (*keyword, 1.0));
    for (keyword, sign) in lower.chain(UPPER_BOUNDS.iter().map(|keyword| (*keyword, -1.0))) {
        let Some(after) = number(new, keyword) else { continue };
        if number(old, keyword).is_none_or(|before| after * sign > before * sign) {
            note(found, path, format!("{keyword} is tightened"));
        }
    }
    for keyword in ["format", "pattern", "multipleOf", "uniqueItems"] {
        let after = new.get(keyword).filter(|value| **value != Value::Bool(false));
        if after.is_some_and(|after| old.get(keyword) != Some(after)) {
            note(found, path, format!("{keyword} is new or another"));
        }
    }
}

fn names(schema: &Map<String, Value>, keyword: &str) -> BTreeSet<String> {
    let list = schema.get(keyword).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn fields(old: &Map<String, Value>, new: &Map<String, Value>, path: &str, found: &mut Vec<SchemaChange>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let properties = |schema: &Map<String, Value>| schema.get("properties").and_then(Value::as_object).cloned();
    let (before, after) = (properties(old).unwrap_or_default(), properties(new).unwrap_or_default());
    for (name, schema) in &before {
        match after.get(name) {
            None => note(found, &below(name), "the field is removed"),
            Some(later) => compare(schema, later, &below(name), found),
        }
    }
    for name in names(new, "required").difference(&names(old, "required")) {
        note(found, &below(name), "the field is required now");
    }
    if let Some(rest) = new.get("additionalProperties") {
        compare(old.get("additionalProperties").unwrap_or(&Value::Bool(true)), rest, &below("*"), found);
    }
}

/// Each alternative that was there has one now that takes what it took.
fn alternatives(old: Option<&Value>, new: Option<&Value>, path: &str, found: &mut Vec<SchemaChange>) {
    let Some(after) = new.and_then(Value::as_array) else { return };
    let Some(before) = old.and_then(Value::as_array) else { return note(found, path, "there are alternatives now") };
    if !before.iter().all(|one| after.iter().any(|later| changes(one, later).is_empty())) {
        note(found, path, "an alternative is removed or tightened");
    }
}

/// Each condition of now was there before.
fn conditions(old: Option<&Value>, new: Option<&Value>, path: &str, found: &mut Vec<SchemaChange>) {
    let list = |schema: Option<&Value>| schema.and_then(Value::as_array).cloned().unwrap_or_default();
    let before = list(old);
    if !list(new).iter().all(|condition| before.contains(condition)) {
        note(found, path, "a condition is new or another");
    }
}

/// Keywords that are judged by nothing above may not differ.
fn others(old: &Map<String, Value>, new: &Map<String, Value>, path: &str, found: &mut Vec<SchemaChange>) {
    const BOUNDS: &[&str] = &["format", "pattern", "multipleOf", "uniqueItems", "additionalProperties"];
    let known = [ANNOTATIONS, LOWER_BOUNDS, UPPER_BOUNDS, UNDERSTOOD, BOUNDS].concat();
    for (keyword, value) in new.iter().filter(|(keyword, _)| !known.contains(&keyword.as_str())) {
        if old.get(keyword) != Some(value) {
            note(found, path, format!("{keyword} is new or another, and is not understood here"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    type Twist = Box<dyn FnOnce(&mut Value)>;

    fn base() -> Value {
        json!({"type": "object", "description": "An event.", "required": ["id"], "properties": {
            "id": {"type": "string", "maxLength": 512},
            "price": {"type": ["number", "string"], "minimum": 0},
            "status": {"enum": ["a", "b", null]},
            "at": {"type": "string", "format": "date-time"},
            "size": {"type": "integer"},
            "list": {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 10},
            "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        }})
    }

    fn changed(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut new = base();
        change(&mut new);
        changes(&base(), &new).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_breaks_others_is_found() {
        let cases: Vec<(&str, Twist)> = vec![
            (
                "price: the field is removed",
                Box::new(|new| drop(new["properties"].as_object_mut().unwrap().remove("price"))),
            ),
            (
                "price: the type is narrowed: string",
                Box::new(|new| new["properties"]["price"]["type"] = json!("number")),
            ),
            ("price: the field is required now", Box::new(|new| new["required"] = json!(["id", "price"]))),
            (
                "status: a value is removed: \"b\"",
                Box::new(|new| new["properties"]["status"] = json!({"enum": ["a", null]})),
            ),
            ("status: a value is removed: \"b\"", Box::new(|new| new["properties"]["status"] = json!({"const": "a"}))),
            ("id: maxLength is tightened", Box::new(|new| new["properties"]["id"]["maxLength"] = json!(100))),
            ("price: minimum is tightened", Box::new(|new| new["properties"]["price"]["minimum"] = json!(1))),
            ("id: minLength is tightened", Box::new(|new| new["properties"]["id"]["minLength"] = json!(1))),
            ("at: format is new or another", Box::new(|new| new["properties"]["at"]["format"] = json!("date"))),
            ("id: pattern is new or another", Box::new(|new| new["properties"]["id"]["pattern"] = json!("^a"))),
            ("id: only listed values", Box::new(|new| new["properties"]["id"]["enum"] = json!(["a"]))),
            (
                "list[]: minLength is tightened",
                Box::new(|new| new["properties"]["list"]["items"]["minLength"] = json!(2)),
            ),
            ("list: maxItems is tightened", Box::new(|new| new["properties"]["list"]["maxItems"] = json!(9))),
            (
                "either: an alternative is removed",
                Box::new(|new| new["properties"]["either"]["anyOf"] = json!([{"type": "string"}])),
            ),
            ("*: nothing is allowed any more", Box::new(|new| new["additionalProperties"] = json!(false))),
            ("the event: a condition is new", Box::new(|new| new["allOf"] = json!([{"required": ["at"]}]))),
            ("the event: dependentRequired", Box::new(|new| new["dependentRequired"] = json!({"id": ["at"]}))),
        ];
        for (expected, change) in cases {
            let found = changed(change);
            assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}: {found:?}");
        }
    }

    #[test]
    fn what_breaks_nobody_is_left_alone() {
        let cases: Vec<Twist> = vec![
            Box::new(|_| {}),
            Box::new(|new| new["properties"]["more"] = json!({"type": "string", "minLength": 3})),
            Box::new(|new| new["properties"]["id"]["maxLength"] = json!(1024)),
            Box::new(|new| new["description"] = json!("Another.")),
            Box::new(|new| new["properties"]["price"]["description"] = json!("Another.")),
            Box::new(|new| new["properties"]["price"]["minimum"] = json!(-1)),
            Box::new(|new| new["properties"]["status"] = json!({"enum": ["a", "b", "c", null]})),
            Box::new(|new| new["properties"]["size"]["type"] = json!("number")),
            Box::new(|new| new["properties"]["at"] = json!({"type": ["string", "null"]})),
            Box::new(|new| new["required"] = json!([])),
            Box::new(|new| {
                new["properties"]["either"]["anyOf"] =
                    json!([{"type": "null"}, {"type": "string"}, {"type": "integer"}])
            }),
        ];
        for (number, change) in cases.into_iter().enumerate() {
            assert_eq!(changed(change), Vec::<String>::new(), "{number}");
        }
    }
}
