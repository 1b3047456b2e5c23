//! `millrace dlq`: what is in the dead letters, grouped by cause, one by one, mended, and through the pipeline again.

mod causes;
mod mend;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine};
use clap::{Args, Subcommand};
use pipeline::dead_letters::topic_of;
use pipeline::kafka::{StateTopic, read_topic};
use pipeline::offsets::settled::{Settled, settle as settle_entry};
use pipeline::sink::Order;
use pipeline::state::StateEntry;
use pipeline::{Outcome, Record, Tally, TopicPartition};
use serde_json::{Map, Value, json};

use super::{CommandFailure, print_line as print};
use crate::config::Config;
use crate::maintenance::dead_letters::StoredDeadLetter;
use crate::maintenance::replay::{Replayed, replay_letters};
use crate::run::blocking::blocking;
use crate::run::consumer::engine_options;
use crate::systems::{self, Definition, Setup};

/// `millrace dlq`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace dlq list
  millrace dlq show --at transactions/3/20")]
pub struct DlqArgs {
    #[command(subcommand)]
    pub command: DlqCommand,
}

/// What to do with dead letters.
#[derive(Clone, Debug, Subcommand)]
pub enum DlqCommand {
    /// Count them, grouped by cause
    #[command(after_help = "Examples:
  millrace dlq list
  millrace dlq list --system database --json")]
    List {
        #[command(flatten)]
        filter: LetterFilter,
        /// One JSON object instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Show them, one JSON object a letter, with headers and payload
    #[command(after_help = "Examples:
  millrace dlq show --class bad_timestamp --limit 5
  millrace dlq show --at transactions/3/20 --payload letter.json")]
    Show {
        #[command(flatten)]
        filter: LetterFilter,
        /// At most so many
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: usize,
        /// Write the payload of the letter that --at names to this file, byte for byte
        #[arg(long, requires = "at", value_name = "FILE")]
        payload: Option<PathBuf>,
    },
    /// Process them again; a letter whose document has become newer meanwhile changes nothing. What came through is not shown again
    #[command(after_help = "Examples:
  millrace dlq replay --class bad_timestamp --dry-run
  millrace dlq replay --at transactions/3/20 --payload letter.json")]
    Replay {
        #[command(flatten)]
        filter: LetterFilter,
        /// Only say which letters would be replayed
        #[arg(long)]
        dry_run: bool,
        /// Send what this file holds, in place of the payload of the letter that --at names, to the source topic
        #[arg(long, requires = "at", conflicts_with = "dry_run", value_name = "FILE")]
        payload: Option<PathBuf>,
        /// Events of reactions change the state alone: they lead to no others, and to no file that is deleted
        #[arg(long)]
        no_emit: bool,
    },
}

impl DlqArgs {
    pub(super) fn no_emit(&self) -> bool {
        matches!(self.command, DlqCommand::Replay { no_emit: true, .. })
    }
}

/// Which letters.
#[derive(Clone, Debug, Args)]
pub struct LetterFilter {
    /// The system whose letters they are
    #[arg(long, default_value = "transactions", value_name = "SYSTEM")]
    pub system: String,
    /// Only those of this class, such as bad_timestamp
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,
    /// Only the letter of the record at this place in the source topic
    #[arg(long, value_name = "TOPIC/PARTITION/OFFSET")]
    pub at: Option<String>,
    /// Also those that came through when they were replayed or mended
    #[arg(long)]
    pub all: bool,
}

/// Runs one of the commands.
///
/// # Errors
/// When the brokers or the store cannot be reached, or letters are rejected still.
pub async fn dlq(args: DlqArgs, config: Config) -> Result<(), CommandFailure> {
    match args.command {
        DlqCommand::List { filter, json } => causes::list(&letters(&config, &filter).await?, json),
        DlqCommand::Show { filter, payload: Some(file), .. } => mend::save(letters(&config, &filter).await?, &file),
        DlqCommand::Show { filter, limit, payload: None } => show(&letters(&config, &filter).await?, limit),
        DlqCommand::Replay { filter, dry_run, payload, no_emit: _ } => {
            let system = systems::find(&filter.system)?;
            let letters = letters(&config, &filter).await?;
            match payload {
                Some(file) => mend::send(system, &config, letters, &file).await,
                None => replay(system, &config, letters, dry_run).await,
            }
        }
    }
}

/// Reads the letters of a system, of a redelivery's several the last one, in the order of their coordinates.
async fn letters(config: &Config, filter: &LetterFilter) -> Result<Vec<StoredDeadLetter>, CommandFailure> {
    let system = systems::find(&filter.system)?;
    let (client, topics, groups) = (config.kafka.client_config(), system.topics(config), (system.groups)(config));
    let (state, all) = (StateTopic::new(&client, &config.kafka.state_topic), filter.all);
    let read = move || {
        // The record's own timestamp tells apart what stood at one place before and after a topic was made anew.
        let mut letters: BTreeMap<(TopicPartition, i64, Option<i64>, usize), StoredDeadLetter> = BTreeMap::new();
        for topic in topics {
            read_topic(&client, &topic_of(&topic), |record| {
                let of = |letter: &StoredDeadLetter| {
                    groups.iter().position(|group| group.id == letter.group && group.consumer == letter.system)
                };
                let Some(letter) = StoredDeadLetter::read(record) else { return };
                if let Some(group) = of(&letter) {
                    let record = &letter.record;
                    letters.insert((record.at.clone(), record.offset, record.timestamp_ms, group), letter);
                }
            })
            .map_err(|error| error.to_string())?;
        }
        let mut letters: Vec<StoredDeadLetter> = letters.into_values().collect();
        if !all {
            let settled = state.read_settled().map_err(|error| error.to_string())?;
            letters.retain(|letter| settled.get(&letter.key()).is_none());
        }
        Ok(letters)
    };
    let mut letters = blocking(std::convert::identity, read).await.map_err(|error| {
        let brokers = &config.kafka.bootstrap_servers;
        CommandFailure::unavailable(format!(
            "Kafka at {brokers} does not answer ({error}): check KAFKA_BOOTSTRAP_SERVERS"
        ))
    })?;
    letters.retain(|letter| filter.class.as_ref().is_none_or(|c| *c == letter.class));
    if let Some(at) = &filter.at {
        letters.retain(|letter| coordinates(&letter.record) == *at);
    }
    Ok(letters)
}

/// Marks letters as dealt with.
async fn settle(config: &Config, letters: &[(StoredDeadLetter, Settled)]) -> Result<(), CommandFailure> {
    if letters.is_empty() {
        return Ok(());
    }
    let state = StateTopic::new(&config.kafka.client_config(), &config.kafka.state_topic);
    let replication = config.kafka.topic_replication.map(i32::from);
    let unavailable = |error: String| {
        CommandFailure::unavailable(format!("the letters came through, and could not be marked as dealt with: {error}"))
    };
    state.ensure(replication).await.map_err(|error| unavailable(error.to_string()))?;
    let entries = letters.iter().map(|(letter, settled)| settle_entry(&letter.key(), settled));
    let entries: Vec<StateEntry> =
        entries.collect::<Result<_, _>>().map_err(|error| CommandFailure::internal(error.to_string()))?;
    let write = move || state.write(&entries).map_err(|error| error.to_string());
    blocking(std::convert::identity, write).await.map_err(unavailable)
}

/// `topic/partition/offset`, as letters are named on the command line.
fn coordinates(record: &Record) -> String {
    format!("{}/{}/{}", record.at.topic, record.at.partition, record.offset)
}

/// One JSON object a letter, with its payload.
fn show(letters: &[StoredDeadLetter], limit: usize) -> Result<(), CommandFailure> {
    for letter in letters.iter().take(limit) {
        let header = |header: &pipeline::Header| {
            let mut shown = Map::from_iter([("name".to_owned(), json!(header.name))]);
            put(&mut shown, "value", header.value.as_ref());
            Value::Object(shown)
        };
        let mut shown = json!({
            "at": coordinates(&letter.record),
            "system": letter.system,
            "group": letter.group,
            "class": letter.class,
            "reason": letter.reason,
            "attempts": letter.attempts,
            "first_failed_at": letter.failed_at,
            "headers": letter.record.headers.iter().map(header).collect::<Value>(),
        });
        if let Some(shown) = shown.as_object_mut() {
            put(shown, "key", letter.record.key.as_ref());
            put(shown, "payload", letter.record.payload.as_ref());
        }
        print(&shown.to_string())?;
    }
    Ok(())
}

/// Puts bytes that are text under their name, others as base64 under `NAME_base64`.
fn put(shown: &mut Map<String, Value>, name: &str, bytes: Option<&bytes::Bytes>) {
    let (name, value) = match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => (name.to_owned(), Value::Null),
        Some(Ok(text)) => (name.to_owned(), text.into()),
        Some(Err(bytes)) => (format!("{name}_base64"), BASE64_STANDARD.encode(bytes).into()),
    };
    shown.insert(name, value);
}

async fn replay(
    system: &Definition,
    config: &Config,
    letters: Vec<StoredDeadLetter>,
    dry_run: bool,
) -> Result<(), CommandFailure> {
    if dry_run {
        letters.iter().try_for_each(|letter| print(&coordinates(&letter.record)))?;
        return print(&json!({"system": system.name, "would_replay": letters.len()}).to_string());
    }
    let mut left = letters;
    let (mut tally, mut rejected) = (Tally::default(), 0);
    for group in (system.groups)(config) {
        let (own, others) = left.into_iter().partition(|letter: &StoredDeadLetter| letter.group == group.id);
        left = others;
        if own.is_empty() {
            continue;
        }
        let setup = system.setup_of(config, group, Order::Any)?;
        let replayed = replay_group(system, config, &setup, own).await?;
        tally.merge(replayed.tally);
        rejected += replayed.rejected.len();
    }
    let mut summary = json!({"system": system.name, "rejected": rejected});
    if let Some(fields) = summary.as_object_mut() {
        fields.extend(
            Outcome::ALL
                .into_iter()
                .filter(|outcome| *outcome != Outcome::DeadLettered)
                .map(|outcome| (outcome.name().to_owned(), tally.count(outcome).into())),
        );
    }
    print(&summary.to_string())?;
    match rejected {
        0 => Ok(()),
        rejected => Err(CommandFailure::findings(format!("{rejected} letters are rejected still"))),
    }
}

/// Replays the letters of a group, and marks those that came through.
async fn replay_group(
    system: &Definition,
    config: &Config,
    setup: &Setup,
    letters: Vec<StoredDeadLetter>,
) -> Result<Replayed, CommandFailure> {
    let records: Vec<Record> = letters.iter().map(|letter| letter.record.clone()).collect();
    let options = engine_options(&(system.tuned)(config), &setup.group.id);
    let replayed = replay_letters(setup, options, records).await?;
    for (at, offset, reject) in &replayed.rejected {
        print(&format!("{}/{}/{offset} is rejected still: {}: {}", at.topic, at.partition, reject.class, reject.why))?;
    }
    if !replayed.below_horizon.is_empty() {
        print(&format!(
            "{} letters were not written: their events are older than the store's purged tombstones, and may be of documents deleted since",
            replayed.below_horizon.len()
        ))?;
    }
    let still: HashSet<(&TopicPartition, i64)> = replayed
        .rejected
        .iter()
        .map(|(at, offset, _)| (at, *offset))
        .chain(replayed.below_horizon.iter().map(|(at, offset)| (at, *offset)))
        .collect();
    let through = |letter: &StoredDeadLetter| !still.contains(&(&letter.record.at, letter.record.offset));
    let through: Vec<_> = letters.into_iter().filter(through).map(|letter| (letter, Settled::now(None))).collect();
    settle(config, &through).await?;
    Ok(replayed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_shown_as_base64() {
        let mut shown = Map::new();
        put(&mut shown, "key", Some(&bytes::Bytes::from_static(b"\xff\0")));
        put(&mut shown, "payload", Some(&bytes::Bytes::from_static(b"text")));
        put(&mut shown, "value", None);
        assert_eq!(Value::Object(shown), json!({"key_base64": "/wA=", "payload": "text", "value": null}));
    }
}
