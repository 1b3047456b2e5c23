//! What there is to know of a system. Commands read it; it knows no command.

use pipeline::sink::Order;

use crate::config::Config;
use crate::stores::target::{BoundSystem, Needed, SetupError};
use crate::synthetic;
use crate::walk::Walk;

/// A system, as data.
#[derive(Debug)]
pub struct Definition {
    /// As in commands, metrics and logs.
    pub name: &'static str,
    /// Of which system it is a projection.
    pub projection: Option<Projection>,
    /// Its service in `docker-compose.yml`; none where its primary's service brings it along.
    pub service: Option<&'static str>,
    pub topics: fn(&Config) -> Vec<String>,
    /// The consumer group.
    pub group: fn(&Config) -> String,
    pub versions: Versions,
    pub deletes: Deletes,
    /// Whether its store holds a document under each id, which `verify` and `explain` need.
    pub documents: bool,
    /// The configuration as this system runs under it: what it has of its own goes before what all have.
    pub tuned: fn(&Config) -> Config,
    /// Makes an event that deletes a document, to erase what it holds; none where the store empties documents in their place.
    pub deletion: Option<Deletion>,
    /// What its records say, by code that is not the system's.
    pub walk: Walk,
    /// Makes events for it; none of a projection, whose events are its primary's.
    pub generator: Option<Generator>,
    /// The stores that it needs under this configuration.
    pub stores: fn(&Config) -> Vec<Needed>,
    /// The system with its store, which is not connected to yet; `order` says which versions the store accepts. Its error is
    /// a sentence about the configuration.
    pub bind: fn(&Config, Order) -> Result<BoundSystem, SetupError>,
}

/// Makes the payload of an event that deletes a document, at this time in RFC 3339.
pub type Deletion = fn(&str, &str) -> serde_json::Value;

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

/// Makes synthetic events: keys and payloads, in the order in which they are to be sent. Its error is a sentence about the
/// options.
pub type Generator = fn(&synthetic::GeneratorOptions) -> Result<Messages, String>;

/// Keys and payloads.
pub type Messages = Box<dyn Iterator<Item = (String, Option<String>)>>;

/// A system that reads what another reads, and is brought along by it.
#[derive(Clone, Copy, Debug)]
pub struct Projection {
    pub of: &'static str,
    /// Whether the configuration asks for it.
    pub on: fn(&Config) -> bool,
}

/// A system with its store, its topics and its group.
pub struct Setup {
    pub bound: BoundSystem,
    pub topics: Vec<String>,
    pub group: String,
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

    /// Puts the system together with its store; connects nowhere yet.
    ///
    /// # Errors
    /// A sentence about the configuration.
    pub fn setup(&self, config: &Config, order: Order) -> Result<Setup, SetupError> {
        let bound = (self.bind)(config, order)?;
        Ok(Setup { bound, topics: (self.topics)(config), group: (self.group)(config), walk: self.walk })
    }
}
