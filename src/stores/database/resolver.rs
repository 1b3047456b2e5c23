//! An operation as rows of its table: typed, with its keys in one spelling, or the reason why not.

use std::collections::HashSet;
use std::sync::Arc;

use enrichers::operation::{ColumnKind, DatabaseOperation, RowChange, SqlValue, Verb, canonical, decode};
use enrichers::{DecodeError, Fields};
use pipeline::sink::Reject;
use serde_json::value::RawValue;

use super::catalogue::TableShape;
use super::operation::{OperationWrite, ResolvedOperation, RowVerb, RowWrite, row_name};

/// Why an operation has no rows.
pub(super) enum Unresolved {
    /// The catalogue may be old: it names what is not known.
    Unknown(Reject),
    Never(Reject),
}

impl From<DecodeError> for Unresolved {
    fn from(error: DecodeError) -> Self {
        Self::Never(Reject::new(error.class, error.reason))
    }
}

/// The entity of an operation that was decoded before.
pub(super) fn entity_of(write: &OperationWrite) -> Result<DatabaseOperation<'_>, Reject> {
    decode(&write.payload).map_err(|error| Reject::new(error.class, error.reason))
}

/// An operation as rows of its table.
pub(super) fn resolve<'w>(
    index: usize,
    write: &'w OperationWrite,
    operation: &DatabaseOperation<'_>,
    table: &Arc<TableShape>,
) -> Result<ResolvedOperation<'w>, Unresolved> {
    if table.key.is_empty() {
        return Err(never("no_primary_key", format!("the table {} has no primary key", table.name)));
    }
    let expected = operation.metadata.expected_version;
    let resolver = Resolver { table, micros: write.time_micros, expected };
    let bulk = matches!(operation.verb, Verb::BulkCreate | Verb::BulkUpdate);
    let mut rows = Vec::with_capacity(operation.rows.len());
    let mut seen = HashSet::new();
    for (number, change) in operation.rows.iter().enumerate() {
        let row = resolver.row(operation, change).map_err(|why| if bulk { of_row(number, why) } else { why })?;
        if row.name.as_ref().is_some_and(|name| !seen.insert(name.clone())) {
            return Err(never("row_twice", format!("row {number} has the key of an earlier row")));
        }
        rows.push(row);
    }
    let metadata = &operation.metadata;
    Ok(ResolvedOperation {
        index,
        write,
        verb: operation.verb,
        entity: operation.entity.clone().into_owned(),
        table: table.clone(),
        rows,
        rejected_before: false,
        asked_by: [metadata.user_id.clone(), metadata.source.clone(), metadata.action.clone()],
    })
}

/// The names of the rows of an operation, as far as it names them and their keys can be read.
pub(super) fn row_names(operation: &DatabaseOperation<'_>, table: &TableShape) -> Vec<String> {
    row_keys(operation, table).iter().map(|key| name_of(table, key)).collect()
}

/// As [`row_names`], the keys as they are written.
pub(super) fn row_keys(operation: &DatabaseOperation<'_>, table: &TableShape) -> Vec<Vec<SqlValue>> {
    let resolver = Resolver { table, micros: 0, expected: None };
    operation.rows.iter().filter_map(|change| resolver.key_of(change).ok()).collect()
}

/// The name of the row with this key.
pub(super) fn name_of(table: &TableShape, key: &[SqlValue]) -> String {
    let folded = table.key.iter().map(|place| table.columns.get(*place).is_some_and(|column| column.folded));
    row_name(&table.name, &canonical(key.iter().zip(folded)))
}

fn never(class: &'static str, why: String) -> Unresolved {
    Unresolved::Never(Reject::new(class, why))
}

fn of_row(number: usize, why: Unresolved) -> Unresolved {
    let named = |Reject { class, why }| Reject { class, why: format!("row {number}: {why}").into() };
    match why {
        Unresolved::Unknown(reject) => Unresolved::Unknown(named(reject)),
        Unresolved::Never(reject) => Unresolved::Never(named(reject)),
    }
}

struct Resolver<'t> {
    table: &'t TableShape,
    micros: i64,
    expected: Option<i64>,
}

type Values = Vec<(usize, SqlValue)>;

impl Resolver<'_> {
    fn row(&self, operation: &DatabaseOperation<'_>, change: &RowChange<'_>) -> Result<RowWrite, Unresolved> {
        match (operation.verb, change) {
            (Verb::Create | Verb::BulkCreate, RowChange::Whole(fields)) => self.insert(fields),
            (Verb::Delete, RowChange::Whole(_)) => {
                Ok(self.row_write(RowVerb::Delete, self.key_of(change)?, Vec::new()))
            }
            (_, RowChange::Whole(fields)) => self.update(self.key_of(change)?, fields, true),
            (_, RowChange::Where { key, values }) => {
                if let Some(other) = key.iter().find(|(name, _)| !self.is_key(name)) {
                    return Err(never(
                        "not_the_key",
                        format!("`where` names {}, which is not of the primary key", show_name(other.0)),
                    ));
                }
                self.update(self.key_of(change)?, values, false)
            }
            (_, RowChange::Id(_)) => {
                let none = Fields::default();
                self.update(self.key_of(change)?, operation.shared.as_ref().unwrap_or(&none), false)
            }
        }
    }

    /// The primary key of a change.
    fn key_of(&self, change: &RowChange<'_>) -> Result<Vec<SqlValue>, Unresolved> {
        match change {
            RowChange::Whole(fields) => self.key(|name| fields.get(name)),
            RowChange::Where { key, .. } => self.key(|name| key.get(name)),
            RowChange::Id(raw) => {
                let fields = raw.get().starts_with('{').then(|| serde_json::from_str(raw.get()).ok()).flatten();
                let fields: Option<std::collections::BTreeMap<String, &RawValue>> = fields;
                match (&fields, self.table.key.len()) {
                    (None, 1) => self.key(|_| Some(raw)),
                    _ => self.key(|name| fields.as_ref().and_then(|fields| fields.get(name).copied())),
                }
            }
        }
    }

    fn name(&self, key: &[SqlValue]) -> String {
        name_of(self.table, key)
    }

    fn is_key(&self, name: &str) -> bool {
        self.table.column(name).is_some_and(|place| self.table.key.contains(&place))
    }

    fn insert(&self, fields: &Fields<'_>) -> Result<RowWrite, Unresolved> {
        let mut values = self.values(fields)?;
        self.stamp(&mut values, &["createdAt", "updatedAt"]);
        let is_given = |place: &usize| values.iter().any(|(known, value)| known == place && *value != SqlValue::Null);
        let missing: Vec<usize> = self.table.key.iter().copied().filter(|place| !is_given(place)).collect();
        let key: Vec<SqlValue> = match missing.as_slice() {
            [] => self
                .table
                .key
                .iter()
                .filter_map(|place| Some(values.iter().find(|(known, _)| known == place)?.1.clone()))
                .collect(),
            [one] if self.table.key.len() == 1 && self.table.columns.get(*one).is_some_and(|column| column.made) => {
                // NULL asks MySQL for an id, and PostgreSQL refuses it.
                values.retain(|(place, _)| place != one);
                Vec::new()
            }
            [one, ..] => {
                let name = self.table.columns.get(*one).map_or("", |column| &column.bound.name);
                return Err(never("missing_key", format!("`{name}` of the primary key is missing")));
            }
        };
        Ok(self.row_write(RowVerb::Insert, key, values))
    }

    /// `whole`: the key stands among the fields.
    fn update(&self, key: Vec<SqlValue>, fields: &Fields<'_>, whole: bool) -> Result<RowWrite, Unresolved> {
        let mut values = self.values(fields)?;
        for (place, own) in self.table.key.iter().zip(&key) {
            let other = values.iter().find(|(known, value)| known == place && value != own);
            if other.is_some() && !whole {
                let name = self.table.columns.get(*place).map_or("", |column| &column.bound.name);
                return Err(never("key_changed", format!("`{name}` is of the primary key, which cannot be changed")));
            }
        }
        values.retain(|(place, _)| !self.table.key.contains(place));
        if values.is_empty() {
            return Err(never("no_values", "there is no column to change beside the primary key".to_owned()));
        }
        self.stamp(&mut values, &["updatedAt"]);
        if let Some(expected) = self.expected {
            let place = self.version_column()?;
            if values.iter().all(|(known, _)| *known != place) {
                values.push((place, SqlValue::Integer(i128::from(expected) + 1)));
            }
        }
        Ok(RowWrite { expected: self.expected, ..self.row_write(RowVerb::Update, key, values) })
    }

    fn version_column(&self) -> Result<usize, Unresolved> {
        let is_whole = |place: &usize| matches!(self.table.columns.get(*place), Some(column) if matches!(column.kind, ColumnKind::Integer { .. }));
        self.table.version.filter(is_whole).ok_or_else(|| {
            let why =
                format!("the table {} has no column of whole numbers for `metadata.expectedVersion`", self.table.name);
            Unresolved::Unknown(Reject::new("no_version_column", why))
        })
    }

    fn row_write(&self, verb: RowVerb, key: Vec<SqlValue>, mut values: Values) -> RowWrite {
        // One order of columns, so that rows with the same ones share a statement.
        values.sort_unstable_by_key(|(place, _)| *place);
        let name = (!key.is_empty()).then(|| self.name(&key));
        let (columns, values) = values.into_iter().unzip();
        RowWrite { verb, key, columns, values, name, expected: None }
    }

    /// The primary key of a row.
    fn key<'f>(&self, get: impl Fn(&str) -> Option<&'f RawValue>) -> Result<Vec<SqlValue>, Unresolved> {
        let part = |place: &usize| {
            let Some(column) = self.table.columns.get(*place) else { return Ok(SqlValue::Null) };
            let name = &column.bound.name;
            let raw = get(name).filter(|raw| raw.get() != "null");
            let raw = raw.ok_or_else(|| never("missing_key", format!("`{name}` of the primary key is missing")))?;
            Ok(column.kind.value(raw, name)?)
        };
        self.table.key.iter().map(part).collect()
    }

    fn values(&self, fields: &Fields<'_>) -> Result<Values, Unresolved> {
        let value = |(name, raw): (&std::borrow::Cow<'_, str>, &RawValue)| {
            let allowed = self.table.allowed.as_ref().is_none_or(|allowed| allowed.iter().any(|one| one == name));
            let column = self.table.column(name).filter(|_| allowed || self.is_key(name));
            let Some((place, column)) = column.and_then(|place| Some((place, self.table.columns.get(place)?))) else {
                let why = format!(
                    "the table {} has no column {} that operations may write",
                    self.table.name,
                    show_name(name)
                );
                return Err(Unresolved::Unknown(Reject::new("unknown_column", why)));
            };
            Ok((place, column.kind.value(raw, name)?))
        };
        fields.iter().map(value).collect()
    }

    /// Sets times that the operation does not set, as Sequelize does, from when it was asked for.
    fn stamp(&self, values: &mut Values, names: &[&str]) {
        for name in names {
            let Some(place) = self.table.column(name).filter(|place| values.iter().all(|(known, _)| known != place))
            else {
                continue;
            };
            values.extend(
                self.table
                    .columns
                    .get(place)
                    .and_then(|column| column.kind.time(self.micros))
                    .map(|time| (place, time)),
            );
        }
    }
}

/// A name from a payload, where it looks like one.
fn show_name(name: &str) -> String {
    let is_name = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_name { format!("`{name}`") } else { "of that name".to_owned() }
}
