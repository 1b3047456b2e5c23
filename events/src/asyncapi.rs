//! Owns the AsyncAPI document of the catalogue.

use serde_json::{Map, Value, json};

use crate::{EventName, EventVersion, example, schema, write};

/// What the reactions themselves send.
const SENT: &[EventName] = &[EventName::SubscriptionUpdated, EventName::MediaDeleted];

/// The catalogue as an AsyncAPI 3.0 document, as the reactions see it: they receive every event, and send some.
/// `prefix` stands before the names of the topics, `brokers` are host:port, separated by commas.
///
/// # Errors
/// None that is known.
pub fn asyncapi(prefix: &str, brokers: &str) -> Result<Value, String> {
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for name in EventName::ALL {
        let mut of_channel = Map::new();
        for version in EventVersion::ALL {
            let key = message_key(*name, version);
            of_channel.insert(version.as_str().to_owned(), reference(&format!("components/messages/{key}")));
            messages.insert(key, message(*name, version)?);
        }
        let address = format!("{prefix}{name}");
        channels.insert(
            name.as_str().to_owned(),
            json!({
                "address": address,
                "description": name.meaning(),
                "messages": of_channel,
                "tags": [{"name": name.service().as_str()}],
                "bindings": {"kafka": {"topic": address, "bindingVersion": "0.5.0"}},
            }),
        );
        let actions = [("receive", true), ("send", SENT.contains(name))];
        for (action, _) in actions.into_iter().filter(|(_, does)| *does) {
            operations.insert(
                format!("{action}.{name}"),
                json!({"action": action, "channel": reference(&format!("channels/{name}"))}),
            );
        }
    }
    let servers = brokers.split(',').map(str::trim).filter(|host| !host.is_empty()).enumerate();
    let servers: Map<String, Value> =
        servers.map(|(n, host)| (format!("kafka{n}"), json!({"host": host, "protocol": "kafka"}))).collect();
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Events between services",
            "version": "2.0.0",
            "description": "A topic each, named as the event. Version 1.0 is a bare object, version 2.0 an envelope.",
        },
        "defaultContentType": "application/json",
        "servers": servers,
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "messageTraits": {"cloudEvent": cloud_event()}},
    }))
}

fn message_key(name: EventName, version: EventVersion) -> String {
    format!("{name}.{}", version.as_str())
}

fn reference(path: &str) -> Value {
    json!({"$ref": format!("#/{path}")})
}

fn message(name: EventName, version: EventVersion) -> Result<Value, String> {
    let event = example(name, version).map_err(|error| error.to_string())?;
    let payload = write(&event).map_err(|error| error.to_string())?;
    let payload: Value = serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
    let mut schema = schema(name, version);
    // The document's own dialect is Draft 7, and these schemas use nothing beyond it.
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
    }
    Ok(json!({
        "name": name.as_str(),
        "title": format!("{name} {}", version.as_str()),
        "summary": name.meaning(),
        "contentType": "application/json",
        "payload": schema,
        "examples": [{"name": "example", "payload": payload}],
        "traits": [reference("components/messageTraits/cloudEvent")],
        "bindings": {"kafka": {
            "key": {"type": "string", "description": format!("The value of `{}`.", name.key_field())},
            "bindingVersion": "0.5.0",
        }},
    }))
}

/// Headers that may be there.
fn cloud_event() -> Value {
    json!({"headers": {"type": "object", "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "description": "The event's id, where the payload has none."},
        "ce_type": {"type": "string"},
        "ce_source": {"type": "string", "format": "uri-reference"},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it happened, where the payload does not say."},
    }}})
}
