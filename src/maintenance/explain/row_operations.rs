//! The report of a row, or of one operation: what became of each operation, by its mark, its letter and what is committed.

use std::collections::{BTreeMap, HashSet};

use pipeline::Record;
use pipeline::dead_letters::topic_of;
use pipeline::kafka::{StateTopic, read_topic};
use pipeline::offsets::settled::{Settled, SettledBook};

use super::topic_log::{Committed, ExplainLog};
use super::{ExplainError, reason};
use crate::config::Config;
use crate::maintenance::dead_letters::StoredDeadLetter;
use crate::maintenance::verify::VerifyError;
use crate::maintenance::verify::row_fold::{FoldedStore, rows_of};
use crate::maintenance::verify::topic_log::VerifyLog;
use crate::run::blocking::blocking;
use crate::stores::folded::{FoldedRows, OperationState, OperationTrace, RecordPlace, WantedOperations};
use crate::systems::{ConsumerGroup, Definition};

/// Records of letters that are looked at together.
const AT_ONCE: usize = 1_000;

/// What became of an operation, for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationFate {
    Applied,
    /// A copy, or a letter of which nothing was left to apply.
    Superseded,
    Letter,
    Waiting,
    /// What would tell may be gone.
    Unexplained,
    /// Neither applied nor a letter.
    Lost,
}

impl OperationFate {
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Superseded => "superseded",
            Self::Letter => "letter",
            Self::Waiting => "waiting",
            Self::Unexplained => "unexplained",
            Self::Lost => "lost",
        }
    }
}

/// An operation, and what became of it.
#[derive(Clone, Debug)]
pub struct ExplainedOperation {
    pub trace: OperationTrace,
    pub fate: OperationFate,
    /// In words.
    pub why: String,
}

/// A letter, and how it was dealt with.
struct OperationLetter {
    record: Record,
    why: String,
    settled: Option<Settled>,
}

/// Tells what became of operations, in the order of their places; `None` of a system that has none.
///
/// # Errors
/// Why it could not be told.
pub async fn operations(
    system: &Definition,
    config: &Config,
    wanted: &WantedOperations,
) -> Result<Option<Vec<ExplainedOperation>>, ExplainError> {
    let Some(FoldedStore { setup, rows }) = rows_of(system, config)? else { return Ok(None) };
    let group = setup.group;
    // What is committed is asked first: its operations are marked by the time the marks are read.
    let committed = ExplainLog::open(config, group.topics.clone(), group.id.clone()).await?.fetch_committed().await?;
    let letters = letters(system.name, config, &group).await?;
    let mut traces = in_log(&*rows, config, &group, wanted).await?;
    let known: HashSet<RecordPlace> = traces.iter().map(|trace| trace.at.clone()).collect();
    // The topic may no longer have what a letter has.
    let records: Vec<Record> = letters.values().map(|letter| letter.record.clone()).collect();
    for some in records.chunks(AT_ONCE) {
        let more = rows.trace(some, wanted).await?;
        traces.extend(more.into_iter().filter(|trace| !known.contains(&trace.at)));
    }
    traces.sort_by(|one, other| one.at.cmp(&other.at));
    let explained = |trace: OperationTrace| {
        let (fate, why) = fate(&trace, letters.get(&trace.at), &committed);
        ExplainedOperation { trace, fate, why }
    };
    Ok(Some(traces.into_iter().map(explained).collect()))
}

async fn in_log(
    rows: &dyn FoldedRows,
    config: &Config,
    group: &ConsumerGroup,
    wanted: &WantedOperations,
) -> Result<Vec<OperationTrace>, ExplainError> {
    let kafka = |error: VerifyError| ExplainError::Kafka(error.to_string());
    let log = VerifyLog::open(config.kafka.client_config(), group.topics.clone(), group.id.clone());
    let (fetching, mut chunks) = log.await.map_err(kafka)?.chunks();
    let mut traces = Vec::new();
    while let Some((_, chunk)) = chunks.recv().await {
        traces.extend(rows.trace(&chunk, wanted).await?);
    }
    fetching.await.map_err(|error| ExplainError::Kafka(error.to_string()))?.map_err(kafka)?;
    Ok(traces)
}

/// The letters of a group, by where their records stood; of several the last.
async fn letters(
    system: &'static str,
    config: &Config,
    group: &ConsumerGroup,
) -> Result<BTreeMap<RecordPlace, OperationLetter>, ExplainError> {
    let (client, group) = (config.kafka.client_config(), group.clone());
    let state = StateTopic::new(&client, &config.kafka.state_topic);
    blocking(ExplainError::Kafka, move || {
        let settled: SettledBook = state.read_settled().map_err(|error| ExplainError::Kafka(error.to_string()))?;
        let mut letters = BTreeMap::new();
        for topic in &group.topics {
            read_topic(&client, &topic_of(topic), |record| {
                let ours = |letter: &StoredDeadLetter| letter.system == system && letter.group == group.id;
                let Some(letter) = StoredDeadLetter::read(record).filter(ours) else { return };
                let settled = settled.get(&letter.key()).cloned();
                let why = format!("{}, {}", letter.class, reason(&letter, settled.as_ref()));
                let at = (letter.record.at.topic.to_string(), letter.record.at.partition, letter.record.offset);
                letters.insert(at, OperationLetter { record: letter.record, why, settled });
            })?;
        }
        Ok(letters)
    })
    .await
}

fn fate(trace: &OperationTrace, letter: Option<&OperationLetter>, committed: &Committed) -> (OperationFate, String) {
    let place = |at: &RecordPlace| format!("{}/{}/{}", at.0, at.1, at.2);
    let is_committed = committed.get(&(trace.at.0.clone(), trace.at.1)).is_some_and(|next| trace.at.2 < *next);
    let replayed = |letter: &OperationLetter| letter.settled.as_ref().is_some_and(|how| how.mended_as.is_none());
    match (&trace.state, letter) {
        (OperationState::Applied(at), None) if *at == trace.at => (OperationFate::Applied, "applied".to_owned()),
        (OperationState::Applied(at), Some(letter)) if *at == trace.at => {
            (OperationFate::Applied, format!("applied; it was a dead letter before: {}", letter.why))
        }
        (OperationState::Applied(at), _) => {
            (OperationFate::Superseded, format!("superseded: a copy of {}, which was applied", place(at)))
        }
        (_, Some(letter)) if replayed(letter) => {
            let why = "superseded when its letter was replayed: what it writes was written later";
            (OperationFate::Superseded, format!("{why}; the letter said: {}", letter.why))
        }
        (_, Some(letter)) => (OperationFate::Letter, format!("dead letter: {}", letter.why)),
        (_, None) if !is_committed => {
            (OperationFate::Waiting, "waiting: the group has not committed it yet".to_owned())
        }
        (OperationState::Rejected(class, why), None) => {
            (OperationFate::Lost, format!("rejected, with no dead letter left of it: {class}, {why}"))
        }
        (OperationState::Reused(at), None) => {
            let at = place(at);
            (OperationFate::Lost, format!("not applied: {at} was, under the same operationId; no dead letter is left"))
        }
        (OperationState::Unknown { purged: true }, None) => {
            (OperationFate::Unexplained, "its mark may have been purged".to_owned())
        }
        (OperationState::Unknown { purged: false }, None) => {
            (OperationFate::Lost, "neither applied nor a dead letter".to_owned())
        }
    }
}
