//! The story of a document in words: each event's fate, why the store holds what it holds, and what is wrong. Pure.

use super::outcomes::{Event, Fate, Judge, Source};
use crate::maintenance::verify::Name;
use crate::maintenance::verify::compare::Kind;
use crate::stores::reader::Found;

/// What one store holds of the document.
#[derive(Clone, Debug)]
pub struct Store {
    pub system: &'static str,
    pub name: &'static str,
    pub found: Option<Found>,
    /// Events in its history, where it keeps one.
    pub history: Option<usize>,
}

/// How sure the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The store is as the log says.
    Right,
    /// It is not.
    Wrong,
    /// The group has not got that far, or the log is not whole.
    Open,
}

/// What is known before anything is judged.
#[derive(Clone, Debug)]
pub struct Facts {
    pub id: String,
    pub system: &'static str,
    pub group: String,
    /// In the order of topic, partition and offset.
    pub events: Vec<Event>,
    /// The system's own first.
    pub stores: Vec<Store>,
    /// Whether every event that ever was is still in the log.
    pub whole: bool,
    /// Of the system's own store, where the log is not whole: tombstones below this version may be gone.
    pub horizon: Option<i64>,
    /// What could not be asked, in one line each.
    pub notes: Vec<String>,
}

/// Everything about one document.
#[derive(Clone, Debug)]
pub struct Story {
    pub facts: Facts,
    /// One an event.
    pub fates: Vec<Fate>,
    /// What differs, as `verify` calls it.
    pub finding: Option<Name>,
    /// Why the store holds what it holds.
    pub why: String,
    pub standing: Standing,
}

impl Story {
    pub fn new(mut facts: Facts) -> Self {
        let held = facts.stores.first().and_then(|store| store.found.as_ref()).map(|found| found.held);
        let judge = Judge::new(&facts.events, held);
        let (fates, holder, difference) = (judge.fates(), judge.holder, judge.difference());
        let (kind, expected) = difference.map(|(difference, expected)| (difference.kind, expected)).unzip();
        let why = match kind {
            Some(kind) => facts.wrong(kind, expected.flatten()),
            None => facts.right(&fates, holder),
        };
        let open = fates.iter().any(|fate| matches!(fate, Fate::NotCommitted { .. }));
        let named = kind.map(|kind| {
            let version = expected.flatten().map(|number| facts.version(number));
            Name::of(kind, version, facts.whole, facts.horizon)
        });
        let standing = match kind {
            _ if named == Some(Name::Unexplained) => Standing::Open,
            Some(Kind::Ahead | Kind::Unknown) if !facts.whole => Standing::Open,
            Some(_) => Standing::Wrong,
            None if open => Standing::Open,
            None => Standing::Right,
        };
        facts.note(&fates);
        Self { facts, fates, finding: named, why, standing }
    }

    /// What became of an event, in words.
    pub fn fate(&self, fate: &Fate) -> String {
        let facts = &self.facts;
        let store = facts.store();
        let cause = |cause: &super::outcomes::Cause| format!("{}, {}", cause.class, cause.reason);
        match fate {
            Fate::Applied => format!("applied: it is what {store} holds"),
            Fate::Replaced(by) => format!("replaced by {}", facts.named(*by)),
            Fate::Superseded(by) => format!("superseded: {} was there already", facts.named(*by)),
            Fate::Older(than) => format!("older than {}; which was written first cannot be told", facts.named(*than)),
            Fate::Equal(with) => format!("of one version with {}, which {store} holds", facts.place(*with)),
            Fate::Duplicate(of) => format!("duplicate of {}", facts.place(*of)),
            Fate::DeadLettered { cause: why, replayed: false } => format!("dead-lettered: {}", cause(why)),
            Fate::DeadLettered { cause: why, replayed: true } => {
                format!("replayed, and it is what {store} holds; was dead-lettered: {}", cause(why))
            }
            Fate::NotCommitted { held: false } => "not committed yet".to_owned(),
            Fate::NotCommitted { held: true } => format!("not committed yet, but it is what {store} holds"),
            Fate::Rejected(why) => format!("rejected, with no dead letter left of it: {}", cause(why)),
            Fate::Ignored => format!("ignored: no event for {}", facts.system),
            Fate::Deleted => format!("deleted; {store} holds nothing, not even a tombstone"),
            Fate::Lost => format!("not in {store}, though no event is newer"),
            Fate::Different => format!("not in {store}, which holds its version with another content"),
            Fate::Beaten(version) => format!("not in {store}, which holds version {version}, and no event has that"),
        }
    }
}

impl Facts {
    /// The name of the system's own store.
    pub fn store(&self) -> &'static str {
        self.stores.first().map_or("the store", |store| store.name)
    }

    /// Topic, partition and offset.
    pub fn place(&self, number: usize) -> String {
        let at = |event: &Event| format!("{}/{}/{}", event.topic, event.partition, event.offset);
        self.events.get(number).map(at).unwrap_or_default()
    }

    fn version(&self, number: usize) -> i64 {
        self.events.get(number).and_then(Event::version).unwrap_or_default()
    }

    fn named(&self, number: usize) -> String {
        format!("version {} ({})", self.version(number), self.place(number))
    }

    fn kind(&self, number: usize) -> &'static str {
        self.events.get(number).map_or("", Event::kind)
    }

    fn right(&self, fates: &[Fate], holder: Option<usize>) -> String {
        let count = |wanted: fn(&Fate) -> bool| fates.iter().filter(|fate| wanted(fate)).count();
        let last_delete = fates.iter().rposition(|fate| *fate == Fate::Deleted);
        let Some(winner) = holder.or(last_delete) else {
            let store = self.store();
            return match (fates.len(), count(|fate| matches!(fate, Fate::NotCommitted { .. }))) {
                (0, _) if self.whole => format!("no event is about it, and {store} holds nothing"),
                (0, _) => format!("no event that is still in the log is about it, and {store} holds nothing"),
                (_, 0) => format!("{store} holds nothing, because none of its events could be written"),
                (_, pending) => {
                    format!("{store} holds nothing: the group {} has {pending} of its events to go", self.group)
                }
            };
        };
        let (kind, place, version) = (self.kind(winner), self.place(winner), self.version(winner));
        let how = match fates.get(winner) {
            Some(Fate::DeadLettered { .. }) => ", a dead letter that was replayed",
            Some(Fate::NotCommitted { .. }) => ", which is written and not committed yet",
            Some(Fate::Deleted) => "; no tombstone is left",
            _ => "",
        };
        format!("{kind} by {place} (version {version}){how}{}", self.late(fates, winner))
    }

    /// What came after the event and changed nothing.
    fn late(&self, fates: &[Fate], winner: usize) -> String {
        let Some(lane) = self.events.get(winner).map(|event| (&event.topic, event.partition)) else {
            return String::new();
        };
        let after = self.events.iter().zip(fates).enumerate().skip(winner + 1);
        let late: Vec<usize> = after
            .filter(|(_, (event, fate))| matches!(fate, Fate::Superseded(_)) && (&event.topic, event.partition) == lane)
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

    fn wrong(&self, kind: Kind, expected: Option<usize>) -> String {
        let (store, system) = (self.store(), self.system);
        let held = self.stores.first().and_then(|store| store.found.as_ref()).map_or(0, |found| found.held.version);
        let from = |number: usize| format!("expected version {} from {}", self.version(number), self.place(number));
        let expects = expected.map(from).unwrap_or_else(|| "expected nothing".to_owned());
        let gone =
            expected.and_then(|number| self.events.get(number)).is_some_and(|event| event.source != Source::Topic);
        let repair = if gone {
            "the topic no longer has it, so that `millrace verify --repair` cannot write it anew".to_owned()
        } else {
            format!("run millrace verify {system} --repair")
        };
        let rebuild = format!("reset the group {} to the beginning to write every document anew", self.group);
        match kind {
            Kind::Missing
                if expected.zip(self.horizon).is_some_and(|(number, horizon)| self.version(number) < horizon) =>
            {
                format!("{expects}, but {store} holds nothing: it may have been deleted, and its tombstone purged")
            }
            Kind::Missing => format!("{expects}, but {store} holds nothing: {repair}"),
            Kind::Stale => format!("{expects}, but {store} holds the older version {held}: {repair}"),
            Kind::Resurrected if expected.is_some_and(|number| self.version(number) == held) => {
                format!("{expects}, a delete, but {store} holds that version alive: {rebuild}")
            }
            Kind::Resurrected => format!("{expects}, a delete, but {store} holds version {held} alive: {repair}"),
            Kind::Different | Kind::Altered => {
                format!(
                    "{expects}, and {store} holds version {held} with another content: another release may have enriched it; {rebuild}"
                )
            }
            Kind::Ahead if self.whole => format!("{expects}, but {store} holds version {held}, which no event has"),
            Kind::Ahead => format!(
                "{expects}; {store} holds version {held}, which may be of an event that is no longer in the log"
            ),
            Kind::Unknown if self.whole => format!(
                "{store} holds version {held}, and no event is about it: run millrace verify {system} --repair --delete-phantoms"
            ),
            Kind::Unknown => format!("{store} holds version {held}; its events are no longer in the log"),
        }
    }

    /// Adds what else there is to say.
    fn note(&mut self, fates: &[Fate]) {
        let pending = fates.iter().filter(|fate| matches!(fate, Fate::NotCommitted { .. })).count();
        if pending > 0 {
            self.notes.push(format!("the group {} has {pending} of its events to go, so this may change", self.group));
        }
        let held = self.stores.first().and_then(|store| store.found.as_ref()).map(|found| found.held);
        for (number, fate) in fates.iter().enumerate() {
            let newer = self.events.get(number).and_then(Event::version) > held.map(|held| held.version);
            if newer && matches!(fate, Fate::DeadLettered { replayed: false, .. }) {
                let (place, version) = (self.place(number), self.version(number));
                let replay = format!("millrace dlq replay --system {} --at {place}", self.system);
                self.notes.push(format!("the dead letter {place} would be newer (version {version}): {replay}"));
            }
        }
        let state = |store: &Store| store.found.as_ref().map(|found| (found.held.version, found.held.deleted));
        let Some((own, others)) = self.stores.split_first() else { return };
        let differ = others.iter().filter(|other| state(other) != state(own));
        let tell = |other: &Store| {
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
mod tests {
    use pipeline::dedupe::Mark;

    use super::*;
    use crate::maintenance::explain::outcomes::{Cause, What};
    use crate::stores::reader::Held;

    fn event(offset: i64, version: i64, content: u64) -> Event {
        let kind = if content == 0 { "deleted" } else { "updated" };
        let what = What::Told { version, deleted: content == 0, content, kind, mark: Mark([content as u8; 16]) };
        Event { topic: "t".into(), partition: 0, offset, source: Source::Topic, what, letter: None, committed: true }
    }

    fn story(events: Vec<Event>, held: Option<(i64, u64)>, whole: bool) -> Story {
        let found = held.map(|(version, content)| Found {
            held: Held { version, deleted: content == 0, content, passed: None },
            text: None,
        });
        let stores = vec![Store { system: "transactions", name: "elasticsearch", found, history: None }];
        let (id, group, notes) = ("a".to_owned(), "g".to_owned(), Vec::new());
        Story::new(Facts { id, system: "transactions", group, events, stores, whole, horizon: None, notes })
    }

    #[test]
    fn each_difference_says_what_to_do_and_whether_it_is_certain() {
        let log = || vec![event(0, 5, 1), event(1, 7, 2)];
        let cases = [
            (
                log(),
                None,
                true,
                Standing::Wrong,
                "but elasticsearch holds nothing: run millrace verify transactions --repair",
            ),
            (log(), Some((5, 1)), true, Standing::Wrong, "holds the older version 5: run millrace verify"),
            (log(), Some((7, 9)), true, Standing::Wrong, "with another content"),
            (log(), Some((8, 9)), true, Standing::Wrong, "version 8, which no event has"),
            (log(), Some((8, 9)), false, Standing::Open, "no longer in the log"),
            (
                vec![event(0, 5, 0)],
                Some((4, 1)),
                true,
                Standing::Wrong,
                "a delete, but elasticsearch holds version 4 alive",
            ),
            (Vec::new(), Some((4, 1)), true, Standing::Wrong, "--delete-phantoms"),
            (Vec::new(), Some((4, 1)), false, Standing::Open, "no longer in the log"),
            (Vec::new(), None, true, Standing::Right, "no event is about it"),
        ];
        for (events, held, whole, standing, says) in cases {
            let story = story(events, held, whole);
            assert!(story.why.contains(says) && story.standing == standing, "{says}: {story:?}");
        }
    }

    #[test]
    fn a_repair_is_not_advised_where_the_topic_has_nothing_to_repair_from() {
        let gone = Event { source: Source::History, ..event(0, 5, 1) };
        assert!(story(vec![gone], None, false).why.contains("cannot write it anew"));
    }

    #[test]
    fn a_newer_dead_letter_and_what_is_to_come_are_noted() {
        let cause = Cause { class: "c".into(), reason: "r".into() };
        let letter = Event { letter: Some(cause), ..event(1, 9, 3) };
        let pending = Event { committed: false, ..event(2, 10, 4) };
        let story = story(vec![event(0, 5, 1), letter, pending], Some((5, 1)), true);
        assert_eq!((story.standing, story.why.as_str()), (Standing::Open, "updated by t/0/0 (version 5)"));
        assert!(story.facts.notes[0].contains("1 of its events to go"), "{:?}", story.facts.notes);
        assert!(story.facts.notes[1].ends_with("millrace dlq replay --system transactions --at t/0/1"));
    }
}
