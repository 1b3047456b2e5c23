//! Systems by what a test asks of them, made from the table of definitions: a new one is in without a word.

use std::sync::LazyLock;

use millrace::config::Config;
use millrace::stores::target::Needed;
use millrace::systems::{Definition, SYSTEMS, find};

/// Every store has its setting; nobody connects to these.
static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let mongodb = ("MONGODB_URL".to_owned(), "mongodb://localhost/x".to_owned());
    Config::from_variables([mongodb]).unwrap()
});

/// Those whose stores hold a document under each id.
pub static WITH_DOCUMENTS: LazyLock<Vec<&'static str>> = LazyLock::new(|| choose(|system| system.documents));

/// Those of them that do without a database of the audit.
pub static WITHOUT_AUDIT: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| choose(|system| system.documents && !needs(system, |store| matches!(store, Needed::Database))));

/// Those that read what `transactions` reads.
pub static OF_TRANSACTIONS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let topics = definition("transactions").topics(&CONFIG);
    choose(|system| system.topics(&CONFIG) == topics)
});

/// Those that keep something in MongoDB, were it the versions of what is in Algolia.
pub static IN_MONGODB: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| choose(|system| needs(system, |store| matches!(store, Needed::MongoDb))));

/// Those that fill an index of Algolia.
pub static IN_ALGOLIA: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| choose(|system| needs(system, |store| matches!(store, Needed::Algolia(_)))));

fn choose(wanted: impl Fn(&Definition) -> bool) -> Vec<&'static str> {
    SYSTEMS.iter().filter(|system| wanted(system)).map(|system| system.name).collect()
}

fn needs(system: &Definition, store: impl Fn(&Needed) -> bool) -> bool {
    (system.stores)(&CONFIG).iter().any(store)
}

/// The definition of a system.
pub fn definition(name: &str) -> &'static Definition {
    find(name).unwrap()
}

/// The first of these that reads each topic.
pub fn one_a_topic(systems: &[&'static str]) -> Vec<&'static str> {
    let mut chosen: Vec<&'static str> = Vec::new();
    for system in systems {
        let topics = definition(system).topics(&CONFIG);
        if !chosen.iter().any(|known| definition(known).topics(&CONFIG) == topics) {
            chosen.push(system);
        }
    }
    chosen
}

/// These without those.
pub fn without(systems: &[&'static str], left_out: &[&str]) -> Vec<&'static str> {
    systems.iter().copied().filter(|system| !left_out.contains(system)).collect()
}
