//! A store without versions: it takes each record once, and refuses some keys for a time. What must hold of order by key.

use std::collections::BTreeMap;

use pipeline::dead_letters::DeadLetter;
use pipeline::sink::{Reject, Verdict};
use pipeline::{Ladder, TopicPartition};
use tokio::time::Instant;

use crate::model::{Letters, World};
use crate::world::{Event, Kind, Partition, SimWrite, What};

pub struct Keyed {
    pub ladder: Ladder,
    /// When each record was taken.
    pub applied: BTreeMap<(TopicPartition, i64), Instant>,
    /// Keys that are refused until then.
    pub refused: BTreeMap<String, Instant>,
    /// When each record was refused.
    pub tries: BTreeMap<(TopicPartition, i64), Vec<Instant>>,
    /// What each document holds, where no two may hold the same.
    pub unique: Option<BTreeMap<String, Option<String>>>,
}

impl Keyed {
    pub fn new(ladder: Ladder) -> Self {
        Self { ladder, applied: BTreeMap::new(), refused: BTreeMap::new(), tries: BTreeMap::new(), unique: None }
    }

    /// Whether a record has its outcome: taken, a letter, or a copy of one that was taken.
    pub fn finished(&self, partition: &Partition, letters: &Letters, event: &Event) -> bool {
        let (at, offset) = (&event.record.at, event.record.offset);
        let taken = |offset: i64| self.applied.contains_key(&(at.clone(), offset));
        let copied = |other: &&Event| other.record.payload == event.record.payload && taken(other.record.offset);
        let earlier = partition.events.iter().take_while(|other| other.record.offset < offset);
        taken(offset) || letters.kept.contains_key(&(at.clone(), offset)) || earlier.into_iter().find(copied).is_some()
    }
}

/// Records before this one that share a key with it.
fn before(partition: &Partition, offset: i64, keys: Vec<String>) -> impl Iterator<Item = &Event> {
    let shares = move |event: &&Event| match &event.what {
        What::Write(write) => write.keys().any(|key| keys.iter().any(|other| other == key)),
        What::Poison | What::Ignored => false,
    };
    partition.events.iter().take_while(move |event| event.record.offset < offset).filter(shares)
}

/// Takes a record, once, if all before it on its keys have their outcome.
pub fn apply(world: &World, keyed: &mut Keyed, write: &SimWrite) -> Verdict {
    let (place, now) = ((write.at.clone(), write.offset), Instant::now());
    if keyed.applied.contains_key(&place) {
        return Verdict::Superseded;
    }
    if write.kind == Kind::Bad {
        return Verdict::Reject(Reject::new("bad", "the store rejects it"));
    }
    let log = world.log.lock().unwrap();
    let letters = world.letters.lock().unwrap();
    let partition = &log.partitions[&write.at];
    for earlier in before(partition, write.offset, write.keys().map(str::to_owned).collect()) {
        let finished = earlier.dead().is_some() || keyed.finished(partition, &letters, earlier);
        world.check(finished, || {
            format!("{}@{} {} overtook {}", write.at, write.offset, write.document, earlier.record.offset)
        });
    }
    if write.keys().any(|key| keyed.refused.get(key).is_some_and(|until| *until > now)) {
        world.count("put off");
        keyed.tries.entry(place).or_default().push(now);
        return Verdict::Later(Reject::new("later", "what it needs is not there"));
    }
    if let Some(held) = &mut keyed.unique {
        if held.iter().any(|(document, body)| *document != write.document && *body == write.body) {
            return Verdict::Conflict(Reject::new("duplicate_key", "another has it"));
        }
        held.insert(write.document.clone(), write.body.clone());
    }
    keyed.applied.insert(place, now);
    Verdict::Applied
}

/// A letter comes at the end of the ladder, or behind one of its keys.
pub fn check_letter(world: &World, letter: &DeadLetter<'_>) {
    let log = world.log.lock().unwrap();
    let store = world.store.lock().unwrap();
    let Some(keyed) = &store.keyed else { return };
    let record = letter.record;
    let partition = &log.partitions[&record.at];
    let event = partition.events.iter().find(|event| event.record.offset == record.offset).unwrap();
    let What::Write(write) = &event.what else { return };
    if letter.reject.class != "later" {
        return;
    }
    world.count("given up");
    let kept = &world.letters.lock().unwrap().kept;
    let mut earlier = before(partition, record.offset, write.keys().map(str::to_owned).collect());
    let behind = earlier.any(|event| kept.contains_key(&(record.at.clone(), event.record.offset)));
    let exhausted = letter.attempts == keyed.ladder.attempts + 1;
    world.check(exhausted || behind && letter.attempts <= keyed.ladder.attempts + 1, || {
        format!("{}@{} became a letter after {} tries", record.at, record.offset, letter.attempts)
    });
}

/// The end of a run: each record was taken, or became a letter.
pub fn judge(world: &World) {
    let log = world.log.lock().unwrap();
    let store = world.store.lock().unwrap();
    let keyed = store.keyed.as_ref().unwrap();
    let letters = world.letters.lock().unwrap();
    for event in log.partitions.values().flat_map(|partition| &partition.events) {
        let record = &event.record;
        let kept = letters.kept.get(&(record.at.clone(), record.offset));
        let right = match (&event.what, event.dead()) {
            (_, Some(class)) => kept.is_some_and(|kept| kept.class == class),
            (What::Write(_), None) => {
                kept.is_none_or(|kept| kept.class == "later")
                    && keyed.finished(&log.partitions[&record.at], &letters, event)
            }
            _ => kept.is_none(),
        };
        world.check(right, || format!("{}@{} has no outcome of its own", record.at, record.offset));
    }
}
