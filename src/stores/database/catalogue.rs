//! What the database says of its tables: columns, keys, unique indexes, and which tables foreign keys bind together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use enrichers::operation::{ColumnKind, SqlValue};
use parking_lot::Mutex;

use super::dialect::{BoundColumn, BoundValues, Dialect, Statement};
use super::errors::SqlError;
use super::kinds;
use super::session::OperationStore;
use crate::config::EntityTable;

/// A table.
#[derive(Debug)]
pub(super) struct TableShape {
    pub(super) name: String,
    pub(super) columns: Vec<TableColumn>,
    /// The columns of the primary key, by place in `columns`.
    pub(super) key: Vec<usize>,
    /// The columns of each further unique index.
    pub(super) unique: Vec<Vec<usize>>,
    /// Tables that a foreign key binds to it, on either side; itself, where its rows refer to each other.
    pub(super) bound: BTreeSet<String>,
    /// The columns that operations may write; `None`: all.
    pub(super) allowed: Option<Vec<String>>,
    /// The column that counts the row's changes, if it has one.
    pub(super) version: Option<usize>,
    read_at: Instant,
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct TableColumn {
    pub(super) bound: BoundColumn,
    pub(super) kind: ColumnKind,
    /// Whether its collation takes texts for equal that differ.
    pub(super) folded: bool,
    /// Whether the database makes a value where none is given.
    pub(super) made: bool,
}

impl TableShape {
    /// A table without columns, bound to others.
    #[cfg(test)]
    pub(super) fn with_bound(name: &str, others: &[&str]) -> Self {
        let bound = others.iter().map(|other| (*other).to_owned()).collect();
        let (key, unique, allowed, version) = (Vec::new(), Vec::new(), None, None);
        let (columns, read_at) = (Vec::new(), Instant::now());
        Self { name: name.to_owned(), columns, key, unique, bound, allowed, version, read_at }
    }

    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.bound.name == name)
    }

    pub(super) fn columns_at(&self, places: &[usize]) -> Vec<BoundColumn> {
        places.iter().filter_map(|place| self.columns.get(*place)).map(|column| column.bound.clone()).collect()
    }

    /// Whether a write of these columns may meet another row in an index beside the primary key's.
    pub(super) fn touches_unique(&self, columns: &[usize]) -> bool {
        self.unique.iter().flatten().any(|column| columns.contains(column))
    }
}

/// The tables of the entities, each read when it is needed and kept.
pub(super) struct Catalogue {
    store: OperationStore,
    entities: BTreeMap<String, EntityTable>,
    known: Mutex<HashMap<String, Arc<TableShape>>>,
}

impl Catalogue {
    pub(super) fn new(store: OperationStore, entities: BTreeMap<String, EntityTable>) -> Self {
        Self { store, entities, known: Mutex::default() }
    }

    /// The table of an entity, as it was read at `since` or later where one is given; `None`: there is none.
    pub(super) async fn table(
        &self,
        entity: &str,
        since: Option<Instant>,
    ) -> Result<Option<Arc<TableShape>>, SqlError> {
        let Some(of) = self.entities.get(entity) else { return Ok(None) };
        let known = self.known.lock().get(entity).cloned();
        if let Some(known) = known.filter(|known| since.is_none_or(|since| known.read_at >= since)) {
            return Ok(Some(known));
        }
        let read_at = Instant::now();
        let shape = read(&self.store, of, read_at).await?.map(Arc::new);
        let mut tables = self.known.lock();
        match &shape {
            Some(shape) => tables.insert(entity.to_owned(), shape.clone()),
            None => tables.remove(entity),
        };
        Ok(shape)
    }
}

const MYSQL_COLUMNS: &str = include_str!("sql/mysql_columns.sql");
const MYSQL_INDEXES: &str = "SELECT CAST(INDEX_NAME AS CHAR), CAST(COLUMN_NAME AS CHAR) FROM information_schema.STATISTICS \
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX";
const MYSQL_BOUND: &str = include_str!("sql/mysql_foreign_keys.sql");
/// MariaDB keeps JSON as a text with a check.
const MARIADB_CHECKS: &str = "SELECT CAST(CHECK_CLAUSE AS CHAR) FROM information_schema.CHECK_CONSTRAINTS \
    WHERE CONSTRAINT_SCHEMA = DATABASE() AND TABLE_NAME = ?";

const POSTGRES_COLUMNS: &str = include_str!("sql/postgres_columns.sql");
const POSTGRES_INDEXES: &str = include_str!("sql/postgres_unique_indexes.sql");
const POSTGRES_BOUND: &str = include_str!("sql/postgres_foreign_keys.sql");

type Texts = Vec<Vec<Option<String>>>;

async fn read(store: &OperationStore, of: &EntityTable, read_at: Instant) -> Result<Option<TableShape>, SqlError> {
    let ask = |sql: &str| {
        let name = of.table.clone();
        let values = match store.dialect() {
            Dialect::Mysql => BoundValues::Each(vec![SqlValue::Text(name)]),
            Dialect::Postgres => BoundValues::Columns(vec![vec![Some(name)]]),
        };
        Statement { sql: sql.to_owned(), values }
    };
    let (columns, indexes, bound) = match store.dialect() {
        Dialect::Mysql => (MYSQL_COLUMNS, MYSQL_INDEXES, MYSQL_BOUND),
        Dialect::Postgres => (POSTGRES_COLUMNS, POSTGRES_INDEXES, POSTGRES_BOUND),
    };
    let columns = store.texts(&ask(columns)).await?;
    if columns.is_empty() {
        return Ok(None);
    }
    let columns: Vec<TableColumn> = match store.dialect() {
        Dialect::Mysql => {
            // MySQL has no such column, and has a type for JSON.
            let checks = store.texts(&ask(MARIADB_CHECKS)).await.unwrap_or_default();
            let checks: Vec<String> = checks.into_iter().flatten().flatten().collect();
            columns.iter().filter_map(|row| kinds::of_mysql(row, &checks)).collect()
        }
        Dialect::Postgres => columns.iter().filter_map(|row| kinds::of_postgres(row)).collect(),
    };
    let indexes = store.texts(&ask(indexes)).await?;
    let bound = store.texts(&ask(bound)).await?;
    Ok(Some(shape(of, columns, indexes, bound, read_at)))
}

fn shape(of: &EntityTable, columns: Vec<TableColumn>, indexes: Texts, bound: Texts, read_at: Instant) -> TableShape {
    let mut unique: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for row in indexes {
        let mut row = row.into_iter();
        let (Some(Some(index)), column) = (row.next(), row.next().flatten()) else { continue };
        let place = column.and_then(|column| columns.iter().position(|known| known.bound.name == column));
        match place {
            Some(place) => unique.entry(index).or_default().push(place),
            // An index on an expression may meet whatever is written.
            None => unique.entry(index).or_default().extend(0..columns.len()),
        }
    }
    let key = unique.remove("PRIMARY").unwrap_or_default();
    let mut others = BTreeSet::new();
    for row in bound {
        if let [Some(one), Some(other)] = row.as_slice() {
            others.insert(if *one == of.table { other.clone() } else { one.clone() });
        }
    }
    let unique = unique.into_values().collect();
    let version = columns.iter().position(|column| column.bound.name == of.version);
    let (name, allowed) = (of.table.clone(), of.columns.clone());
    TableShape { name, columns, key, unique, bound: others, allowed, version, read_at }
}
