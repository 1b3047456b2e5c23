//! Settings of the systems: their topics, their groups, what each has of its own.

use std::time::Duration;

use super::settings::Settings;
use super::{ConfigError, Database, IndexStore, databases, values};

/// The system `transactions`.
#[derive(Clone, Debug)]
pub struct TransactionsSettings {
    pub topic: String,
    pub group: String,
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
    pub topic: String,
    pub group: String,
    /// Whether what is deleted keeps ids, times and its version alone.
    pub erase_deleted: bool,
}

/// The systems that read reviews.
#[derive(Clone, Debug)]
pub struct ReviewsSettings {
    pub topic: String,
    /// Of `reviews`.
    pub group: String,
    /// Of `ratings`.
    pub ratings_group: String,
    /// What the keys of cached ratings begin with.
    pub cache_prefix: String,
    /// How often a rating is tried again that a document refuses.
    pub retry: Duration,
}

impl TransactionsSettings {
    pub(super) fn read(settings: &Settings, database: Option<&Database>) -> Result<Self, ConfigError> {
        let switch = |key| settings.require(key)?.parse("true or false", values::switch);
        Ok(Self {
            topic: topic_of(settings, "transactions.topic")?,
            group: settings.require("transactions.group")?.text,
            store: IndexStore::read(settings)?,
            audit: databases::audit(settings, database)?,
            mongo: switch("transactions.mongo")?,
            algolia: switch("transactions.algolia")?,
        })
    }

    /// Where records go that cannot be indexed.
    pub fn dead_letters(&self) -> String {
        format!("{}.dlq", self.topic)
    }
}

impl UsersSettings {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let erase_deleted = settings.require("users.erase_deleted")?.parse("true or false", values::switch)?;
        let group = settings.require("users.group")?.text;
        Ok(Self { topic: topic_of(settings, "users.topic")?, group, erase_deleted })
    }
}

impl ReviewsSettings {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            topic: topic_of(settings, "reviews.topic")?,
            group: settings.require("reviews.group")?.text,
            ratings_group: settings.require("ratings.group")?.text,
            cache_prefix: settings.require("ratings.cache_prefix")?.text,
            retry: settings.require("ratings.retry")?.parse("seconds, more than 0 and at most 3600", |text| {
                values::seconds(text).filter(|time| !time.is_zero() && *time <= Duration::from_secs(3_600))
            })?,
        })
    }
}

pub(super) fn topic_of(settings: &Settings, key: &str) -> Result<String, ConfigError> {
    let expected = "the name of a topic: at most 245 letters, digits, dots, dashes or underscores";
    settings.require(key)?.parse(expected, topic)
}

/// A name that Kafka takes, with room for the `.dlq` of its dead letters.
fn topic(text: &str) -> Option<String> {
    let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    (fits && (1..=245).contains(&text.len()) && text != "." && text != "..").then(|| text.to_owned())
}
