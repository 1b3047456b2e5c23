//! Where it is measured: a topic, groups and places in the store that nobody else has, taken away at the end.

use std::path::Path;

use pipeline::dead_letters::topic_of;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use super::child::{Busy, Program};
use super::own_place::OwnPlace;
use super::watched::WatchedProgram;
use crate::cli::{CommandFailure, block_on};
use crate::config::table::VARIABLES;
use crate::config::{Config, Override};
use crate::systems::definition::Definition;
use crate::systems::{database, ratings};

/// Where it is measured: names that nobody else has.
pub(super) struct Workbench {
    pub system: &'static Definition,
    pub config: Config,
    pub topic: String,
    pub place: OwnPlace,
    program: Program,
    /// What all runs have in common.
    common: Vec<(&'static str, String)>,
    /// What sets the group.
    group: &'static str,
    /// Runs with a place of their own in the store.
    made: parking_lot::Mutex<Vec<String>>,
}

impl Workbench {
    pub(super) fn new(
        system: &'static Definition,
        file: Option<&Path>,
        log_level: Option<&str>,
    ) -> Result<Self, CommandFailure> {
        let topic = format!("millrace-bench-{:08x}", rand::random::<u32>());
        let mut common = basics(&topic, log_level.unwrap_or("warn"));
        let own = Config::load(file, overrides(&common))?;
        let place = OwnPlace::of(system, &own)?;
        let (read, group) = subscription(system, &own)?;
        common.push((read, topic.clone()));
        if [ratings::NAME, database::NAME].contains(&system.name) {
            // What they cache has the keys that others read.
            common.push(("redis.url", "none".to_owned()));
        }
        if own.operations.results.is_some() {
            common.push(("database.results_topic", results_of(&topic)));
        }
        let config = Config::load(file, overrides(&common))?;
        let program = Program { file: file.map(Path::to_owned), system: system.name };
        Ok(Self { system, config, topic, place, program, common, group, made: parking_lot::Mutex::default() })
    }

    /// The settings of one run: a group and a place in the store of its own, which is made.
    pub(super) async fn settings(&self, run: &str) -> Result<Vec<(&'static str, String)>, CommandFailure> {
        let name = format!("{}-{run}", self.topic);
        self.made.lock().push(name.clone());
        self.place.make(&self.config, &name).await?;
        Ok([self.settings_without_place(run), self.place.settings(&self.config, &name)?].concat())
    }

    /// The settings of a run that leaves nothing in the store.
    pub(super) fn settings_without_place(&self, run: &str) -> Vec<(&'static str, String)> {
        let mut settings = self.common.clone();
        settings.push((self.group, format!("{}-{run}", self.topic)));
        settings
    }

    pub(super) fn configure(&self, settings: &[(&'static str, String)]) -> Result<Config, CommandFailure> {
        Ok(Config::load(self.program.file.as_deref(), overrides(settings))?)
    }

    /// Runs the program with these settings to the end of the topic.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub(super) async fn run(&self, settings: Vec<(&'static str, String)>) -> Result<Busy, CommandFailure> {
        self.program.run(&variables(settings)).await
    }

    /// Starts the program with these settings, until it is stopped.
    ///
    /// # Errors
    /// It could not be started.
    pub(super) fn watch(&self, settings: Vec<(&'static str, String)>) -> Result<WatchedProgram, CommandFailure> {
        WatchedProgram::new(&mut self.program.command(&variables(settings), "--headway")?)
    }

    /// Takes away the topics, and the places in the store; the marks in Redis go by themselves within two days.
    ///
    /// # Errors
    /// What could not be deleted.
    pub(super) fn clean(&self) -> Result<(), CommandFailure> {
        let topics = [self.topic.clone(), topic_of(&self.topic), state_of(&self.topic), results_of(&self.topic)];
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let made = self.made.lock().clone();
        block_on(async {
            let mut left = Vec::new();
            for run in &made {
                left.extend(self.place.remove(&self.config, run).await.err().map(|failure| failure.message));
            }
            let admin: Result<AdminClient<DefaultClientContext>, _> = self.config.kafka.client_config().create();
            match admin {
                Ok(admin) => left.extend(delete_topics(&admin, &names).await),
                Err(error) => left.push(error.to_string()),
            }
            match left.is_empty() {
                true => Ok(()),
                false => Err(CommandFailure::unavailable(format!("could not be deleted: {}", left.join("; ")))),
            }
        })
    }
}

/// The settings that name the topic of a system and its group.
fn subscription(system: &Definition, config: &Config) -> Result<(&'static str, &'static str), CommandFailure> {
    let key = |key: String| VARIABLES.iter().map(|variable| variable.key).find(|known| *known == key);
    let group = key(format!("{}.group", system.projection.as_ref().map_or(system.name, |projection| projection.of)));
    let topic = match system.topics(config).as_slice() {
        [topic] => config.subscriptions.find_name(topic).and_then(|name| key(format!("{name}.topic"))),
        _ => None,
    };
    let why = || CommandFailure::usage(format!("bench cannot measure {}: it reads several topics", system.name));
    topic.zip(group).ok_or_else(why)
}

/// Deletes topics; a sentence for each that is left.
async fn delete_topics(admin: &AdminClient<DefaultClientContext>, topics: &[&str]) -> Vec<String> {
    use rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition as Gone;
    match admin.delete_topics(topics, &AdminOptions::new()).await {
        Err(error) => vec![error.to_string()],
        Ok(answers) => {
            let failed = answers.into_iter().filter_map(Result::err).filter(|(_, code)| *code != Gone);
            failed.map(|(topic, code)| format!("topic {topic}: {code}")).collect()
        }
    }
}

fn state_of(topic: &str) -> String {
    format!("{topic}.state")
}

fn results_of(topic: &str) -> String {
    format!("{topic}.results")
}

/// What keeps a run from everything else that there is, beside the names of its topic, its group and its place; projections
/// stay off.
fn basics(topic: &str, log_level: &str) -> Vec<(&'static str, String)> {
    vec![
        ("kafka.state_topic", state_of(topic)),
        ("transactions.store", "elasticsearch".to_owned()),
        ("transactions.audit", "false".to_owned()),
        ("transactions.mongo", "false".to_owned()),
        ("transactions.algolia", "false".to_owned()),
        ("http.addr", "127.0.0.1".to_owned()),
        ("http.port", "0".to_owned()),
        ("log.level", log_level.to_owned()),
    ]
}

fn overrides(settings: &[(&'static str, String)]) -> Vec<Override> {
    settings.iter().map(|(key, value)| Override { key, flag: "bench", value: value.clone() }).collect()
}

/// The same as variables of a process.
fn variables(settings: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    let name = |key: &str| VARIABLES.iter().find(|variable| variable.key == key).map(|variable| variable.name());
    settings.into_iter().filter_map(|(key, value)| Some((name(key)?, value))).collect()
}
