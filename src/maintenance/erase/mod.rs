//! Erasure: a person's values are taken out of every store, and ids, versions and times stay.
//!
//! A document of a person is deleted by an event of the same time as the version that is held, made here and written by the
//! system's own engine: so it leaves a tombstone above everything that the log has of it, and no replay brings it back. What a
//! deletion leaves (history, what was held before, fields of deleted users) is taken out after that. What is written meanwhile
//! is looked for again.

mod errors;
mod letters;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat};
use pipeline::kafka::{Topic, inspect, standings};
use pipeline::sink::Order;
use pipeline::{Record, TopicPartition};

use self::errors::EraseError;
use crate::config::Config;
use crate::maintenance::replay::replay;
use crate::run::blocking::blocking;
use crate::run::consumer::engine_options;
use crate::stores::erased::ERASE_TOPIC;
use crate::stores::reader::{ObservedVersion, StoredDocument};
use crate::stores::target::SetupError;
use crate::systems::{Definition, Setup};
pub use letters::LettersErased;

/// How often a store is looked through for what was written meanwhile.
const ROUNDS: usize = 3;

/// Of a system whose store holds no documents, and so none that is a person's.
const NOT_OURS: &str = "it keeps rows and not documents, which this command cannot tell by a person; docs/operate.md#forget-a-person \
                        says what to do by hand";

/// What was done in a store; what would be, where it only looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreErased {
    pub system: &'static str,
    pub store: &'static str,
    /// Documents that are tombstones now.
    pub documents: u64,
    /// Events of a history, former versions and deleted documents that were emptied.
    pub emptied: u64,
}

/// What a group has not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    pub group: String,
    pub topic: String,
    pub records: i64,
}

/// What it came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub stores: Vec<StoreErased>,
    pub letters: Vec<LettersErased>,
    /// Systems that the configuration has no store for.
    pub without_store: Vec<&'static str>,
    /// What was not reached, and why; a sentence each.
    pub failed: Vec<String>,
    pub unread: Vec<Unread>,
    /// The logs that hold events of the systems, with how long they keep them in milliseconds, as far as that is known.
    pub logs: Vec<(String, Option<i64>)>,
}

/// Erases a person from the stores and letters of these systems.
pub async fn erase(systems: &[&'static Definition], config: &Config, person: &str, dry_run: bool) -> Report {
    let mut report = Report::default();
    let mut families: BTreeMap<Vec<String>, Vec<&'static Definition>> = BTreeMap::new();
    for system in systems {
        families.entry(system.topics(config)).or_default().push(system);
    }
    for (topics, systems) in families {
        let mut ids = BTreeSet::new();
        // Those whose documents name nobody come last: the others say which are the person's.
        let (mut named, mut nameless) = (Vec::new(), Vec::new());
        for system in systems {
            if !system.documents {
                report.failed.push(format!("{}: {NOT_OURS}", system.name));
                continue;
            }
            match system.setup(config, Order::Log) {
                Ok(setup) => named.push((system, setup)),
                Err(SetupError::Missing(_)) => report.without_store.push(system.name),
                Err(error) => report.failed.push(format!("{}: {error}", system.name)),
            }
        }
        for (system, setup) in &named {
            let work = Work { system, setup, config, person, dry_run };
            match work.erase_named(&mut ids).await {
                Ok(Some(erased)) => report.stores.push(erased),
                Ok(None) => nameless.push(work),
                Err(why) => report.failed.push(format!("{} ({}): {why}", system.name, setup.bound.reader.name())),
            }
        }
        for work in nameless {
            match work.erase_ids(&ids).await {
                Ok(erased) => report.stores.push(erased),
                Err(why) => {
                    report.failed.push(format!("{} ({}): {why}", work.system.name, work.setup.bound.reader.name()))
                }
            }
        }
        let bindings = named.iter().map(|(_, setup)| setup.bound.binding.clone()).collect();
        let groups = named.iter().map(|(_, setup)| setup.group.id.clone()).collect();
        if !named.is_empty() {
            let wanted = letters::WhoseLetters { person: person.to_owned(), ids, bindings };
            in_kafka(config, topics, groups, wanted, dry_run, &mut report).await;
        }
    }
    report
}

/// A system that is looked at.
struct Work<'a> {
    system: &'static Definition,
    setup: &'a Setup,
    config: &'a Config,
    person: &'a str,
    dry_run: bool,
}

impl Work<'_> {
    /// Erases what the store says is the person's; `None` where it cannot say.
    async fn erase_named(&self, ids: &mut BTreeSet<String>) -> Result<Option<StoreErased>, EraseError> {
        let reader = &self.setup.bound.reader;
        if !self.dry_run {
            (self.setup.bound.prepare)().await?;
        }
        let mut all: BTreeMap<String, ObservedVersion> = BTreeMap::new();
        let (mut documents, mut emptied) = (0, 0);
        for _ in 0..ROUNDS {
            let found = reader.of_person(self.person).await?;
            let Some(found) = found else { return Ok(None) };
            all.extend(found.iter().map(|seen| (seen.id.clone(), seen.clone())));
            let living: Vec<&ObservedVersion> = found.iter().filter(|seen| !seen.deleted).collect();
            let gone: Vec<ObservedVersion> = all.values().cloned().collect();
            if self.dry_run {
                // Without such an event they are emptied in their place.
                documents = self.system.deletion.map_or(0, |_| living.len() as u64);
            } else {
                documents += self.delete(&living).await?;
            }
            emptied += reader.forget(self.person, &gone, self.dry_run).await?;
            if self.dry_run || found.is_empty() {
                ids.extend(all.into_keys());
                return Ok(Some(self.summarize(documents, emptied)));
            }
        }
        let left = reader.of_person(self.person).await?;
        ids.extend(all.into_keys());
        match left.is_none_or(|left| left.is_empty()) {
            true => Ok(Some(self.summarize(documents, emptied))),
            false => Err(EraseError::WrittenMeanwhile),
        }
    }

    /// Erases these documents, of which another store says that they are the person's.
    async fn erase_ids(&self, ids: &BTreeSet<String>) -> Result<StoreErased, EraseError> {
        let ids: Vec<String> = ids.iter().cloned().collect();
        let found = self.setup.bound.reader.find(&ids).await?;
        let seen = |(id, found): (&String, &Option<StoredDocument>)| {
            let held = found.as_ref()?.version;
            Some(ObservedVersion { id: id.clone(), version: held.version, deleted: held.deleted })
        };
        let living: Vec<ObservedVersion> =
            ids.iter().zip(&found).filter_map(seen).filter(|seen| !seen.deleted).collect();
        let documents = match self.dry_run {
            true => living.len() as u64,
            false => self.delete(&living.iter().collect::<Vec<_>>()).await?,
        };
        Ok(self.summarize(documents, 0))
    }

    fn summarize(&self, documents: u64, emptied: u64) -> StoreErased {
        StoreErased { system: self.system.name, store: self.setup.bound.reader.name(), documents, emptied }
    }

    /// Deletes these documents by events of the times of their versions; gives how many were. A system without such events
    /// does it in [`crate::stores::reader::StoreReader::forget`].
    async fn delete(&self, seen: &[&ObservedVersion]) -> Result<u64, EraseError> {
        let Some(deletion) = self.system.deletion else { return Ok(0) };
        let event = |(offset, seen): (i64, &&ObservedVersion)| {
            let time = DateTime::from_timestamp_micros((self.system.versions.micros)(seen.version))?;
            let payload = deletion(&seen.id, &time.to_rfc3339_opts(SecondsFormat::Micros, true));
            Some(Record {
                at: TopicPartition::new(ERASE_TOPIC, 0),
                offset,
                timestamp_ms: None,
                key: None,
                payload: Some(payload.to_string().into()),
                headers: Vec::new(),
            })
        };
        let records: Vec<Record> = (0_i64..).zip(seen).filter_map(event).collect();
        let written = replay(self.setup, engine_options(self.config, &self.setup.group.id), records).await?;
        match written.rejected.first() {
            Some((_, _, reject)) => Err(EraseError::Refused(reject.clone())),
            None => Ok(written.tally.applied),
        }
    }
}

/// Erases the letters of topics, and looks at what cannot be erased there.
async fn in_kafka(
    config: &Config,
    topics: Vec<String>,
    groups: Vec<String>,
    wanted: letters::WhoseLetters,
    dry_run: bool,
    report: &mut Report,
) {
    let client = config.kafka.client_config();
    let asked = blocking(EraseError::Kafka, move || {
        let found = inspect(&client, &topics).map_err(EraseError::Kafka)?.topics;
        let there: Vec<Topic> = found.into_iter().flatten().collect();
        let mut unread = Vec::new();
        for (topic, group) in there.iter().flat_map(|topic| groups.iter().map(move |group| (topic, group))) {
            let standings = standings(&client, topic, group).map_err(EraseError::Kafka)?;
            let records = standings.iter().map(pipeline::kafka::GroupPosition::lag).sum();
            // A group that never committed belongs to a system that is not used here.
            if standings.iter().any(|standing| standing.committed.is_some()) && records > 0 {
                unread.push(Unread { group: group.clone(), topic: topic.name.clone(), records });
            }
        }
        Ok((there, unread))
    });
    let (there, unread) = match asked.await {
        Ok(found) => found,
        Err(why) => {
            report.failed.push(why.to_string());
            return;
        }
    };
    report.unread.extend(unread);
    for topic in there {
        match letters::erase(config, &topic.name, &wanted, dry_run).await {
            Ok(erased) => report.letters.extend(erased),
            Err(why) => report.failed.push(why.to_string()),
        }
        report.logs.push((topic.name, topic.retention_ms));
    }
}
