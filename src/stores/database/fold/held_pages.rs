//! Rows as texts: a table page by page in the order of its key, or the rows of some keys.

use enrichers::operation::SqlValue;

use super::super::catalogue::{TableColumn, TableShape};
use super::super::dialect::{BoundValues, Dialect, Statement, rows_of};
use super::super::errors::SqlError;
use super::super::session::{OperationStore, SqlTransaction};
use super::row_state::HeldRow;
use super::value_match::{is_type, value_of};

/// Rows that are read at once.
const PAGE: usize = 2_000;

/// The key of a row, as it is bound.
pub(super) fn key_of(table: &TableShape, row: &[Option<String>]) -> Vec<SqlValue> {
    let value = |place: &usize| {
        let text = row.get(*place).and_then(Option::as_deref);
        table.columns.get(*place).map_or(SqlValue::Null, |column| value_of(column, text))
    };
    table.key.iter().map(value).collect()
}

/// Rows behind this key; none: there are no more.
pub(super) async fn page(
    store: &OperationStore,
    table: &TableShape,
    after: Option<&[SqlValue]>,
) -> Result<Vec<HeldRow>, SqlError> {
    let dialect = store.dialect();
    let (condition, values) = after.map_or_else(Default::default, |after| behind(dialect, table, after));
    let key: Vec<String> =
        table.columns_at(&table.key).iter().map(|part| format!("t.{}", dialect.quote(&part.name))).collect();
    let sql = format!(
        "SELECT {} FROM {} AS t{condition} ORDER BY {} LIMIT {PAGE}",
        texts(dialect, table),
        dialect.quote(&table.name),
        key.join(", ")
    );
    store.texts(&Statement { sql, values: dialect.one(&values) }).await
}

/// The row with this key; with `lock` nobody changes it until the transaction ends.
pub(super) async fn one(
    transaction: &mut SqlTransaction,
    dialect: Dialect,
    table: &TableShape,
    key: &[SqlValue],
    lock: bool,
) -> Result<Option<HeldRow>, SqlError> {
    let bound = table.columns_at(&table.key);
    let (name, texts) = (dialect.quote(&table.name), texts(dialect, table));
    let statement = match dialect {
        Dialect::Mysql => {
            let lock = if lock { " FOR UPDATE" } else { "" };
            let sql = format!("SELECT {texts} FROM {name} AS t WHERE {}{lock}", dialect.among(&bound, 1));
            Statement { sql, values: BoundValues::Each(key.to_vec()) }
        }
        Dialect::Postgres => {
            let lock = if lock { " FOR UPDATE OF t" } else { "" };
            let (rows, is) = (rows_of(bound.len()), dialect.match_rows(&bound));
            Statement {
                sql: format!("SELECT {texts} FROM {name} AS t JOIN {rows} ON {is}{lock}"),
                values: dialect.one(key),
            }
        }
    };
    Ok(transaction.texts(&statement).await?.into_iter().next())
}

/// All columns, as texts.
fn texts(dialect: Dialect, table: &TableShape) -> String {
    let text = |column: &TableColumn| {
        let name = format!("t.{}", dialect.quote(&column.bound.name));
        match dialect {
            Dialect::Postgres => format!("{name}::text"),
            // As a text it has fewer digits than it holds.
            Dialect::Mysql if is_type(column, &["float"]) => format!("CAST({name} + 0e0 AS CHAR)"),
            Dialect::Mysql => format!("CAST({name} AS CHAR)"),
        }
    };
    table.columns.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// The condition that a key stands behind this one, with what is bound.
fn behind(dialect: Dialect, table: &TableShape, after: &[SqlValue]) -> (String, Vec<SqlValue>) {
    let (key, mut values) = (table.columns_at(&table.key), Vec::new());
    let mut ways = Vec::new();
    for last in 0..key.len() {
        let mut parts = Vec::new();
        for (place, (part, value)) in key.iter().zip(after).enumerate().take(last + 1) {
            values.push(value.clone());
            let sign = if place == last { ">" } else { "=" };
            let bound = dialect.placeholder(&part.cast, values.len());
            parts.push(format!("t.{} {sign} {bound}", dialect.quote(&part.name)));
        }
        ways.push(format!("({})", parts.join(" AND ")));
    }
    (format!(" WHERE {}", ways.join(" OR ")), values)
}

/// Whether the database takes these two keys for one.
pub(super) async fn is_same_key(
    store: &OperationStore,
    table: &TableShape,
    one: &[SqlValue],
    other: &[SqlValue],
) -> Result<bool, SqlError> {
    let dialect = store.dialect();
    let (mut values, mut columns, mut given, mut is) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let key = table.columns_at(&table.key);
    // A union has the collation of its column, and what it is compared with has none of its own.
    for (part, value) in key.iter().zip(one) {
        values.push(value.clone());
        columns.push(dialect.quote(&part.name));
        given.push(dialect.placeholder(&part.cast, values.len()));
    }
    for (part, value) in key.iter().zip(other) {
        values.push(value.clone());
        is.push(format!("x.{} = {}", dialect.quote(&part.name), dialect.placeholder(&part.cast, values.len())));
    }
    let sql = format!(
        "SELECT 'same' FROM (SELECT {} FROM {} WHERE 1 = 0 UNION ALL SELECT {}) AS x WHERE {}",
        columns.join(", "),
        dialect.quote(&table.name),
        given.join(", "),
        is.join(" AND ")
    );
    Ok(!store.texts(&Statement { sql, values: dialect.one(&values) }).await?.is_empty())
}

/// Whether a column holds what was written, where only the database can tell.
pub(super) async fn holds(
    transaction: &mut SqlTransaction,
    dialect: Dialect,
    table: &TableShape,
    key: &[SqlValue],
    column: &TableColumn,
    wanted: &SqlValue,
) -> Result<bool, SqlError> {
    let name = format!("t.{}", dialect.quote(&column.bound.name));
    let (mut values, mut is) = (vec![wanted.clone()], Vec::new());
    let given = dialect.placeholder(&column.bound.cast, 1);
    is.push(match dialect {
        Dialect::Mysql => format!("{name} <=> {given}"),
        Dialect::Postgres => format!("{name}::text IS NOT DISTINCT FROM {given}::text"),
    });
    for (part, value) in table.columns_at(&table.key).iter().zip(key) {
        values.push(value.clone());
        is.push(format!("t.{} = {}", dialect.quote(&part.name), dialect.placeholder(&part.cast, values.len())));
    }
    let sql = format!("SELECT 'same' FROM {} AS t WHERE {}", dialect.quote(&table.name), is.join(" AND "));
    Ok(!transaction.texts(&Statement { sql, values: dialect.one(&values) }).await?.is_empty())
}
