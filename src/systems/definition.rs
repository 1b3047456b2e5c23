//! What there is to know of a system. Commands read it; it knows no command.

use pipeline::sink::Order;

use crate::config::Config;
use crate::stores::target::{BoundSystem, Needed, SetupError};
use crate::synthetic::{self, OptionsError, SyntheticRecord};
use crate::walk::Walk;

/// A system, as data.
#[derive(Debug)]
pub struct Definition {
    /// The name of the system on the command line, in metrics and in logs.
    pub name: &'static str,
    /// Of which system it is a projection.
    pub projection: Option<Projection>,
    /// Its service in `docker-compose.yml`; none where its primary's service brings it along.
    pub service: Option<&'static str>,
    /// Its consumer groups, with what each reads; one at least.
    pub groups: fn(&Config) -> Vec<ConsumerGroup>,
    pub versions: Versions,
    pub deletes: Deletes,
    /// Whether its store holds a document under each id, which `verify` and `explain` need.
    pub documents: bool,
    /// The configuration as this system runs under it: what it has of its own goes before what all have.
    pub tuned: fn(&Config) -> Config,
    /// Makes an event that deletes a document, to erase what it holds; none where the store empties documents in their place.
    pub deletion: Option<Deletion>,
    /// Makes an event of a document alone, for a backfill; none where a document does not say enough.
    pub bare: Option<Bare>,
    /// What its records say, by code that is not the system's.
    pub walk: Walk,
    /// Makes events for it; none of a projection, whose events are its primary's.
    pub generator: Option<Generator>,
    /// The stores that it needs under this configuration.
    pub stores: fn(&Config) -> Vec<Needed>,
    /// A group's system with its store, which is not connected to yet; `order` says which versions the store accepts. Its error
    /// is a sentence about the configuration.
    pub bind: fn(&Config, &ConsumerGroup, Order) -> Result<BoundSystem, SetupError>,
}

/// A consumer group of a system, with what it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroup {
    /// Its consumer in logs, metrics, letters and `/health`: the system's name, where it has one group alone.
    pub consumer: &'static str,
    /// As Kafka knows it.
    pub id: String,
    pub topics: Vec<String>,
}

impl ConsumerGroup {
    /// What the settings `NAME.group` and `NAME.topic` say.
    pub fn of(config: &Config, name: &'static str) -> Self {
        Self { consumer: name, id: config.group(name), topics: vec![config.topic(name)] }
    }

    /// That of a projection, which reads what its primary reads, in the primary's group with `.part`.
    #[must_use]
    pub fn for_projection(self, name: &'static str, part: &str) -> Self {
        Self { consumer: name, id: format!("{}.{part}", self.id), topics: self.topics }
    }
}

/// Makes the payload of an event that deletes a document, at this time in RFC 3339.
pub type Deletion = fn(&str, &str) -> serde_json::Value;

/// Makes the payload of an event that says what a document, one JSON object, was at this time in RFC 3339.
pub type Bare = fn(&str, &str) -> String;

/// How the versions of a system's events tell their times, in microseconds since 1970, UTC.
#[derive(Clone, Copy, Debug)]
pub struct Versions {
    /// The lowest version of the events of a time.
    pub at: fn(i64) -> i64,
    /// The time of a version.
    pub micros: fn(i64) -> i64,
}

/// What becomes of what was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletes {
    /// A tombstone stays, and may be purged when it is old.
    Purged,
    /// What was deleted stays in the store for ever, marked as such.
    Kept,
}

/// Makes synthetic events, in the order in which they are to be sent. Its error is a sentence about the
/// options.
pub type Generator = fn(&synthetic::GeneratorOptions) -> Result<Messages, OptionsError>;

/// Messages as they are sent.
pub type Messages = Box<dyn Iterator<Item = SyntheticRecord>>;

/// A system that reads what another reads, and is brought along by it.
#[derive(Clone, Copy, Debug)]
pub struct Projection {
    pub of: &'static str,
    /// Whether the configuration asks for it.
    pub on: fn(&Config) -> bool,
}

/// A group of a system, with its store.
pub struct Setup {
    pub bound: BoundSystem,
    pub group: ConsumerGroup,
    /// As in the system's definition.
    pub walk: Walk,
}

impl Definition {
    /// # Errors
    /// A sentence, where the store of the system holds no documents.
    pub fn has_documents(&self) -> Result<(), SetupError> {
        let why = || format!("the rows of {} come of operations, and are not compared with the log", self.name);
        self.documents.then_some(()).ok_or_else(|| SetupError::Unusable(why()))
    }

    /// What its groups read, each topic once.
    pub fn topics(&self, config: &Config) -> Vec<String> {
        let mut topics: Vec<String> = Vec::new();
        for topic in (self.groups)(config).into_iter().flat_map(|group| group.topics) {
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        topics
    }

    /// Puts a group together with its store; connects nowhere yet.
    ///
    /// # Errors
    /// A sentence about the configuration.
    pub fn setup_of(&self, config: &Config, group: ConsumerGroup, order: Order) -> Result<Setup, SetupError> {
        let bound = (self.bind)(config, &group, order)?;
        Ok(Setup { bound, group, walk: self.walk })
    }

    /// As [`Self::setup_of`], for a system of one group.
    ///
    /// # Errors
    /// As there, and of a system of several groups.
    pub fn setup(&self, config: &Config, order: Order) -> Result<Setup, SetupError> {
        let mut groups = (self.groups)(config).into_iter();
        match (groups.next(), groups.next()) {
            (Some(group), None) => self.setup_of(config, group, order),
            _ => Err(SetupError::Unusable(format!("{} has several consumer groups, and this asks for one", self.name))),
        }
    }
}
