//! What became of each event of a document, as far as can be told. Pure.

use std::sync::Arc;

use pipeline::dedupe::Mark;

use crate::maintenance::verify::compare::{Difference, LogPosition, LoggedVersion, compare};
use crate::stores::reader::StoredVersion;
use crate::systems::definition::Versions;

/// Where an event was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventSource {
    Topic,
    /// The topic no longer has it.
    History,
    /// The topic no longer has it.
    Letter,
    /// A file that a backfill read; the topic never had it.
    Backfill,
}

/// Why a record was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectCause {
    pub class: String,
    pub reason: String,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventContent {
    Told {
        version: i64,
        deleted: bool,
        /// Of what the store is to hold.
        content: u64,
        /// Created, updated or deleted.
        kind: &'static str,
        /// The same for a copy.
        /// None where the store tells copies by itself.
        mark: Option<Mark>,
    },
    /// It cannot be read, or not be written.
    Rejected(RejectCause),
    /// Not for this system.
    Ignored,
}

/// A record that is about the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub source: EventSource,
    pub what: EventContent,
    /// Its dead letter, of this system and group.
    pub letter: Option<RejectCause>,
    /// Whether the group has it behind it.
    pub committed: bool,
}

/// The outcome of one event. A `usize` in a variant is the place of another event in the same list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// It is what the store holds.
    Applied,
    /// The newest when it came; this one came after it and won.
    Replaced(usize),
    /// Older than this one, which came before it.
    Superseded(usize),
    /// Older than this one; which of the two was written first cannot be told.
    Older(usize),
    /// The store holds this one, of another partition and the same version.
    Equal(usize),
    Duplicate(usize),
    DeadLettered {
        cause: RejectCause,
        /// It is what the store holds, so it was replayed.
        replayed: bool,
    },
    NotCommitted {
        /// It is what the store holds all the same.
        held: bool,
    },
    /// Rejected, and there is no letter of it.
    Rejected(RejectCause),
    Ignored,
    /// A delete, of which the store holds no tombstone.
    Deleted,
    /// The newest, and the store holds nothing or something older.
    Lost,
    /// The store holds its version with another content.
    Different,
    /// The store holds this newer version, which no event has.
    Beaten(i64),
}

impl LoggedEvent {
    pub fn version(&self) -> Option<i64> {
        match self.what {
            EventContent::Told { version, .. } => Some(version),
            EventContent::Rejected(_) | EventContent::Ignored => None,
        }
    }

    /// Created, updated or deleted; `-` where that cannot be told.
    pub fn kind(&self) -> &'static str {
        match self.what {
            EventContent::Told { kind, .. } => kind,
            EventContent::Rejected(_) | EventContent::Ignored => "-",
        }
    }

    /// Whether the store must have been offered it.
    fn counts(&self) -> bool {
        self.version().is_some() && self.letter.is_none() && self.committed
    }

    /// Whether it is what the store holds.
    pub(super) fn fits(&self, held: StoredVersion) -> bool {
        matches!(self.what, EventContent::Told { version, deleted, content, .. }
            if (version, deleted, content) == (held.version, held.deleted, held.content))
    }

    fn lane(&self) -> (&str, i32) {
        (&self.topic, self.partition)
    }
}

/// Events in the order of topic, partition and offset, against what the store holds.
pub struct OutcomeJudge<'e> {
    events: &'e [LoggedEvent],
    held: Option<StoredVersion>,
    /// Of which event each is a copy.
    copied: Vec<Option<usize>>,
    /// The event that the store holds.
    pub holder: Option<usize>,
}

impl<'e> OutcomeJudge<'e> {
    pub fn new(events: &'e [LoggedEvent], held: Option<StoredVersion>) -> Self {
        let mark = |event: &LoggedEvent| match event.what {
            EventContent::Told { mark, .. } if event.counts() => mark,
            _ => None,
        };
        let original = |event: &LoggedEvent| {
            let first = events.iter().position(|other| mark(event).is_some() && mark(other) == mark(event))?;
            events.get(first).filter(|first| !std::ptr::eq(*first, event)).map(|_| first)
        };
        let copied: Vec<_> = events.iter().map(original).collect();
        let fits = |event: &LoggedEvent| held.is_some_and(|held| event.fits(held));
        let fitting =
            || events.iter().zip(&copied).enumerate().filter(|(_, (event, copied))| copied.is_none() && fits(event));
        let certain = fitting().rfind(|(_, (event, _))| event.counts());
        let holder = certain.or_else(|| fitting().next_back()).map(|(number, _)| number);
        Self { events, held, copied, holder }
    }

    pub fn outcomes(&self) -> Vec<EventOutcome> {
        self.events.iter().enumerate().map(|(number, event)| self.outcome(number, event)).collect()
    }

    fn outcome(&self, number: usize, event: &LoggedEvent) -> EventOutcome {
        let held = self.holder == Some(number);
        if let Some(cause) = &event.letter {
            return EventOutcome::DeadLettered { cause: cause.clone(), replayed: held };
        }
        if !event.committed {
            return EventOutcome::NotCommitted { held };
        }
        match &event.what {
            EventContent::Rejected(cause) => EventOutcome::Rejected(cause.clone()),
            EventContent::Ignored => EventOutcome::Ignored,
            EventContent::Told { .. } if held => EventOutcome::Applied,
            EventContent::Told { version, deleted, .. } => {
                let copy = self.copied.get(number).copied().flatten().map(EventOutcome::Duplicate);
                copy.or_else(|| self.outdone(number, event, *version))
                    .unwrap_or_else(|| self.newest(*version, *deleted))
            }
        }
    }

    /// By which other event it is.
    fn outdone(&self, number: usize, event: &LoggedEvent, version: i64) -> Option<EventOutcome> {
        let others = || {
            let all = self.events.iter().zip(&self.copied).enumerate();
            all.filter(|(_, (other, copied))| other.counts() && copied.is_none())
                .filter_map(|(place, (other, _))| Some((place, other, other.version()?)))
        };
        let lane = || others().filter(|(_, other, _)| other.lane() == event.lane());
        let newer = |(_, _, other): &(usize, &LoggedEvent, i64)| *other > version;
        let before = lane().take_while(|(place, ..)| *place < number).filter(newer);
        if let Some((before, ..)) = before.max_by_key(|(_, _, other)| *other) {
            return Some(EventOutcome::Superseded(before));
        }
        if let Some((after, ..)) = lane().find(|(place, _, other)| *place > number && *other >= version) {
            return Some(EventOutcome::Replaced(after));
        }
        if let Some((holder, other)) = self.holder.and_then(|holder| Some((holder, self.events.get(holder)?))) {
            let same_lane = other.lane() == event.lane();
            if same_lane && holder > number && !other.committed && other.version() >= Some(version) {
                return Some(EventOutcome::Replaced(holder));
            }
            if other.version() > Some(version) {
                return Some(EventOutcome::Older(holder));
            }
            if other.version() == Some(version) && !same_lane {
                return Some(EventOutcome::Equal(holder));
            }
        }
        others().filter(newer).max_by_key(|(_, _, other)| *other).map(|(place, ..)| EventOutcome::Older(place))
    }

    /// No event is newer.
    fn newest(&self, version: i64, deleted: bool) -> EventOutcome {
        match self.held {
            None if deleted => EventOutcome::Deleted,
            None => EventOutcome::Lost,
            Some(held) if held.version < version => EventOutcome::Lost,
            Some(held) if held.version == version => EventOutcome::Different,
            Some(held) => EventOutcome::Beaten(held.version),
        }
    }

    /// How log and store differ, with the number of the event that the store should hold.
    pub fn difference(&self, versions: Versions) -> Option<(Difference, Option<usize>)> {
        let mut topics: Vec<&str> = Vec::new();
        let mut told: Vec<(usize, LoggedVersion)> = Vec::new();
        for (number, event) in self.events.iter().enumerate() {
            let known = topics.iter().position(|topic| *topic == &*event.topic);
            let topic = known.unwrap_or_else(|| {
                topics.push(&event.topic);
                topics.len() - 1
            });
            let EventContent::Told { version, deleted, content, .. } = event.what else { continue };
            let at = LogPosition { topic: topic as u8, partition: event.partition, offset: event.offset };
            told.push((
                number,
                LoggedVersion { at, version, deleted, content, passed: None, optional: !event.counts() },
            ));
        }
        let all: Vec<LoggedVersion> = told.iter().map(|(_, told)| *told).collect();
        let difference = compare(&all, self.held, versions)?;
        let expected = told.iter().find(|(_, told)| Some(*told) == difference.expected).map(|(number, _)| *number);
        Some((difference, expected))
    }
}

#[cfg(test)]
mod tests;
