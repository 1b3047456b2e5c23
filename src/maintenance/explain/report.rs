//! The report of a document in words: each event's outcome, why the store holds what it holds, and what is wrong. Pure.

use super::outcomes::{EventOutcome, EventSource, LoggedEvent, OutcomeJudge};
use crate::maintenance::verify::DifferenceName;
use crate::maintenance::verify::compare::DifferenceKind;
use crate::stores::reader::StoredDocument;
use crate::systems::definition::Versions;

/// What one store holds of the document.
#[derive(Clone, Debug)]
pub struct StoreState {
    pub system: &'static str,
    pub name: &'static str,
    pub found: Option<StoredDocument>,
    /// Events in its history, where it keeps one.
    pub history: Option<usize>,
}

/// How sure the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// The store is as the log says.
    Right,
    /// It is not.
    Wrong,
    /// The group has not got that far, or the log is not whole.
    Open,
}

/// What is known before anything is judged.
#[derive(Clone, Debug)]
pub struct Evidence {
    pub id: String,
    pub system: &'static str,
    /// As in the system's definition.
    pub versions: Versions,
    pub group: String,
    /// In the order of topic, partition and offset.
    pub events: Vec<LoggedEvent>,
    /// The system's own first.
    pub stores: Vec<StoreState>,
    /// Whether every event that ever was is still in the log.
    pub whole: bool,
    /// Of the system's own store, where the log is not whole: tombstones below this version may be gone.
    pub horizon: Option<i64>,
    /// Backfills that may have written what the store holds and no event has, in a sentence each.
    pub backfills: Vec<String>,
    /// What could not be asked, in one line each.
    pub notes: Vec<String>,
}

/// Everything about one document.
#[derive(Clone, Debug)]
pub struct ExplainReport {
    pub facts: Evidence,
    /// One an event.
    pub outcomes: Vec<EventOutcome>,
    /// What differs, as `verify` calls it.
    pub finding: Option<DifferenceName>,
    /// Why the store holds what it holds.
    pub why: String,
    pub standing: Confidence,
}

impl ExplainReport {
    pub fn new(mut facts: Evidence) -> Self {
        let held = facts.stores.first().and_then(|store| store.found.as_ref()).map(|found| found.version);
        let judge = OutcomeJudge::new(&facts.events, held);
        let (outcomes, holder, difference) = (judge.outcomes(), judge.holder, judge.difference(facts.versions));
        let (kind, expected) = difference.map(|(difference, expected)| (difference.kind, expected)).unzip();
        let why = match kind {
            Some(kind) => facts.describe_difference(kind, expected.flatten()),
            None => facts.describe_agreement(&outcomes, holder),
        };
        let open = outcomes.iter().any(|outcome| matches!(outcome, EventOutcome::NotCommitted { .. }));
        let named = kind.map(|kind| {
            let version = expected.flatten().map(|number| facts.version(number));
            DifferenceName::of(kind, version, facts.whole, facts.horizon)
        });
        let standing = match kind {
            _ if named == Some(DifferenceName::Unexplained) => Confidence::Open,
            Some(DifferenceKind::Ahead | DifferenceKind::Unknown) if !facts.whole => Confidence::Open,
            Some(_) => Confidence::Wrong,
            None if open => Confidence::Open,
            None => Confidence::Right,
        };
        facts.note(&outcomes);
        Self { facts, outcomes, finding: named, why, standing }
    }

    /// What became of an event, in words.
    pub fn outcome_text(&self, outcome: &EventOutcome) -> String {
        let facts = &self.facts;
        let store = facts.store();
        let cause = |cause: &super::outcomes::RejectCause| format!("{}, {}", cause.class, cause.reason);
        match outcome {
            EventOutcome::Applied => format!("applied: it is what {store} holds"),
            EventOutcome::Replaced(by) => format!("replaced by {}", facts.name_event(*by)),
            EventOutcome::Superseded(by) => format!("superseded: {} was there already", facts.name_event(*by)),
            EventOutcome::Older(than) => {
                format!("older than {}; which was written first cannot be told", facts.name_event(*than))
            }
            EventOutcome::Equal(with) => format!("of one version with {}, which {store} holds", facts.place(*with)),
            EventOutcome::Duplicate(of) => format!("duplicate of {}", facts.place(*of)),
            EventOutcome::DeadLettered { cause: why, replayed: false } => format!("dead-lettered: {}", cause(why)),
            EventOutcome::DeadLettered { cause: why, replayed: true } => {
                format!("replayed, and it is what {store} holds; was dead-lettered: {}", cause(why))
            }
            EventOutcome::NotCommitted { held: false } => "not committed yet".to_owned(),
            EventOutcome::NotCommitted { held: true } => format!("not committed yet, but it is what {store} holds"),
            EventOutcome::Rejected(why) => format!("rejected, with no dead letter left of it: {}", cause(why)),
            EventOutcome::Ignored => format!("ignored: no event for {}", facts.system),
            EventOutcome::Deleted => format!("deleted; {store} holds nothing, not even a tombstone"),
            EventOutcome::Lost => format!("not in {store}, though no event is newer"),
            EventOutcome::Different => format!("not in {store}, which holds its version with another content"),
            EventOutcome::Beaten(version) => {
                format!("not in {store}, which holds version {version}, and no event has that")
            }
        }
    }
}

impl Evidence {
    /// The name of the system's own store.
    pub fn store(&self) -> &'static str {
        self.stores.first().map_or("the store", |store| store.name)
    }

    /// Topic, partition and offset; of a backfill its file and the line.
    pub fn place(&self, number: usize) -> String {
        let at = |event: &LoggedEvent| match event.source {
            EventSource::Backfill => {
                let file = event.topic.strip_prefix("file:").unwrap_or(&event.topic);
                format!("backfill {file} line {}", event.offset)
            }
            EventSource::Topic | EventSource::History | EventSource::Letter => {
                format!("{}/{}/{}", event.topic, event.partition, event.offset)
            }
        };
        self.events.get(number).map(at).unwrap_or_default()
    }

    fn version(&self, number: usize) -> i64 {
        self.events.get(number).and_then(LoggedEvent::version).unwrap_or_default()
    }

    fn name_event(&self, number: usize) -> String {
        format!("version {} ({})", self.version(number), self.place(number))
    }

    fn kind(&self, number: usize) -> &'static str {
        self.events.get(number).map_or("", LoggedEvent::kind)
    }

    fn describe_agreement(&self, outcomes: &[EventOutcome], holder: Option<usize>) -> String {
        let count = |wanted: fn(&EventOutcome) -> bool| outcomes.iter().filter(|outcome| wanted(outcome)).count();
        let last_delete = outcomes.iter().rposition(|outcome| *outcome == EventOutcome::Deleted);
        let Some(winner) = holder.or(last_delete) else {
            let store = self.store();
            return match (outcomes.len(), count(|outcome| matches!(outcome, EventOutcome::NotCommitted { .. }))) {
                (0, _) if self.whole => format!("no event is about it, and {store} holds nothing"),
                (0, _) => format!("no event that is still in the log is about it, and {store} holds nothing"),
                (_, 0) => format!("{store} holds nothing, because none of its events could be written"),
                (_, pending) => {
                    format!("{store} holds nothing: the group {} has {pending} of its events to go", self.group)
                }
            };
        };
        let (kind, place, version) = (self.kind(winner), self.place(winner), self.version(winner));
        let how = match outcomes.get(winner) {
            Some(EventOutcome::DeadLettered { .. }) => ", a dead letter that was replayed",
            Some(EventOutcome::NotCommitted { .. }) => ", which is written and not committed yet",
            Some(EventOutcome::Deleted) => "; no tombstone is left",
            _ => "",
        };
        format!("{kind} by {place} (version {version}){how}{}", self.describe_late(outcomes, winner))
    }

    /// What came after the event and changed nothing.
    fn describe_late(&self, outcomes: &[EventOutcome], winner: usize) -> String {
        let Some(lane) = self.events.get(winner).map(|event| (&event.topic, event.partition)) else {
            return String::new();
        };
        let after = self.events.iter().zip(outcomes).enumerate().skip(winner + 1);
        let late: Vec<usize> = after
            .filter(|(_, (event, outcome))| {
                matches!(outcome, EventOutcome::Superseded(_)) && (&event.topic, event.partition) == lane
            })
            .map(|(number, _)| number)
            .collect();
        match late.as_slice() {
            [] => String::new(),
            [one] => format!(
                ", and the {} {} that came later is older (version {})",
                noun(self.kind(*one)),
                self.place(*one),
                self.version(*one)
            ),
            many => format!(", and {} events that came later are older", many.len()),
        }
    }

    fn describe_difference(&self, kind: DifferenceKind, expected: Option<usize>) -> String {
        let (store, system) = (self.store(), self.system);
        let held = self.stores.first().and_then(|store| store.found.as_ref()).map_or(0, |found| found.version.version);
        let from = |number: usize| format!("expected version {} from {}", self.version(number), self.place(number));
        let expects = expected.map(from).unwrap_or_else(|| "expected nothing".to_owned());
        let gone =
            expected.and_then(|number| self.events.get(number)).is_some_and(|event| event.source != EventSource::Topic);
        let repair = if gone {
            "the topic no longer has it, so that `millrace verify --repair` cannot write it anew".to_owned()
        } else {
            format!("run millrace verify {system} --repair")
        };
        let rebuild = format!("reset the group {} to the beginning to write every document anew", self.group);
        match kind {
            DifferenceKind::Ahead | DifferenceKind::Unknown if !self.backfills.is_empty() => {
                format!("{store} holds version {held}, which no event of the log has; {}", self.backfills.join("; "))
            }
            DifferenceKind::Missing
                if expected.zip(self.horizon).is_some_and(|(number, horizon)| self.version(number) < horizon) =>
            {
                format!("{expects}, but {store} holds nothing: it may have been deleted, and its tombstone purged")
            }
            DifferenceKind::Missing => format!("{expects}, but {store} holds nothing: {repair}"),
            DifferenceKind::Stale => format!("{expects}, but {store} holds the older version {held}: {repair}"),
            DifferenceKind::Resurrected if expected.is_some_and(|number| self.version(number) == held) => {
                format!("{expects}, a delete, but {store} holds that version alive: {rebuild}")
            }
            DifferenceKind::Resurrected => {
                format!("{expects}, a delete, but {store} holds version {held} alive: {repair}")
            }
            DifferenceKind::Different | DifferenceKind::Altered => {
                format!(
                    "{expects}, and {store} holds version {held} with another content: another release may have enriched it; {rebuild}"
                )
            }
            DifferenceKind::Ahead if self.whole => {
                format!("{expects}, but {store} holds version {held}, which no event has")
            }
            DifferenceKind::Ahead => format!(
                "{expects}; {store} holds version {held}, which may be of an event that is no longer in the log"
            ),
            DifferenceKind::Unknown if self.whole => format!(
                "{store} holds version {held}, and no event is about it: run millrace verify {system} --repair --delete-phantoms"
            ),
            DifferenceKind::Unknown => format!("{store} holds version {held}; its events are no longer in the log"),
        }
    }

    /// Adds what else there is to say.
    fn note(&mut self, outcomes: &[EventOutcome]) {
        let pending = outcomes.iter().filter(|outcome| matches!(outcome, EventOutcome::NotCommitted { .. })).count();
        if pending > 0 {
            self.notes.push(format!("the group {} has {pending} of its events to go, so this may change", self.group));
        }
        let held = self.stores.first().and_then(|store| store.found.as_ref()).map(|found| found.version);
        for (number, outcome) in outcomes.iter().enumerate() {
            let newer = self.events.get(number).and_then(LoggedEvent::version) > held.map(|held| held.version);
            if newer && matches!(outcome, EventOutcome::DeadLettered { replayed: false, .. }) {
                let (place, version) = (self.place(number), self.version(number));
                let replay = format!("millrace dlq replay --system {} --at {place}", self.system);
                self.notes.push(format!("the dead letter {place} would be newer (version {version}): {replay}"));
            }
        }
        let state =
            |store: &StoreState| store.found.as_ref().map(|found| (found.version.version, found.version.deleted));
        let Some((own, others)) = self.stores.split_first() else { return };
        let differ = others.iter().filter(|other| state(other) != state(own));
        let tell = |other: &StoreState| {
            let system = other.system;
            format!("{} holds something else: millrace explain --system {system} tells why", other.name)
        };
        let told: Vec<String> = differ.map(tell).collect();
        self.notes.extend(told);
    }
}

fn noun(kind: &'static str) -> &'static str {
    match kind {
        "created" => "create",
        "updated" => "update",
        "deleted" => "delete",
        other => other,
    }
}

#[cfg(test)]
mod tests;
