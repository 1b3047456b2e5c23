//! Jobs: long work beside running, as the state topic tells of it, for whoever asks what runs, where and how far it is.
//!
//! An entry is written anew every few seconds while its process lives. One that is not, and has no end, is of a process that died.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use pipeline::kafka::{StateError, StateTopic};
use pipeline::state::{StateEntry, body, encode, kind};
use serde::{Deserialize, Serialize};

use super::backfill::SourceIdentity;
use crate::run::blocking::blocking;

const JOB: &str = "job";

/// How often a job gives a sign of life.
pub const BEAT: Duration = Duration::from_secs(10);
/// Without a sign of life for so long, a job has died or cannot reach Kafka.
const SILENCE: TimeDelta = TimeDelta::seconds(30);

/// The lowest and the highest of some versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRange {
    pub lowest: i64,
    pub highest: i64,
}

impl VersionRange {
    /// Takes these in, too.
    pub fn widen(range: &mut Option<Self>, versions: impl IntoIterator<Item = i64>) {
        for version in versions {
            let known = range.get_or_insert(Self { lowest: version, highest: version });
            *known = Self { lowest: known.lowest.min(version), highest: known.highest.max(version) };
        }
    }
}

/// What a job does now, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Running,
    /// By hand.
    Paused,
    /// For the store, or for the live consumer.
    Waiting,
    Finished,
    /// It was told to stop.
    Stopped,
    Failed,
}

impl JobState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing comes after it, unless the job is begun again.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Finished | Self::Stopped | Self::Failed)
    }
}

/// A source of a job, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSource {
    pub name: String,
    pub identity: SourceIdentity,
    /// That are behind, in all runs.
    pub lines: u64,
    pub finished: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// A job, as its process told last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Such as `backfill`.
    pub command: String,
    pub system: String,
    /// Names the store.
    pub target: String,
    /// Which records of the sources it takes, and how; empty: all.
    pub choice: String,
    /// What a line of its sources is.
    pub format: String,
    /// The time of bare documents, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    pub host: String,
    pub process: u32,
    /// Of the last run (RFC 3339).
    pub begun_at: String,
    /// The last sign of life (RFC 3339).
    pub seen_at: String,
    pub state: JobState,
    /// What it waits for, or why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The first of them.
    pub sources: Vec<JobSource>,
    /// Sources beside these.
    #[serde(default)]
    pub more_sources: usize,
    /// Lines that are behind, in all runs.
    pub lines: u64,
    /// How much of the sources this run has read, and of how much; of files in bytes, of topics in offsets.
    pub read: u64,
    pub size: u64,
    /// Records a second, since the sign of life before.
    pub rate: f64,
    /// Of the events that it offered to the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<VersionRange>,
}

impl Job {
    /// Whether it has not ended, and gave no sign of life for some time.
    pub fn is_silent(&self, now: DateTime<Utc>) -> bool {
        let seen = DateTime::parse_from_rfc3339(&self.seen_at);
        !self.state.is_end() && seen.is_ok_and(|seen| now.signed_duration_since(seen) > SILENCE)
    }

    /// Its first source, and how many there are beside it.
    pub fn describe_sources(&self) -> String {
        let first = self.sources.first().map_or("nothing", |source| source.name.as_str());
        match (self.sources.len() + self.more_sources).saturating_sub(1) {
            0 => first.to_owned(),
            more => format!("{first} and {more} more"),
        }
    }

    /// Whether it may have written this version into this store.
    fn may_have_written(&self, system: &str, target: &str, version: i64) -> bool {
        let within = |range: VersionRange| (range.lowest..=range.highest).contains(&version);
        // Of one that did not end, the last versions may be missing.
        let told = self.state.is_end().then_some(self.versions);
        self.system == system && self.target == target && told.is_none_or(|range| range.is_some_and(within))
    }
}

/// A name for a job.
pub fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string().chars().take(8).collect()
}

/// The name of this machine.
pub fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "unknown".to_owned() } else { name.trim().to_owned() }
}

/// The entry that tells of a job.
///
/// # Errors
/// Never for what is made here.
pub fn entry(id: &str, job: &Job) -> Result<StateEntry, serde_json::Error> {
    encode(JOB, &[id], job)
}

/// The jobs that the state topic tells of, by their names.
#[derive(Clone, Debug, Default)]
pub struct JobBook(BTreeMap<String, Job>);

impl JobBook {
    /// Reads the topic to its present end. Blocks the thread.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub fn read(state: &StateTopic) -> Result<Self, StateError> {
        let mut book = Self::default();
        state.read(|key, value| book.apply(key, value)).map(|()| book)
    }

    /// As [`JobBook::read`], for whoever waits for it.
    ///
    /// # Errors
    /// Why the topic could not be read.
    pub(super) async fn fetch(state: StateTopic) -> Result<Self, String> {
        blocking(std::convert::identity::<String>, move || Self::read(&state).map_err(|error| error.to_string())).await
    }

    fn apply(&mut self, key: Option<&Bytes>, value: Option<&Bytes>) -> Result<(), String> {
        let Some((found, name)) = key.and_then(|key| kind(key)) else { return Ok(()) };
        let (JOB, [serde_json::Value::String(id)]) = (found.as_str(), name.as_slice()) else { return Ok(()) };
        match value {
            Some(value) => drop(self.0.insert(id.clone(), body(value)?)),
            None => drop(self.0.remove(id)),
        }
        Ok(())
    }

    /// All of them, the last begun last.
    pub fn all(&self) -> Vec<(&str, &Job)> {
        let mut all: Vec<(&str, &Job)> = self.0.iter().map(|(id, job)| (id.as_str(), job)).collect();
        all.sort_by(|(_, one), (_, other)| one.begun_at.cmp(&other.begun_at));
        all
    }

    /// Those that may have written this version into this store, the last begun first.
    pub fn writers(&self, system: &str, target: &str, version: i64) -> Vec<(&str, &Job)> {
        let wrote = |(_, job): &(&str, &Job)| job.may_have_written(system, target, version);
        self.all().into_iter().rev().filter(wrote).collect()
    }

    /// What takes a job out of the topic; none where it is not there.
    pub fn forget(&self, id: &str) -> Option<StateEntry> {
        let key = serde_json::to_string(&[JOB, id]).ok()?;
        self.0.contains_key(id).then_some(StateEntry { key, value: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: JobState, versions: Option<VersionRange>) -> Job {
        let at = "2026-01-01T00:00:00.000Z".to_owned();
        let identity = SourceIdentity::File { size: 7, modified: 1_767_225_600_000_000_000, digest: "d".to_owned() };
        let source = JobSource { name: "file:/a".to_owned(), identity, lines: 3, finished: true, failed: None };
        Job {
            command: "backfill".to_owned(),
            system: "transactions".to_owned(),
            target: "es/i".to_owned(),
            choice: String::new(),
            format: "auto".to_owned(),
            as_of: None,
            host: "h".to_owned(),
            process: 1,
            begun_at: at.clone(),
            seen_at: at,
            state,
            why: None,
            sources: vec![source],
            more_sources: 0,
            lines: 3,
            read: 7,
            size: 7,
            rate: 1.5,
            versions,
        }
    }

    #[test]
    fn an_entry_is_read_back_and_taken_out() {
        let mut book = JobBook::default();
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let written = job(JobState::Running, Some(VersionRange { lowest: 1, highest: 9 }));
        let entry = entry("a1", &written).unwrap();
        assert_eq!(entry.key, r#"["job","a1"]"#);
        book.apply(Some(&bytes(r#"["loss","g","t",0,1]"#)), Some(&bytes("?"))).unwrap();
        book.apply(Some(&bytes(&entry.key)), entry.value.as_deref().map(bytes).as_ref()).unwrap();
        assert_eq!(book.all(), [("a1", &written)]);
        let gone = book.forget("a1").unwrap();
        assert_eq!((gone.key.as_str(), gone.value.is_none(), book.forget("b")), (entry.key.as_str(), true, None));
        book.apply(Some(&bytes(&gone.key)), None).unwrap();
        assert!(book.all().is_empty());
    }

    #[test]
    fn without_a_sign_of_life_it_is_silent_unless_it_has_ended() {
        let at = |seconds: i64| DateTime::from_timestamp(1_767_225_600 + seconds, 0).unwrap();
        assert!(!job(JobState::Running, None).is_silent(at(30)));
        for state in [JobState::Running, JobState::Paused, JobState::Waiting] {
            assert!(job(state, None).is_silent(at(31)), "{state:?}");
        }
        for state in [JobState::Finished, JobState::Stopped, JobState::Failed] {
            assert!(!job(state, None).is_silent(at(1_000_000)), "{state:?}");
        }
    }

    #[test]
    fn it_may_have_written_the_versions_that_it_tells_and_any_while_it_has_not_ended() {
        let mut range = None;
        VersionRange::widen(&mut range, [5, 3, 8]);
        let ended = job(JobState::Stopped, range);
        let wrote = |job: &Job, version| job.may_have_written("transactions", "es/i", version);
        assert_eq!([2, 3, 8, 9].map(|version| wrote(&ended, version)), [false, true, true, false]);
        assert!(!ended.may_have_written("transactions", "es/other", 5) && !ended.may_have_written("users", "es/i", 5));
        assert!(wrote(&job(JobState::Running, range), 9));
        assert!(!wrote(&job(JobState::Finished, None), 5), "it offered nothing");
    }
}
