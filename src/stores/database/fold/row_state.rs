//! What operations come to: the state of one row, and how what is held differs from it. Pure.
//!
//! Within a partition operations were applied in its order. Of several partitions nothing says which came last, so what any of
//! them left may be held.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::super::catalogue::TableShape;
use super::super::operation::RowVerb;
use super::value_match::matches;
use crate::stores::folded::RecordPlace;

/// What one operation did to one row, in texts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WrittenEntry {
    pub(super) entity: String,
    pub(super) verb: RowVerb,
    /// As it was written.
    pub(super) key: Vec<Option<String>>,
    pub(super) columns: Vec<(String, Option<String>)>,
    pub(super) at: RecordPlace,
    /// The record's own time.
    pub(super) time_ms: i64,
    /// In hexadecimal.
    pub(super) mark: String,
    /// Whether its mark says that it was applied; else the mark may have been purged.
    pub(super) marked: bool,
    /// It came while the store was read, and may be in it or not.
    pub(super) later: bool,
}

/// The columns of a row as texts, in the order of the table.
pub(super) type HeldRow = Vec<Option<String>>;

/// What is known of a row by one entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum SpilledEntry {
    Written(WrittenEntry),
    Held(HeldRow),
}

/// What the operations of one partition left.
#[derive(Clone, Debug)]
pub(super) struct RowState {
    pub(super) alive: bool,
    /// Whether it was made by one of them, so that nothing of it is of before.
    pub(super) made: bool,
    pub(super) columns: BTreeMap<String, Option<String>>,
    pub(super) key: Vec<Option<String>>,
    pub(super) last: WrittenEntry,
}

/// What the operations of a row come to.
#[derive(Clone, Debug, Default)]
pub(super) struct FoldedRow {
    /// One a partition.
    pub(super) states: Vec<RowState>,
    /// Whether all of its operations are marked.
    pub(super) marked: bool,
    pub(super) later: bool,
    /// Of all operations that may be of the row.
    pub(super) marks: HashSet<String>,
}

/// How a row differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowJudgement {
    Right,
    Missing,
    Resurrected,
    /// No operation is about it.
    Extra,
    /// The columns that are not as they were written.
    Altered(Vec<String>),
}

/// Folds the operations of one row.
pub(super) fn fold(mut entries: Vec<WrittenEntry>) -> FoldedRow {
    entries.sort_by(|one, other| one.at.cmp(&other.at));
    // A copy whose mark was purged was not applied again; the first in time was.
    let mut first: BTreeMap<String, (i64, RecordPlace)> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| !entry.marked) {
        let this = (entry.time_ms, entry.at.clone());
        let known = first.entry(entry.mark.clone()).or_insert_with(|| this.clone());
        *known = this.min(known.clone());
    }
    entries.retain(|entry| entry.marked || first.get(&entry.mark).is_some_and(|(_, at)| *at == entry.at));
    let mut row = FoldedRow {
        marked: entries.iter().all(|entry| entry.marked),
        later: entries.iter().any(|entry| entry.later),
        marks: HashSet::new(),
        states: Vec::new(),
    };
    for entry in entries {
        match row.states.last_mut().filter(|state| partition(&state.last) == partition(&entry)) {
            Some(state) => state.apply(entry),
            None => row.states.push(RowState::of(entry)),
        }
    }
    row
}

fn partition(entry: &WrittenEntry) -> (&str, i32) {
    (&entry.at.0, entry.at.1)
}

impl RowState {
    fn of(entry: WrittenEntry) -> Self {
        let (columns, key) = (BTreeMap::new(), entry.key.clone());
        let mut state = Self { alive: false, made: false, columns, key, last: entry.clone() };
        state.apply(entry);
        state
    }

    fn apply(&mut self, entry: WrittenEntry) {
        match entry.verb {
            RowVerb::Insert => {
                (self.alive, self.made, self.key) = (true, true, entry.key.clone());
                self.columns = entry.columns.iter().cloned().collect();
            }
            RowVerb::Update => {
                self.alive = true;
                self.columns.extend(entry.columns.iter().cloned());
            }
            RowVerb::Delete => {
                (self.alive, self.made) = (false, false);
                self.columns.clear();
            }
        }
        self.last = entry;
    }
}

/// Compares a row with what is held of it.
pub(super) fn judge(row: &FoldedRow, held: Option<&HeldRow>, table: &TableShape) -> RowJudgement {
    let Some(held) = held else {
        let may_be_gone = row.states.iter().any(|state| !state.alive);
        return if may_be_gone || row.states.is_empty() { RowJudgement::Right } else { RowJudgement::Missing };
    };
    if row.states.is_empty() {
        return RowJudgement::Extra;
    }
    let alive: Vec<&RowState> = row.states.iter().filter(|state| state.alive).collect();
    if alive.is_empty() {
        return RowJudgement::Resurrected;
    }
    let names: BTreeSet<&String> = alive.iter().flat_map(|state| state.columns.keys()).collect();
    let differs = |name: &&&String| {
        let Some((place, column)) = table.column(name).and_then(|place| Some((place, table.columns.get(place)?)))
        else {
            return false;
        };
        // The key is the row's name: which spelling of it stays is the database's affair.
        let found = held.get(place).and_then(Option::as_deref);
        let is = |wanted: &Option<String>| matches(column, wanted.as_deref(), found);
        // One that made the row anew left the column to the database.
        let is_free = alive.iter().any(|state| state.made && !state.columns.contains_key(**name));
        let wanted = || alive.iter().filter_map(|state| state.columns.get(**name));
        !table.key.contains(&place) && !is_free && !wanted().any(is)
    };
    let altered: Vec<String> = names.iter().filter(differs).map(|name| (*name).clone()).collect();
    if altered.is_empty() { RowJudgement::Right } else { RowJudgement::Altered(altered) }
}
