//! What there is to know of a system. Commands read it; it knows no command.

use std::sync::Arc;

use pipeline::Binding;
use pipeline::sink::Order;

use crate::config::Config;
use crate::erase::Deletion;
use crate::shelf::Shelf;
use crate::sinks::target::Prepare;
use crate::synthetic;
use crate::walk::Walk;

/// A system, as data.
#[derive(Debug)]
pub struct Definition {
    /// As in commands, metrics and logs.
    pub name: &'static str,
    /// Of which system it is a projection.
    pub projection: Option<Projection>,
    pub topics: fn(&Config) -> Vec<String>,
    /// The consumer group.
    pub group: fn(&Config) -> String,
    pub versions: Versions,
    pub deletes: Deletes,
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
    pub bind: fn(&Config, Order) -> Result<Bound, String>,
}

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

/// A store that a system needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needed {
    /// The index of documents: Elasticsearch, or a file of SQLite.
    Documents,
    /// The audit's database.
    Database,
    MongoDb,
    /// An index in Algolia, without its prefix.
    Algolia(&'static str),
}

/// Makes synthetic events: keys and payloads, in the order in which they are to be sent. Its error is a sentence about the
/// options.
pub type Generator = fn(&synthetic::Options) -> Result<Messages, String>;

/// Keys and payloads.
pub type Messages = Box<dyn Iterator<Item = (String, Option<String>)>>;

/// A system that reads what another reads, and is brought along by it.
#[derive(Clone, Copy, Debug)]
pub struct Projection {
    pub of: &'static str,
    /// Whether the configuration asks for it.
    pub on: fn(&Config) -> bool,
}

/// A system with its store.
pub struct Bound {
    pub binding: Arc<dyn Binding>,
    /// The same store, read back.
    pub shelf: Arc<dyn Shelf>,
    pub prepare: Prepare,
    /// Names the store; dedupe marks are good for it alone.
    pub target: String,
}

/// A system with its store, its topics and its group.
pub struct Setup {
    pub binding: Arc<dyn Binding>,
    /// The same store, read back.
    pub shelf: Arc<dyn Shelf>,
    pub prepare: Prepare,
    /// What the sink writes to; dedupe marks are good for this target alone.
    pub target: String,
    pub topics: Vec<String>,
    pub group: String,
    /// As in the system's definition.
    pub walk: Walk,
}

impl Definition {
    /// Puts the system together with its store; connects nowhere yet.
    ///
    /// # Errors
    /// A sentence about the configuration.
    pub fn setup(&self, config: &Config, order: Order) -> Result<Setup, String> {
        let Bound { binding, shelf, prepare, target } = (self.bind)(config, order)?;
        let (topics, group) = ((self.topics)(config), (self.group)(config));
        Ok(Setup { binding, shelf, prepare, target, topics, group, walk: self.walk })
    }
}
