//! Owns the JSON Schemas of the events, made from their types.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::rules::{condition, rules};
use crate::{EventName, EventVersion};

/// A field of an event, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDescription {
    pub name: &'static str,
    /// Such as `string, date-time`.
    pub kind: String,
    pub required: bool,
    pub meaning: String,
}

/// The schema of the data of an event.
fn data(name: EventName) -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut generator = SchemaGenerator::new(settings);
    let mut schema = name.object_schema(&mut generator).to_value();
    let mut object = schema.as_object_mut().map(std::mem::take).unwrap_or_default();
    object.remove("title");
    let conditions: Vec<Value> = rules(name).iter().map(condition).collect();
    if !conditions.is_empty() {
        object.insert("allOf".to_owned(), conditions.into());
    }
    object
}

fn id() -> Value {
    json!({"type": ["string", "null"], "minLength": 1, "maxLength": 512, "pattern": r"^[^\x00-\x1f\x7f]+$",
        "description": "Tells events apart; of a record without one it is made of topic, payload and time."})
}

fn timestamp() -> Value {
    json!({"type": ["string", "null"], "format": "date-time",
        "description": "When it happened; without one, the time of the record. At most 24 hours ahead of it."})
}

/// The JSON Schema (2020-12) of an event in a version. It says what producers are to write; the reader takes more.
pub fn schema(name: EventName, version: EventVersion) -> Value {
    let data = data(name);
    let object = match version {
        EventVersion::V1 => bare(data),
        EventVersion::V2 => envelope(name, data),
    };
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".to_owned(), format!("{name} {}", version.as_str()).into());
    schema.extend(object);
    Value::Object(schema)
}

fn bare(mut data: Map<String, Value>) -> Map<String, Value> {
    if let Some(properties) = data.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("id".to_owned(), id());
        properties.insert(
            "version".to_owned(),
            json!({"enum": ["1.0", null], "description": "The version of the event; none is 1.0."}),
        );
        properties.insert("timestamp".to_owned(), timestamp());
    }
    data
}

fn envelope(name: EventName, data: Map<String, Value>) -> Map<String, Value> {
    let envelope = json!({
        "type": "object",
        "description": data.get("description").cloned().unwrap_or_default(),
        "properties": {
            "id": id(),
            "version": {"const": "2.0", "description": "The version of the event."},
            "type": {"enum": [name.as_str(), null], "description": "The event's name; without one, that of the topic."},
            "timestamp": timestamp(),
            "data": data,
        },
        "required": ["version", "data"],
    });
    match envelope {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// The fields that the data of an event has to have, always.
pub fn list_required(name: EventName) -> Vec<String> {
    let data = data(name);
    let names = data.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The fields of the data of an event, in their order.
pub fn fields(name: EventName) -> Vec<FieldDescription> {
    let (data, required) = (data(name), list_required(name));
    let describe = |field: &&'static str| {
        let schema = data.get("properties").and_then(|properties| properties.get(*field));
        FieldDescription {
            name: field,
            kind: schema.map(kind).unwrap_or_default(),
            required: required.iter().any(|name| name == field),
            meaning: text(schema, "description").unwrap_or_default(),
        }
    };
    name.field_names().iter().map(describe).collect()
}

fn text(schema: Option<&Value>, keyword: &str) -> Option<String> {
    Some(schema?.get(keyword)?.as_str()?.to_owned())
}

/// What a value is, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<String> = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
        Some(Value::String(one)) => vec![one],
        _ => Vec::new(),
    };
    let mut kind = types.join(" or ");
    if let Some(items) = schema.get("items") {
        kind = format!("list of {}", self::kind(items));
    }
    match text(Some(schema), "format") {
        Some(format) => format!("{kind}, {format}"),
        None => kind,
    }
}
