//! `events list` and `events show`: the catalogue, and what the brokers have of it.

use ::events::{EventName, EventVersion, FieldDescription, example, fields, schema, write};
use pipeline::dead_letters::topic_of;
use pipeline::kafka::topic_names;
use serde_json::{Value, json};

use super::super::{CommandFailure, print_json, print_line as print};
use super::{pretty, topic, unreachable};
use crate::config::Config;

/// Lists the events; live, with what the brokers have.
///
/// # Errors
/// Live: a topic is missing or unknown; the brokers do not answer.
pub(super) fn list(config: &Config, live: bool, as_json: bool) -> Result<(), CommandFailure> {
    let there = if live {
        Some(topic_names(&config.kafka.client_config()).map_err(|why| unreachable(config, &why))?)
    } else {
        None
    };
    let (mut missing, names) = (0, EventName::ALL.iter().map(|name| topic(config, *name)));
    let width = names.map(|name| name.len()).max().unwrap_or_default();
    for name in EventName::ALL {
        let topic = topic(config, *name);
        let found = there.as_ref().map(|there| there.contains(&topic));
        missing += usize::from(found == Some(false));
        if as_json {
            print_json(&json!({"name": name.as_str(), "topic": topic, "key": name.key_field(),
                "service": name.service().as_str(), "meaning": name.meaning(), "exists": found}))?;
        } else {
            let state = found.map_or("", |found| if found { "there    " } else { "missing  " });
            print(&format!("{state}{topic:width$}  {:14}  {}", name.key_field(), name.meaning()))?;
        }
    }
    let unknown = unknown(config, &there.unwrap_or_default());
    for topic in &unknown {
        if as_json {
            print_json(&json!({"name": null, "topic": topic, "exists": true}))?;
        } else {
            print(&format!("unknown  {topic}"))?;
        }
    }
    if missing + unknown.len() == 0 {
        return Ok(());
    }
    let what = format!("{missing} topics of the catalogue are missing, {} are not in it", unknown.len());
    Err(CommandFailure::findings(what))
}

/// Topics that are named as events are, and are none, nor the dead letters of one.
fn unknown(config: &Config, there: &[String]) -> Vec<String> {
    let known: Vec<String> = EventName::ALL.iter().map(|name| topic(config, *name)).collect();
    let is_known = |topic: &String| known.contains(topic) || known.iter().any(|known| topic_of(known) == *topic);
    let kinds = known.iter().filter_map(|topic| {
        let name = topic.strip_prefix(config.event_topic_prefix.as_str())?;
        Some(format!("{}{}.", config.event_topic_prefix, name.split('.').next()?))
    });
    let kinds: Vec<String> = kinds.collect();
    let of_events = |topic: &&String| kinds.iter().any(|kind| topic.starts_with(kind.as_str()));
    let mut unknown: Vec<String> = there.iter().filter(of_events).filter(|topic| !is_known(topic)).cloned().collect();
    unknown.sort();
    unknown
}

/// Shows an event.
///
/// # Errors
/// When stdout is closed.
pub(super) fn show(
    config: &Config,
    name: EventName,
    version: EventVersion,
    as_json: bool,
) -> Result<(), CommandFailure> {
    let topic = topic(config, name);
    if as_json {
        let field = |field: FieldDescription| {
            let FieldDescription { name, kind, required, meaning } = field;
            json!({"name": name, "type": kind, "required": required, "meaning": meaning})
        };
        let [old, new] = EventVersion::ALL;
        return print_json(&json!({
            "name": name.as_str(), "topic": topic, "key": name.key_field(), "service": name.service().as_str(),
            "meaning": name.meaning(), "fields": fields(name).into_iter().map(field).collect::<Vec<_>>(),
            "schemas": {"1.0": schema(name, old), "2.0": schema(name, new)},
            "examples": {"1.0": sample(name, old)?, "2.0": sample(name, new)?},
        }));
    }
    print(&format!("{topic}: {}", name.meaning()))?;
    print(&format!("key: {}    produced by: {}\n", name.key_field(), name.service().as_str()))?;
    let fields = fields(name);
    let width = |of: fn(&FieldDescription) -> usize| fields.iter().map(of).max().unwrap_or_default();
    let (names, kinds) = (width(|field| field.name.len()), width(|field| field.kind.len()));
    for FieldDescription { name, kind, required, meaning } in &fields {
        let required = if *required { "required" } else { "" };
        print(&format!("{name:names$}  {kind:kinds$}  {required:8}  {meaning}"))?;
    }
    print(&format!("\nschema of version {}:\n{}", version.as_str(), pretty(&schema(name, version))?))?;
    print(&format!("\nexample:\n{}", pretty(&sample(name, version)?)?))
}

fn sample(name: EventName, version: EventVersion) -> Result<Value, CommandFailure> {
    let internal = |error: String| CommandFailure::internal(error);
    let event = example(name, version).map_err(|error| internal(error.to_string()))?;
    let payload = write(&event).map_err(|error| internal(error.to_string()))?;
    serde_json::from_slice(&payload).map_err(|error| internal(error.to_string()))
}
