//! `events emit`: one event, read as the consumers read it before it is sent.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use ::events::{
    CloudAttributes, Event, EventName, EventProducer, EventProducerOptions, EventRecord, EventVersion, Id,
    ProducerError, example, read, write,
};
use chrono::{SecondsFormat, Utc};
use clap::Args;
use rdkafka::types::RDKafkaErrorCode;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::super::publish::Publisher;
use super::super::{CommandFailure, block_on, print_json, print_line as print};
use super::{find, topic, version};
use crate::config::Config;

/// What the events are said to come from.
const SOURCE: &str = "millrace";

/// `millrace events emit`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace events emit content.post.liked --example --dry-run
  millrace events emit content.post.liked --file event.json")]
pub struct EmitArgs {
    /// The event, such as content.post.liked
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The payload; - for stdin. Without --field, --id and --version it is sent as it is
    #[arg(long, value_name = "FILE", conflicts_with = "example")]
    pub file: Option<PathBuf>,
    /// A field of the event; the value is JSON, or else a string. May be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub field: Vec<String>,
    /// Begin with the example of the catalogue
    #[arg(long)]
    pub example: bool,
    /// The event's id [default: that of the payload, or a new one]
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// The version it is written in [default: that of the payload, or 2.0]
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub version: Option<EventVersion>,
    /// Write the headers of a CloudEvent
    #[arg(long)]
    pub cloudevents: bool,
    /// Print the payload instead of sending it
    #[arg(long)]
    pub dry_run: bool,
    /// Partitions of the topic, when it is missing and has to be created
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
}

type RawFields = BTreeMap<String, Box<RawValue>>;

/// Sends one event and prints where it stands.
///
/// # Errors
/// It is no such event, or was not acknowledged.
pub(super) fn emit(args: &EmitArgs, config: &Config) -> Result<(), CommandFailure> {
    let name = find(&args.name)?;
    let topic = topic(config, name);
    let (event, payload) = compose(args, name, &topic)?;
    if args.dry_run {
        return print(&String::from_utf8_lossy(&payload));
    }
    let mut publisher = Publisher::connect(config, &topic)?;
    publisher.ensure_topics(args.partitions, config.kafka.topic_replication)?;
    let options = EventProducerOptions {
        topic_prefix: config.event_topic_prefix.clone(),
        cloud_source: args.cloudevents.then(|| SOURCE.to_owned()),
        ..EventProducerOptions::default()
    };
    let producer = EventProducer::new(&config.kafka.client_config(), options).map_err(|error| failure(&error))?;
    let sent = block_on(async { producer.send_payload(&event, &payload).await.map_err(|error| failure(&error)) })?;
    print_json(&json!({"event": name.as_str(), "id": sent.id.as_str(), "key": event.data.key(),
        "topic": sent.topic, "partition": sent.partition, "offset": sent.offset}))
}

fn failure(error: &ProducerError) -> CommandFailure {
    let message = error.to_string();
    match error {
        ProducerError::Settings(_) => CommandFailure::config(message),
        ProducerError::Unwritable(_) => CommandFailure::usage(message),
        ProducerError::Unacknowledged { error, .. } => match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageTimedOut | RDKafkaErrorCode::AllBrokersDown) => {
                CommandFailure::unavailable(message)
            }
            _ => CommandFailure::again(message),
        },
    }
}

/// The event, and its payload as it is sent.
fn compose(args: &EmitArgs, name: EventName, topic: &str) -> Result<(Event, Vec<u8>), CommandFailure> {
    let given = args.file.as_deref().map(payload_of).transpose()?;
    let as_it_is = args.field.is_empty() && args.version.is_none() && args.id.is_none();
    if let Some(payload) = &given
        && as_it_is
    {
        return Ok((decode_event(name, topic, payload)?, payload.clone()));
    }
    let fields = args.field.iter().map(|field| parse(field)).collect::<Result<Vec<_>, _>>()?;
    let base = match given {
        Some(payload) => payload,
        None => fresh(args, name)?,
    };
    let mut event = decode_event(name, topic, &with_fields(&base, fields)?)?;
    event.version = args.version.unwrap_or(event.version);
    if let Some(id) = &args.id {
        event.id = Id::new(id.as_str()).map_err(|invalid| CommandFailure::usage(format!("--id: {invalid}")))?;
    }
    let payload = write(&event).map_err(|error| CommandFailure::internal(error.to_string()))?;
    Ok((event, payload))
}

fn payload_of(file: &Path) -> Result<Vec<u8>, CommandFailure> {
    let read = if file == Path::new("-") {
        let mut payload = Vec::new();
        std::io::stdin().read_to_end(&mut payload).map(|_| payload)
    } else {
        std::fs::read(file)
    };
    read.map_err(|error| CommandFailure::usage(format!("{}: {error}", file.display())))
}

/// An envelope under a new id that happens now: around the example, or around nothing.
fn fresh(args: &EmitArgs, name: EventName) -> Result<Vec<u8>, CommandFailure> {
    let internal = |error: String| CommandFailure::internal(error);
    let data = if args.example {
        let event = example(name, EventVersion::V2).map_err(|error| internal(error.to_string()))?;
        serde_json::to_string(&event.data).map_err(|error| internal(error.to_string()))?
    } else {
        "{}".to_owned()
    };
    let (id, now) = (Uuid::new_v4(), Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true));
    let head = format!(r#"{{"id":"{id}","version":"2.0","type":"{name}","timestamp":"{now}","data":{data}}}"#);
    Ok(head.into_bytes())
}

/// As the consumers read it.
fn decode_event(name: EventName, topic: &str, payload: &[u8]) -> Result<Event, CommandFailure> {
    let now = Some(Utc::now().timestamp_millis());
    let record = EventRecord { topic, payload, timestamp_ms: now, cloud: CloudAttributes::default() };
    read(name, &record).map_err(|error| CommandFailure::usage(format!("this is no {name}: {error}")))
}

fn parse(field: &str) -> Result<(String, Box<RawValue>), CommandFailure> {
    let (name, text) = field
        .split_once('=')
        .ok_or_else(|| CommandFailure::usage("--field is NAME=VALUE, such as price=12.50 or userId=u1"))?;
    let value = match RawValue::from_string(text.to_owned()) {
        Ok(value) => value,
        Err(_) => to_raw_value(text).map_err(|error| CommandFailure::internal(error.to_string()))?,
    };
    Ok((name.to_owned(), value))
}

/// The payload with these fields set, where the fields of its version stand.
fn with_fields(payload: &[u8], fields: Vec<(String, Box<RawValue>)>) -> Result<Vec<u8>, CommandFailure> {
    if fields.is_empty() {
        return Ok(payload.to_vec());
    }
    // It tells no value of the payload: only where it is no JSON.
    let unreadable = |_| CommandFailure::usage("the payload is not a JSON object, so --field cannot be set in it");
    let internal = |error: serde_json::Error| CommandFailure::internal(error.to_string());
    let mut outer: RawFields = serde_json::from_slice(payload).map_err(unreadable)?;
    let enveloped = outer.get("version").is_some_and(|version| version.get() == "\"2.0\"");
    if enveloped {
        let data = outer.get("data").map(|data| serde_json::from_str(data.get())).transpose().map_err(unreadable)?;
        let mut data: RawFields = data.unwrap_or_default();
        data.extend(fields);
        outer.insert("data".to_owned(), to_raw_value(&data).map_err(internal)?);
    } else {
        outer.extend(fields);
    }
    serde_json::to_vec(&outer).map_err(internal)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::CommandExit;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: EmitArgs,
    }

    fn payload(words: &[&str]) -> Result<String, CommandFailure> {
        let args = Line::parse_from([&["emit"], words].concat()).args;
        let name = find(&args.name)?;
        compose(&args, name, name.as_str()).map(|(_, payload)| String::from_utf8(payload).unwrap())
    }

    #[test]
    fn fields_make_an_event_and_digits_stay() {
        let words =
            ["subscription.tier.created", "--field", "tierId=t", "--field", "creatorId=c", "--field", "currency=EUR"];
        let made = payload(&[&words[..], &["--field", "price=12345678901234567890.5", "--id", "e1"]].concat()).unwrap();
        assert!(
            made.starts_with(r#"{"id":"e1","version":"2.0","type":"subscription.tier.created","timestamp":"#),
            "{made}"
        );
        assert!(made.contains(r#""price":12345678901234567890.5,"#), "{made}");
        let bare = payload(&[&words[..], &["--field", "price=1", "--version", "1.0"]].concat()).unwrap();
        assert!(bare.contains(r#""version":"1.0""#) && !bare.contains("data"), "{bare}");
        let missing = payload(&words).unwrap_err();
        assert_eq!(missing.code, CommandExit::Usage);
        assert!(missing.message.contains("`data.price` is missing"), "{missing}");
    }

    #[test]
    fn the_example_can_be_changed_and_a_file_goes_as_it_is() {
        let made = payload(&["content.post.liked", "--example", "--field", "userId=\"007\""]).unwrap();
        assert!(made.contains(r#""data":{"postId":"post_4","userId":"007"}"#), "{made}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("event.json");
        let text = r#"{ "postId": "p", "userId": "u", "more": 1e400 }"#;
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        assert_eq!(payload(&["content.post.liked", "--file", file]).unwrap(), text);
        let set = payload(&["content.post.liked", "--file", file, "--field", "userId=v"]).unwrap();
        assert!(set.contains(r#""version":"1.0""#) && set.contains(r#""userId":"v""#), "{set}");
        assert!(payload(&["media.deleted", "--file", file]).unwrap_err().message.contains("`mediaId` is missing"));
        assert!(payload(&["content.post.like"]).unwrap_err().message.contains("content.post.liked"));
    }
}
