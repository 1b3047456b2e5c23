//! Settings of the systems: their topics, their groups, what each has of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use super::settings::Settings;
use super::table::VARIABLES;
use super::{Config, ConfigError, Database, IndexStore, databases, values};

/// What the systems read: every setting `NAME.topic` and `NAME.group`, by its name.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    topics: BTreeMap<&'static str, String>,
    groups: BTreeMap<&'static str, String>,
}

/// The system `transactions`.
#[derive(Clone, Debug)]
pub struct TransactionsSettings {
    pub store: IndexStore,
    /// Whether the audit is brought along.
    pub audit: bool,
    /// Whether the documents in MongoDB are.
    pub mongo: bool,
    /// Whether the objects in Algolia are.
    pub algolia: bool,
}

/// The system `users`.
#[derive(Clone, Debug)]
pub struct UsersSettings {
    /// Whether what is deleted keeps ids, times and its version alone.
    pub erase_deleted: bool,
}

/// The systems that read reviews.
#[derive(Clone, Debug)]
pub struct ReviewsSettings {
    /// What the keys of cached ratings begin with.
    pub cache_prefix: String,
    /// How often a rating is tried again that a document refuses.
    pub retry: Duration,
}

impl Subscriptions {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let mut read = Self::default();
        for variable in VARIABLES {
            match variable.key.split_once('.') {
                Some((name, "topic")) => _ = read.topics.insert(name, topic_of(settings, variable.key)?),
                Some((name, "group")) => _ = read.groups.insert(name, settings.require(variable.key)?.text),
                _ => {}
            }
        }
        Ok(read)
    }
}

impl Subscriptions {
    /// Whose setting `NAME.topic` names this topic.
    pub(crate) fn find_name(&self, topic: &str) -> Option<&'static str> {
        self.topics.iter().find(|(_, named)| *named == topic).map(|(name, _)| *name)
    }
}

impl Config {
    /// What `NAME.topic` says; empty where there is no such setting.
    pub fn topic(&self, name: &str) -> String {
        self.subscriptions.topics.get(name).cloned().unwrap_or_default()
    }

    /// What `NAME.group` says; empty where there is no such setting.
    pub fn group(&self, name: &str) -> String {
        self.subscriptions.groups.get(name).cloned().unwrap_or_default()
    }
}

impl TransactionsSettings {
    pub(super) fn read(settings: &Settings, database: Option<&Database>) -> Result<Self, ConfigError> {
        let switch = |key| settings.require(key)?.parse("true or false", values::switch);
        Ok(Self {
            store: IndexStore::read(settings)?,
            audit: databases::audit(settings, database)?,
            mongo: switch("transactions.mongo")?,
            algolia: switch("transactions.algolia")?,
        })
    }
}

impl UsersSettings {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let erase_deleted = settings.require("users.erase_deleted")?.parse("true or false", values::switch)?;
        Ok(Self { erase_deleted })
    }
}

impl ReviewsSettings {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            cache_prefix: settings.require("ratings.cache_prefix")?.text,
            retry: settings.require("ratings.retry")?.parse("seconds, more than 0 and at most 3600", |text| {
                values::seconds(text).filter(|time| !time.is_zero() && *time <= Duration::from_secs(3_600))
            })?,
        })
    }
}

/// What stands before the names of the events' topics: the longest has 25 characters.
pub(super) fn topic_prefix(settings: &Settings) -> Result<String, ConfigError> {
    let Some(found) = settings.find("events.topic_prefix")? else { return Ok(String::new()) };
    let expected = "what topics begin with: at most 200 letters, digits, dots, dashes or underscores";
    found.parse(expected, |text| topic(text).filter(|prefix| prefix.len() <= 200))
}

/// What is expected of the name of a topic.
pub(super) const A_TOPIC: &str = "the name of a topic: at most 245 letters, digits, dots, dashes or underscores";

fn topic_of(settings: &Settings, key: &str) -> Result<String, ConfigError> {
    settings.require(key)?.parse(A_TOPIC, topic)
}

/// A name that Kafka takes, with room for the `.dlq` of its dead letters.
pub(super) fn topic(text: &str) -> Option<String> {
    let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    (fits && (1..=245).contains(&text.len()) && text != "." && text != "..").then(|| text.to_owned())
}
