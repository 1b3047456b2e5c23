//! `millrace events`: the catalogue of the events between services, and the events themselves.

mod catalogue_list;
mod emit;
mod schema_check;
mod tail;

use std::path::PathBuf;

use ::events::{EventName, EventVersion, asyncapi};
use clap::{Args, Subcommand};

use super::{CommandFailure, print_line as print};
use crate::config::Config;

/// `millrace events`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace events list
  millrace events show content.post.liked")]
pub struct EventsArgs {
    #[command(subcommand)]
    pub command: EventsCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub enum EventsCommand {
    /// List the events
    #[command(after_help = "Examples:
  millrace events list
  millrace events list --live")]
    List {
        /// Compare with the topics of the brokers
        #[arg(long)]
        live: bool,
        /// One JSON object an event
        #[arg(long)]
        json: bool,
    },
    /// Show an event: its fields, its schema, an example
    #[command(disable_version_flag = true)]
    #[command(after_help = "Examples:
  millrace events show content.post.liked")]
    Show {
        #[arg(value_name = "NAME")]
        name: String,
        /// The version whose schema and example are shown
        #[arg(long, default_value = "2.0", value_name = "VERSION", value_parser = version)]
        version: EventVersion,
        /// One JSON object, with the schemas and examples of both versions
        #[arg(long)]
        json: bool,
    },
    /// Send an event
    #[command(disable_version_flag = true)]
    Emit(emit::EmitArgs),
    /// Print events as they come
    Tail(tail::TailArgs),
    /// Print the catalogue as an AsyncAPI 3.0 document
    #[command(after_help = "Examples:
  millrace events asyncapi")]
    Asyncapi,
    /// Compare the schemas with an older copy, and fail on a change that breaks others
    #[command(after_help = "Examples:
  millrace events check ../released/events/schemas")]
    Check {
        /// A folder with NAME/VERSION.schema.json, such as an older events/schemas
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// Runs one of the commands.
///
/// # Errors
/// Findings of `list --live` and `check`; an event that is none; the brokers do not answer.
pub fn run(args: &EventsArgs, config: &Config) -> Result<(), CommandFailure> {
    match &args.command {
        EventsCommand::List { live, json } => catalogue_list::list(config, *live, *json),
        EventsCommand::Show { name, version, json } => catalogue_list::show(config, find(name)?, *version, *json),
        EventsCommand::Emit(args) => emit::emit(args, config),
        EventsCommand::Tail(args) => tail::tail(args, config),
        EventsCommand::Asyncapi => {
            let document = asyncapi(&config.event_topic_prefix, &config.kafka.bootstrap_servers);
            print(&pretty(&document.map_err(CommandFailure::internal)?)?)
        }
        EventsCommand::Check { folder } => schema_check::check(folder),
    }
}

fn version(text: &str) -> Result<EventVersion, String> {
    let found = EventVersion::ALL.into_iter().find(|version| version.as_str() == text);
    found.ok_or_else(|| "the versions are 1.0 and 2.0".to_owned())
}

/// The event of this name.
fn find(name: &str) -> Result<EventName, CommandFailure> {
    EventName::find(name).ok_or_else(|| {
        let near = |event: &&EventName| strsim::damerau_levenshtein(event.as_str(), name);
        let near = EventName::ALL.iter().min_by_key(near).map(|event| event.as_str()).unwrap_or_default();
        CommandFailure::usage(format!("there is no event {name}; is it {near}? `millrace events list` names them all"))
    })
}

/// The topic of an event.
fn topic(config: &Config, name: EventName) -> String {
    format!("{}{name}", config.event_topic_prefix)
}

fn pretty(value: &serde_json::Value) -> Result<String, CommandFailure> {
    serde_json::to_string_pretty(value).map_err(|error| CommandFailure::internal(error.to_string()))
}

fn unreachable(config: &Config, why: &str) -> CommandFailure {
    let (servers, advice) = (&config.kafka.bootstrap_servers, config.kafka.advice(why));
    CommandFailure::unavailable(format!("Kafka at {servers} does not answer ({why}); {advice}"))
}
