//! A lane: the records of one partition that wait on their ladder, and those of the same keys behind them. Pure.
//!
//! A record stands in the line of each of its keys, in the order of the log, and may be tried when it is the head of all of
//! them. What is tried together is a run: heads that are due, and whoever becomes a head when those before it are done.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::record::Record;

/// Memory of a parked record beside its own and its keys' bytes, and of a place in a line.
const FLAT: usize = 200;

/// How a write is tried again that may pass later, because of what else the store holds by then.
#[derive(Clone, Copy, Debug)]
pub struct Ladder {
    /// Tries after the first.
    pub attempts: u32,
    /// The pause before the first of them; it doubles with each, without a cap and never shortened.
    pub delay: Duration,
    /// Whether a failure of class `now` has the reason for which an earlier record of the same key became a letter of class
    /// `dead`. A record that waited behind that one has no ladder of its own then.
    pub same_reason: fn(dead: &str, now: &str) -> bool,
}

impl Ladder {
    /// The reason is the same where the class is.
    pub fn new(attempts: u32, delay: Duration) -> Self {
        Self { attempts, delay, same_reason: |dead, now| dead == now }
    }

    /// The pause after so many tries; `None` when it was the last.
    pub fn pause(&self, tries: u32) -> Option<Duration> {
        let doublings = 1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
        (tries <= self.attempts).then(|| self.delay.saturating_mul(doublings))
    }
}

/// A record that waits.
#[derive(Clone, Debug)]
struct Parked {
    record: Record,
    keys: Vec<Arc<str>>,
    bytes: usize,
    /// Tries so far.
    tries: u32,
    /// Since when it waits.
    since: Instant,
    /// When it is tried next, if it is a head by then.
    due: Instant,
}

/// The records that wait for one key.
#[derive(Debug, Default)]
struct KeyLine {
    /// Their offsets.
    waiting: BTreeSet<i64>,
    /// Classes of letters of the key, each with the last offset that stood behind it.
    dead: Vec<(Cow<'static, str>, i64)>,
}

/// What waits of one partition under one assignment.
#[derive(Debug, Default)]
pub struct Lane {
    parked: BTreeMap<i64, Parked>,
    lines: FxHashMap<Arc<str>, KeyLine>,
    /// Heads of all their lines, by when they are due; none of the run.
    heads: BTreeSet<(Instant, i64)>,
    run: BTreeSet<i64>,
    bytes: usize,
}

impl Lane {
    /// Whether a record waits for one of these keys.
    pub fn holds(&self, keys: &[String]) -> bool {
        keys.iter().any(|key| self.lines.contains_key(key.as_str()))
    }

    /// Puts a record, later than all that wait for its keys, at the end of their lines. `tries` were made; it is due then.
    pub fn push(&mut self, record: Record, keys: &[String], tries: u32, now: Instant, due: Instant) {
        let offset = record.offset;
        let keys: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
        let mut interned = Vec::with_capacity(keys.len());
        let mut bytes = FLAT + record.bytes();
        for key in keys {
            let key = self.lines.get_key_value(key).map_or_else(|| Arc::from(key), |(key, _)| key.clone());
            bytes += FLAT + key.len();
            self.lines.entry(key.clone()).or_default().waiting.insert(offset);
            interned.push(key);
        }
        self.bytes += bytes;
        self.parked.insert(offset, Parked { record, keys: interned, bytes, tries, since: now, due });
        self.head(offset);
    }

    /// Makes a record that waits a head, if it is one.
    fn head(&mut self, offset: i64) {
        let Some(parked) = self.parked.get(&offset) else { return };
        let first = |key: &Arc<str>| self.lines.get(key).and_then(|line| line.waiting.first()) == Some(&offset);
        if !self.run.contains(&offset) && parked.keys.iter().all(first) {
            self.heads.insert((parked.due, offset));
        }
    }

    /// The lowest offset that waits: no commit passes it.
    pub fn lowest(&self) -> Option<i64> {
        self.parked.keys().next().copied()
    }

    /// Whether a record before this offset waits for a key of which that holds.
    pub(crate) fn holds_before(&self, offset: i64, key: impl Fn(&str) -> bool) -> bool {
        self.parked.range(..offset).any(|(_, parked)| parked.keys.iter().any(|one| key(one)))
    }

    /// When the next run may begin; never while one goes on.
    pub fn due_at(&self) -> Option<Instant> {
        self.heads.first().filter(|_| self.run.is_empty()).map(|(due, _)| *due)
    }

    pub fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }

    /// Records that wait, those of the run among them.
    pub fn len(&self) -> usize {
        self.parked.len()
    }

    /// Records of the run.
    pub fn running(&self) -> usize {
        self.run.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Since when the one has waited that waits longest.
    pub fn oldest(&self) -> Option<Instant> {
        self.parked.values().map(|parked| parked.since).min()
    }

    /// Begins a run: the heads that are due, and those behind them, in the order of the log, up to a number.
    pub fn begin(&mut self, now: Instant, most: usize) -> Vec<Record> {
        if !self.run.is_empty() {
            return Vec::new();
        }
        while let Some(&(due, offset)) = self.heads.first()
            && due <= now
            && self.run.len() < most
        {
            self.heads.pop_first();
            self.run.insert(offset);
        }
        let mut before = self.run.clone();
        while let Some(offset) = before.pop_first() {
            for next in self.after(offset) {
                if self.run.len() < most && self.follows(next) && self.run.insert(next) {
                    before.insert(next);
                }
            }
        }
        self.run.iter().filter_map(|offset| self.parked.get(offset)).map(|parked| parked.record.clone()).collect()
    }

    /// Who stands right behind a record in its lines.
    fn after(&self, offset: i64) -> Vec<i64> {
        let keys = self.parked.get(&offset).map(|parked| parked.keys.as_slice()).unwrap_or_default();
        let next = |key: &Arc<str>| self.lines.get(key)?.waiting.range(offset + 1..).next().copied();
        keys.iter().filter_map(next).collect()
    }

    /// Whether all who stand right before a record are in the run.
    fn follows(&self, offset: i64) -> bool {
        let keys = self.parked.get(&offset).map(|parked| parked.keys.as_slice()).unwrap_or_default();
        let before = |key: &Arc<str>| self.lines.get(key)?.waiting.range(..offset).next_back();
        keys.iter().filter_map(before).all(|before| self.run.contains(before))
    }

    /// Whether a record that may pass later may wait: it has tries left, and none before it on its keys was given up on for
    /// the same reason. One that does not wait yet may where the ladder has a step at all.
    pub fn may_wait(&self, offset: i64, class: &str, ladder: &Ladder) -> bool {
        let Some(parked) = self.parked.get(&offset) else { return ladder.attempts > 0 };
        let same = |(dead, last): &(Cow<'static, str>, i64)| offset <= *last && (ladder.same_reason)(dead, class);
        let lines = parked.keys.iter().filter_map(|key| self.lines.get(key));
        parked.tries < ladder.attempts && !lines.flat_map(|line| &line.dead).any(same)
    }

    /// Notes that a record of the run was tried once more, and may pass later.
    pub fn note_try(&mut self, offset: i64, now: Instant, ladder: &Ladder) {
        if let Some(parked) = self.parked.get_mut(&offset) {
            parked.tries += 1;
            parked.due = now + ladder.pause(parked.tries).unwrap_or_default();
        }
    }

    /// How often a record was tried that may pass later.
    pub fn tries(&self, offset: i64) -> u32 {
        self.parked.get(&offset).map_or(0, |parked| parked.tries)
    }

    /// Notes that a record is given up on, for those behind it.
    pub fn gave_up(&mut self, offset: i64, class: Cow<'static, str>) {
        let Some(parked) = self.parked.get(&offset) else { return };
        for key in &parked.keys {
            let Some(line) = self.lines.get_mut(key) else { continue };
            let last = line.waiting.last().copied().unwrap_or(offset);
            line.dead.retain(|(dead, _)| *dead != class);
            line.dead.push((class.clone(), last));
        }
    }

    /// Ends the run: these records of it have their outcome, the others wait as they are.
    pub fn end(&mut self, done: impl Iterator<Item = i64>) {
        let mut candidates = std::mem::take(&mut self.run);
        for offset in done {
            let Some(parked) = self.parked.remove(&offset) else { continue };
            self.bytes -= parked.bytes;
            for key in parked.keys {
                let Some(line) = self.lines.get_mut(&key) else { continue };
                line.waiting.remove(&offset);
                if let Some(first) = line.waiting.first() {
                    candidates.insert(*first);
                } else {
                    self.lines.remove(&key);
                }
            }
        }
        candidates.into_iter().for_each(|offset| self.head(offset));
    }
}
