//! The consumer systems: one file each, and one line in the table.

use std::sync::Arc;

use pipeline::sink::Order;
use thiserror::Error;

use crate::config::Config;
use crate::config::table::VARIABLES;
use crate::stores::reader::StoreReader;
use crate::stores::target::SetupError;

pub mod database;
pub mod definition;
pub mod ratings;
pub mod reactions;
pub mod reviews;
pub mod transactions;
pub mod transactions_algolia;
pub mod transactions_audit;
pub mod transactions_mongo;
pub mod users;

pub use definition::{ConsumerGroup, Definition, Setup};

/// Every system there is.
pub const SYSTEMS: &[Definition] = &[
    transactions::DEFINITION,
    transactions_audit::DEFINITION,
    transactions_mongo::DEFINITION,
    transactions_algolia::DEFINITION,
    database::DEFINITION,
    reactions::DEFINITION,
    users::DEFINITION,
    ratings::DEFINITION,
    reviews::DEFINITION,
];

/// Why systems cannot be run as they were named.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChoiceError {
    #[error("there is no system {name}; there is {known}")]
    Unknown { name: String, known: String },
    /// Two would share the records of a topic.
    #[error("{0}")]
    Shared(String),
}

/// A system to run.
pub struct Chosen {
    pub system: &'static Definition,
    /// Nobody named it: it is a projection that its primary brings along, and never in the primary's way.
    pub brought_along: bool,
}

/// The named systems, and the projections that they bring along.
///
/// # Errors
/// As [`find`], and of systems that share a group and a topic.
pub fn choose(names: &[String], config: &Config) -> Result<Vec<Chosen>, ChoiceError> {
    let mut chosen: Vec<Chosen> = Vec::new();
    for name in names {
        let system = find(name)?;
        if !chosen.iter().any(|known| known.system.name == system.name) {
            chosen.push(Chosen { system, brought_along: false });
        }
    }
    let named: Vec<&str> = chosen.iter().map(|chosen| chosen.system.name).collect();
    let wanted = |system: &&Definition| {
        let by = |projection: &definition::Projection| named.contains(&projection.of) && (projection.on)(config);
        system.projection.as_ref().is_some_and(by) && !named.contains(&system.name)
    };
    chosen.extend(SYSTEMS.iter().filter(wanted).map(|system| Chosen { system, brought_along: true }));
    let systems: Vec<&Definition> = chosen.iter().map(|chosen| chosen.system).collect();
    match find_shared(&systems, config).into_iter().next() {
        Some(why) => Err(ChoiceError::Shared(why)),
        None => Ok(chosen),
    }
}

/// The consumer groups of these systems.
pub fn groups_of(chosen: &[Chosen], config: &Config) -> Vec<ConsumerGroup> {
    chosen.iter().flat_map(|chosen| (chosen.system.groups)(config)).collect()
}

/// Systems that would share the records of a topic, because a group gives each record to one of its members; a sentence
/// for each two.
pub(crate) fn find_shared(systems: &[&Definition], config: &Config) -> Vec<String> {
    let mut groups: Vec<(&Definition, ConsumerGroup)> = Vec::new();
    for system in systems {
        groups.extend((system.groups)(config).into_iter().map(|group| (*system, group)));
    }
    let mut shared = Vec::new();
    for (index, (system, one)) in groups.iter().enumerate() {
        for (with, other) in groups.iter().skip(index + 1).filter(|(_, other)| other.id == one.id) {
            if let Some(topic) = one.topics.iter().find(|topic| other.topics.contains(topic)) {
                shared.push(format!(
                    "{} and {} read the topic {topic} in one group, {}, so each record would reach one of them: give \
                     {} and {} different values",
                    one.consumer,
                    other.consumer,
                    one.id,
                    group_setting(system),
                    group_setting(with),
                ));
            }
        }
    }
    shared
}

/// What sets the group; a projection's follows from its primary's.
fn group_setting(system: &Definition) -> String {
    let primary = system.projection.as_ref().map_or(system.name, |projection| projection.of);
    let key = format!("{primary}.group");
    VARIABLES.iter().find(|variable| variable.key == key).map_or(key, |variable| variable.name().to_owned())
}

/// The store of a projection, beside the system's own.
pub struct ProjectionStore {
    pub system: &'static str,
    pub reader: Result<Arc<dyn StoreReader>, SetupError>,
}

/// The stores of a system's projections, of those that are on.
pub fn projection_stores(system: &Definition, config: &Config) -> Vec<ProjectionStore> {
    let on = |projection: &definition::Projection| projection.of == system.name && (projection.on)(config);
    let projections = SYSTEMS.iter().filter(|other| other.projection.as_ref().is_some_and(on));
    projections
        .map(|other| ProjectionStore {
            system: other.name,
            reader: other.setup(config, Order::Any).map(|setup| setup.bound.reader),
        })
        .collect()
}

/// Finds a system by its name.
///
/// # Errors
/// A sentence that names those there are.
pub fn find(name: &str) -> Result<&'static Definition, ChoiceError> {
    SYSTEMS.iter().find(|system| system.name == name).ok_or_else(|| {
        let known: Vec<&str> = SYSTEMS.iter().map(|system| system.name).collect();
        ChoiceError::Unknown { name: name.to_owned(), known: known.join(", ") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], variables: &[(&str, &str)]) -> Vec<(&'static str, bool)> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::from_variables(variables).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        choose(&names, &config).unwrap().iter().map(|chosen| (chosen.system.name, chosen.brought_along)).collect()
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

    #[test]
    fn two_systems_of_one_topic_need_two_groups() {
        let shared = |names: &[&str], variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let config = Config::from_variables(variables).unwrap();
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            choose(&names, &config).err().map(|error| error.to_string())
        };
        let one = [("KAFKA_REVIEWS_GROUP", "g"), ("KAFKA_RATINGS_GROUP", "g")];
        let why = shared(&["reviews", "ratings"], &one).unwrap();
        assert!(why.contains("KAFKA_REVIEWS_GROUP") && why.contains("KAFKA_RATINGS_GROUP"), "{why}");
        assert_eq!(shared(&["reviews"], &one), None);
        assert_eq!(shared(&["reviews", "ratings"], &one[..1]), None);
        // A group alone does no harm, and a topic alone neither.
        let apart = [("KAFKA_USERS_GROUP", "g"), ("KAFKA_REVIEWS_GROUP", "g")];
        assert_eq!(shared(&["users", "reviews"], &apart), None);
        let topic = [apart[0], apart[1], ("KAFKA_USERS_TOPIC", "t"), ("KAFKA_REVIEWS_TOPIC", "t")];
        assert!(shared(&["users", "reviews"], &topic).unwrap().contains("KAFKA_USERS_GROUP"));
        let audit = [
            ("DATABASE_URL", "sqlite:x.db"),
            ("KAFKA_USERS_GROUP", "transaction_indexer.audit"),
            ("KAFKA_USERS_TOPIC", "transactions"),
        ];
        assert!(shared(&["transactions", "users"], &audit).unwrap().contains("KAFKA_CONSUMER_GROUP"));
    }
}
