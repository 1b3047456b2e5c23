//! Where it is measured: a topic, groups and indices that nobody else has, and that are taken away at the end.

use std::path::Path;

use pipeline::dead_letters::topic_of;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use super::child::{Busy, Program};
use super::watched::WatchedProgram;
use crate::cli::{CommandFailure, block_on};
use crate::config::table::VARIABLES;
use crate::config::{Config, Override};
use crate::stores::elasticsearch::{ElasticsearchClient, remove_index};

/// Where it is measured: names that nobody else has.
pub(super) struct Workbench {
    pub config: Config,
    pub topic: String,
    program: Program,
    log_level: String,
    /// Indices that were made.
    made: parking_lot::Mutex<Vec<String>>,
}

impl Workbench {
    pub(super) fn new(file: Option<&Path>, log_level: Option<&str>) -> Result<Self, CommandFailure> {
        let topic = format!("millrace-bench-{:08x}", rand::random::<u32>());
        let log_level = log_level.unwrap_or("warn").to_owned();
        let config = Config::load(file, overrides(&settings(&topic, &topic, &log_level)))?;
        let program = Program { file: file.map(Path::to_owned) };
        Ok(Self { config, topic, program, log_level, made: parking_lot::Mutex::default() })
    }

    /// The settings of one run: a group and an index of its own.
    pub(super) fn settings(&self, run: &str) -> Vec<(&'static str, String)> {
        let name = format!("{}-{run}", self.topic);
        self.made.lock().push(name.clone());
        settings(&self.topic, &name, &self.log_level)
    }

    pub(super) fn configure(&self, settings: &[(&'static str, String)]) -> Result<Config, CommandFailure> {
        Ok(Config::load(self.program.file.as_deref(), overrides(settings))?)
    }

    /// The settings of a run that leaves nothing in Elasticsearch.
    pub(super) fn settings_without_index(&self, run: &str) -> Vec<(&'static str, String)> {
        settings(&self.topic, &format!("{}-{run}", self.topic), &self.log_level)
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

    /// Takes away the topics and the indices; the marks in Redis go by themselves within two days.
    ///
    /// # Errors
    /// What could not be deleted.
    pub(super) fn clean(&self) -> Result<(), CommandFailure> {
        let topics = [self.topic.clone(), topic_of(&self.topic), state_of(&self.topic)];
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let indices = self.made.lock().clone();
        block_on(async {
            let client = ElasticsearchClient::new(&self.config.elasticsearch)?;
            let mut left = Vec::new();
            for index in &indices {
                if let Err(failure) = remove_index(&client, index).await {
                    left.push(format!("index {index}: {}", failure.why));
                }
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

/// What keeps a run from everything else that there is: its group and its index have a name of their own, and projections stay
/// off.
fn settings(topic: &str, name: &str, log_level: &str) -> Vec<(&'static str, String)> {
    vec![
        ("transactions.topic", topic.to_owned()),
        ("transactions.group", name.to_owned()),
        ("elasticsearch.index", name.to_owned()),
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
