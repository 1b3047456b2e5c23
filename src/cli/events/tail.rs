//! `events tail`: the events as they come, without a consumer group.

use std::ops::ControlFlow;

use ::events::{CloudAttributes, DecodeError, Event, EventData, EventName, EventRecord, read};
use clap::Args;
use pipeline::Record;
use pipeline::kafka::{FollowFrom, follow};
use serde::Serialize;

use super::super::{CommandFailure, print_json, print_line as print};
use super::{find, topic, unreachable};
use crate::config::Config;

/// `millrace events tail`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace events tail
  millrace events tail subscription.created --from-beginning --limit 10")]
pub struct TailArgs {
    /// The events that are followed [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Begin with what is there
    #[arg(long)]
    pub from_beginning: bool,
    /// End after so many records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// One JSON object a record
    #[arg(long)]
    pub json: bool,
}

/// A record as it is printed.
#[derive(Serialize)]
struct TailLine<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a EventData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
}

/// Prints a line a record until it is stopped.
///
/// # Errors
/// The brokers do not answer.
pub(super) fn tail(args: &TailArgs, config: &Config) -> Result<(), CommandFailure> {
    let named: Result<Vec<EventName>, _> = args.names.iter().map(|name| find(name)).collect();
    let names = Some(named?).filter(|names| !names.is_empty()).unwrap_or_else(|| EventName::ALL.to_vec());
    let topics: Vec<String> = names.iter().map(|name| topic(config, *name)).collect();
    let from = if args.from_beginning { FollowFrom::Start } else { FollowFrom::End };
    let (mut left, mut failed) = (args.limit, None);
    let each = |record: Record| {
        if let Err(failure) = show(config, &record, args.json) {
            failed = Some(failure);
            return ControlFlow::Break(());
        }
        left = left.map(|left| left - 1);
        if left == Some(0) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let following = |partitions: usize| tracing::info!(partitions, "Following");
    let followed = follow(&config.kafka.client_config(), &topics, from, following, each);
    followed.map_err(|error| unreachable(config, &error.to_string()))?;
    failed.map_or(Ok(()), Err)
}

fn decode_record(config: &Config, record: &Record) -> Result<Event, DecodeError> {
    let none = |class, reason: &str| DecodeError { class, reason: reason.to_owned() };
    let name = record.at.topic.strip_prefix(config.event_topic_prefix.as_str()).and_then(EventName::find);
    let name = name.ok_or_else(|| none("unknown_event_type", "the topic is none of an event"))?;
    let payload = record.payload.as_deref().ok_or_else(|| none("null_payload", "the record has no payload"))?;
    let headers = record.headers.iter().map(|header| (header.name.as_str(), header.value.as_deref()));
    let cloud = CloudAttributes::of_headers(headers);
    read(name, &EventRecord { topic: &record.at.topic, payload, timestamp_ms: record.time_ms(), cloud })
}

fn show(config: &Config, record: &Record, as_json: bool) -> Result<(), CommandFailure> {
    let event = decode_record(config, record);
    let key = record.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned());
    let time = event.as_ref().ok().map(|event| {
        let mut text = Vec::new();
        event.time.write_rfc3339(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    if as_json {
        return print_json(&TailLine {
            topic: &record.at.topic,
            partition: record.at.partition,
            offset: record.offset,
            key,
            id: event.as_ref().ok().map(|event| event.id.as_str()),
            time,
            version: event.as_ref().ok().map(|event| event.version.as_str()),
            data: event.as_ref().ok().map(|event| &event.data),
            unreadable: event.as_ref().err().map(ToString::to_string),
        });
    }
    let place = format!("{}@{}", record.at, record.offset);
    let key = key.map_or_else(|| "no key".to_owned(), |key| format!("key {key}"));
    match event {
        Ok(event) => {
            let data =
                serde_json::to_string(&event.data).map_err(|error| CommandFailure::internal(error.to_string()))?;
            print(&format!("{}  {place}  {key}  id {}  {data}", time.unwrap_or_default(), event.id))
        }
        Err(error) => print(&format!("unreadable  {place}  {key}  {error}")),
    }
}
