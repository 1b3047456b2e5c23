//! The consumer systems: one file each, and one line in the table.

use std::sync::Arc;

use pipeline::Record;
use pipeline::sink::Order;

use crate::config::Config;
use crate::consumer::{Consumer, RunOptions, Setup, Target, Task, engine_options};
use crate::explain::story::Story;
use crate::explain::{Beside, ExplainError, Explained, Progress, explanation};
use crate::purge::{self, PurgeError, purging};
use crate::replay::{Replayed, replay_letters};
use crate::shelf::Shelf;
use crate::verify::{self, Listener, Report, VerifyError, verification};

pub mod ratings;
pub mod reviews;
pub mod transactions;
pub mod transactions_algolia;
pub mod transactions_audit;
pub mod transactions_mongo;
pub mod users;

/// A replay under way; its error is a sentence about the configuration or the store.
pub type Replay = Task<Result<Replayed, String>>;

/// A verification under way.
pub type Verification = Task<Result<Report, VerifyError>>;

/// A story under way.
pub type Explanation = Task<Result<Story, ExplainError>>;
/// A purge under way.
pub type Purge = Task<Result<purge::Report, PurgeError>>;

/// A system that can be run by name: what its file says of it.
pub trait Named: Explained + Clone {
    /// As in commands, metrics and logs.
    const NAME: &'static str;
    /// Of which system it is a projection.
    const PROJECTION: Option<Projection> = None;
    /// Its versions as times.
    const VERSIONS: Versions;
    /// Whether what was deleted stays in its store for ever.
    const KEEPS_DELETED: bool = false;

    fn topics(config: &Config) -> Vec<String>;

    fn group(config: &Config) -> String;

    /// The system and its store; `order` says which versions the store accepts.
    ///
    /// # Errors
    /// A sentence about the configuration.
    fn made(config: &Config, order: Order) -> Result<(Self, Target<Self::Write>), String>;
}

/// How the versions of a system's events tell their times, in microseconds since 1970, UTC.
#[derive(Clone, Copy)]
pub struct Versions {
    /// The lowest version of the events of a time.
    pub at: fn(i64) -> i64,
    /// The time of a version.
    pub micros: fn(i64) -> i64,
}

/// A line of the table.
pub struct Entry {
    pub name: &'static str,
    /// Of which system it is a projection.
    pub projection: Option<Projection>,
    /// Makes a consumer that reads the system's topic.
    pub consumer: fn(&Config, &RunOptions) -> Result<Consumer, String>,
    /// Writes these dead letters anew, in any order; gives those that are rejected still.
    pub replay: fn(&Config, Vec<Record>) -> Replay,
    /// Compares its store with its log.
    pub verify: fn(&Config, verify::Options, Box<dyn Listener>) -> Verification,
    /// Tells the story of one document, by its id.
    pub explain: fn(&Config, String, Vec<Beside>, Progress) -> Explanation,
    /// Its store, read back.
    pub shelf: fn(&Config) -> Result<Arc<dyn Shelf>, String>,
    /// Removes old tombstones from its store.
    pub purge: fn(&Config, purge::Options) -> Purge,
    pub versions: Versions,
    pub topics: fn(&Config) -> Vec<String>,
    pub group: fn(&Config) -> String,
}

impl Entry {
    const fn of<S: Named>() -> Self {
        Self {
            name: S::NAME,
            projection: S::PROJECTION,
            consumer: |config, run| Consumer::new(setup::<S>(config, Order::Log)?, config, run),
            replay: |config, records| {
                let (setup, options) = (setup::<S>(config, Order::Any), engine_options(config, &S::group(config)));
                Box::pin(async move { replay_letters(&setup?, options, records).await })
            },
            verify: |config, options, listener| {
                let engine = engine_options(config, &S::group(config));
                verification(setup::<S>(config, Order::Any), config, engine, options, listener)
            },
            explain: |config, id, besides, progress| {
                explanation(setup::<S>(config, Order::Any), besides, config, id, progress)
            },
            shelf: |config| setup::<S>(config, Order::Any).map(|setup| setup.shelf),
            purge: |config, options| {
                let kept = || Box::pin(std::future::ready(Err(PurgeError::Kept(S::NAME))));
                if S::KEEPS_DELETED { kept() } else { purging(setup::<S>(config, Order::Any), config, options) }
            },
            versions: S::VERSIONS,
            topics: S::topics,
            group: S::group,
        }
    }
}

/// Puts a system together with its topics, its group and its store.
fn setup<S: Named>(config: &Config, order: Order) -> Result<Setup<S>, String> {
    let (system, Target { sink, shelf, prepare, name }) = S::made(config, order)?;
    Ok(Setup { system, sink, shelf, prepare, topics: S::topics(config), group: S::group(config), target: name })
}

/// A system that reads what another reads, and is brought along by it.
#[derive(Clone, Copy)]
pub struct Projection {
    pub of: &'static str,
    /// Whether the configuration asks for it.
    pub on: fn(&Config) -> bool,
}

/// Every system there is.
pub const SYSTEMS: &[Entry] = &[
    Entry::of::<transactions::Transactions>(),
    Entry::of::<transactions_audit::Audit>(),
    Entry::of::<transactions_mongo::TransactionsMongo>(),
    Entry::of::<transactions_algolia::TransactionsAlgolia>(),
    Entry::of::<users::Users>(),
    Entry::of::<ratings::RatingsSystem>(),
    Entry::of::<reviews::Reviews>(),
];

/// A system to run.
pub struct Chosen {
    pub entry: &'static Entry,
    /// Nobody named it: it is a projection that its primary brings along, and never in the primary's way.
    pub brought_along: bool,
}

/// The named systems, and the projections that they bring along.
///
/// # Errors
/// As [`find`].
pub fn choose(names: &[String], config: &Config) -> Result<Vec<Chosen>, String> {
    let mut chosen: Vec<Chosen> = Vec::new();
    for name in names {
        let entry = find(name)?;
        if !chosen.iter().any(|known| known.entry.name == entry.name) {
            chosen.push(Chosen { entry, brought_along: false });
        }
    }
    let named: Vec<&str> = chosen.iter().map(|chosen| chosen.entry.name).collect();
    let wanted = |entry: &&Entry| {
        let by = |projection: &Projection| named.contains(&projection.of) && (projection.on)(config);
        entry.projection.as_ref().is_some_and(by) && !named.contains(&entry.name)
    };
    chosen.extend(SYSTEMS.iter().filter(wanted).map(|entry| Chosen { entry, brought_along: true }));
    Ok(chosen)
}

/// The stores of a system's projections, of those that are on.
pub fn besides(entry: &Entry, config: &Config) -> Vec<Beside> {
    let on = |projection: &Projection| projection.of == entry.name && (projection.on)(config);
    let projections = SYSTEMS.iter().filter(|other| other.projection.as_ref().is_some_and(on));
    projections.map(|other| Beside { system: other.name, shelf: (other.shelf)(config) }).collect()
}

/// Finds a system by its name.
///
/// # Errors
/// A sentence that names those there are.
pub fn find(name: &str) -> Result<&'static Entry, String> {
    SYSTEMS.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<&str> = SYSTEMS.iter().map(|entry| entry.name).collect();
        format!("there is no system {name}; there is {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], variables: &[(&str, &str)]) -> Vec<(&'static str, bool)> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::from_variables(variables).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        choose(&names, &config).unwrap().iter().map(|chosen| (chosen.entry.name, chosen.brought_along)).collect()
    }

    #[test]
    fn a_primary_brings_its_projections_along_while_they_are_on() {
        let database = ("DATABASE_URL", "postgresql://u:p@localhost/x");
        let off = ("CONSUMER_ENABLE_AUDIT_DB", "false");
        assert_eq!(chosen(&["transactions"], &[]), [("transactions", false)]);
        let both = [("transactions", false), ("transactions-audit", true)];
        assert_eq!(chosen(&["transactions"], &[database]), both);
        assert_eq!(chosen(&["transactions"], &[database, off]), [("transactions", false)]);
        assert_eq!(chosen(&["transactions-audit"], &[database, off]), [("transactions-audit", false)]);
        let named = [("transactions-audit", false), ("transactions", false)];
        assert_eq!(chosen(&["transactions-audit", "transactions", "transactions"], &[database]), named);
    }
}
