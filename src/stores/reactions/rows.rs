//! Rows of a batch: each subject once, its aspects as the latest event of the batch says.

use std::collections::BTreeMap;

use ::events::{Event, Id};
use serde_json::{Map, Value, json};

/// A table that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReactionTable {
    Subscriptions,
    Access,
    Tiers,
    TierPrices,
    Collections,
    Offers,
    Tips,
    Posts,
    Purchases,
    Likes,
    Comments,
    Media,
    MediaOwners,
    MediaPosts,
    MediaKeys,
}

/// The key of a row: names and values of its columns.
type RowKey = Vec<(&'static str, String)>;

/// The rows of each table, merged within the batch as the statements merge them with what is held.
#[derive(Debug, Default)]
pub struct TableRows(BTreeMap<ReactionTable, BTreeMap<RowKey, Map<String, Value>>>);

impl TableRows {
    /// The row of this key in a table, made where it is missing.
    pub(super) fn row<'a>(
        &'a mut self,
        table: ReactionTable,
        key: &[(&'static str, &Id)],
        event: &'a Event,
    ) -> RowOfEvent<'a> {
        let key: Vec<(&'static str, &str)> = key.iter().map(|(name, id)| (*name, id.as_str())).collect();
        self.row_of_text(table, &key, event)
    }

    pub(super) fn row_of_text<'a>(
        &'a mut self,
        table: ReactionTable,
        key: &[(&'static str, &str)],
        event: &'a Event,
    ) -> RowOfEvent<'a> {
        let key: RowKey = key.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        let columns = key.iter().map(|(name, text)| ((*name).to_owned(), Value::from(text.as_str())));
        let new: Map<String, Value> = columns.collect();
        let row = self.0.entry(table).or_default().entry(key).or_insert(new);
        RowOfEvent { row, event }
    }

    /// The tables that are written, in the order in which their rows are locked, each as a JSON array.
    pub fn tables(&self) -> impl Iterator<Item = (ReactionTable, Value)> {
        self.0.iter().map(|(table, rows)| (*table, rows.values().cloned().map(Value::Object).collect()))
    }

    /// The values of a key's column of a table.
    pub fn keys(&self, table: ReactionTable, column: &str) -> Vec<String> {
        let rows = self.0.get(&table).into_iter().flat_map(BTreeMap::keys);
        let mut keys: Vec<String> =
            rows.filter_map(|key| key.iter().find(|(name, _)| *name == column).map(|(_, text)| text.clone())).collect();
        keys.dedup();
        keys
    }
}

/// A row, and the event that says something of it.
pub(super) struct RowOfEvent<'a> {
    row: &'a mut Map<String, Value>,
    event: &'a Event,
}

impl RowOfEvent<'_> {
    /// An aspect: the later of what the row has and what the event says.
    pub(super) fn aspect(self, name: &str, value: Option<impl ToString>) -> Self {
        let (at, by) = (self.event.time.micros(), self.event.id.as_str());
        let held = self.row.get(name).map(|held| (held["at"].as_i64(), held["by"].as_str().map(str::to_owned)));
        if held.is_none_or(|held| (Some(at), Some(by.to_owned())) > held) {
            let value = value.map(|value| value.to_string());
            self.row.insert(name.to_owned(), json!({"at": at, "by": by, "value": value}));
        }
        self
    }

    /// An aspect of which the event may say nothing.
    pub(super) fn aspect_if(self, name: &str, value: Option<impl ToString>) -> Self {
        if value.is_some() { self.aspect(name, value) } else { self }
    }

    /// A time of which the earliest counts: the event's.
    pub(super) fn first(self, name: &str) -> Self {
        let at = self.event.time.micros();
        let first = self.row.get(name).and_then(Value::as_i64).map_or(at, |held| held.min(at));
        self.plain(name, first)
    }

    /// A time of which the latest counts.
    pub(super) fn last(self, name: &str, at: i64) -> Self {
        let last = self.row.get(name).and_then(Value::as_i64).map_or(at, |held| held.max(at));
        self.plain(name, last)
    }

    /// A column that no other event says otherwise.
    pub(super) fn plain(self, name: &str, value: impl Into<Value>) -> Self {
        self.row.insert(name.to_owned(), value.into());
        self
    }

    /// A column of a fact: whoever says it first within the batch is kept.
    pub(super) fn fact(self, name: &str, value: impl Into<Value>) -> Self {
        self.row.entry(name).or_insert_with(|| value.into());
        self
    }
}
