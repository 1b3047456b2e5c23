//! Rows as JSON, as an application that reads them with Sequelize would write them.

use std::collections::HashMap;

use enrichers::operation::{ColumnKind, SqlValue};
use serde_json::Value;

use super::super::catalogue::{TableColumn, TableShape};
use super::super::dialect::{BoundValues, Dialect, Statement, rows_of};
use super::super::errors::SqlError;
use super::super::session::OperationStore;

/// Integers that a number of JavaScript holds.
const SAFE: i128 = (1 << 53) - 1;

/// The rows of a table with these keys, by their keys' texts; none of a table with columns whose texts are not known.
pub(super) async fn rows(
    store: &OperationStore,
    table: &TableShape,
    keys: &[&[SqlValue]],
) -> Result<HashMap<Vec<String>, String>, SqlError> {
    let mut found = HashMap::new();
    if table.columns.iter().any(|column| column.kind == ColumnKind::Other) {
        return Ok(found);
    }
    let mut rest = keys;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(store.dialect().next_chunk(rest.len(), table.key.len(), 512, store.packet()));
        for row in store.texts(&select(store.dialect(), table, now)).await? {
            let key: Option<Vec<String>> = table.key.iter().map(|place| row.get(*place)?.clone()).collect();
            if let Some(key) = key {
                found.insert(key, json(&table.columns, &row));
            }
        }
        rest = later;
    }
    Ok(found)
}

fn select(dialect: Dialect, table: &TableShape, keys: &[&[SqlValue]]) -> Statement {
    let key = table.columns_at(&table.key);
    let names = table.columns.iter().map(|column| dialect.quote(&column.bound.name));
    let name = dialect.quote(&table.name);
    match dialect {
        Dialect::Mysql => {
            let texts: Vec<String> = names.map(|name| format!("CAST({name} AS CHAR)")).collect();
            let sql = format!("SELECT {} FROM {name} WHERE {}", texts.join(", "), dialect.among(&key, keys.len()));
            let values = keys.iter().flat_map(|key| key.iter().cloned()).collect();
            Statement { sql, values: BoundValues::Each(values) }
        }
        Dialect::Postgres => {
            let texts: Vec<String> = names.map(|name| format!("t.{name}::text")).collect();
            let (rows, is) = (rows_of(key.len()), dialect.match_rows(&key));
            let sql = format!("SELECT {} FROM {name} AS t JOIN {rows} ON {is}", texts.join(", "));
            let column = |at: usize| {
                let value = |key: &&[SqlValue]| key.get(at).and_then(|value| Some(value.text()?.into_owned()));
                keys.iter().map(value).collect()
            };
            Statement { sql, values: BoundValues::Columns((0..key.len()).map(column).collect()) }
        }
    }
}

fn json(columns: &[TableColumn], row: &[Option<String>]) -> String {
    let members = columns.iter().zip(row).map(|(column, text)| {
        let value = text.as_deref().map_or_else(|| "null".to_owned(), |text| value(&column.kind, text));
        format!("{}:{value}", Value::from(column.bound.name.as_str()))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn value(kind: &ColumnKind, text: &str) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    match kind {
        ColumnKind::Integer { .. } => match text.parse::<i128>() {
            Ok(number) if number.abs() <= SAFE => text.to_owned(),
            _ => quoted(text),
        },
        ColumnKind::Boolean => match text {
            "1" | "true" | "t" => "true".to_owned(),
            "0" | "false" | "f" => "false".to_owned(),
            other => quoted(other),
        },
        ColumnKind::Float => text
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map_or_else(|| "null".to_owned(), |number| number.to_string()),
        ColumnKind::DateTime { .. } => quoted(&iso(text)),
        ColumnKind::Json if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => text.to_owned(),
        _ => quoted(text),
    }
}

/// `2023-11-13 11:55:43.21+00` as `2023-11-13T11:55:43.210Z`; the session is in UTC.
fn iso(text: &str) -> String {
    let plain = text.strip_suffix("+00").unwrap_or(text);
    let Some((date, time)) = plain.split_once(' ') else { return text.to_owned() };
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    format!("{date}T{whole}.{fraction:0<3}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_javascript() {
        let integer = ColumnKind::Integer { min: 0, max: i128::MAX };
        let values = [
            (&integer, "9007199254740991", "9007199254740991"),
            (&integer, "9007199254740993", "\"9007199254740993\""),
            (&ColumnKind::Boolean, "1", "true"),
            (&ColumnKind::Boolean, "false", "false"),
            (&ColumnKind::Decimal(None), "1.10", "\"1.10\""),
            (&ColumnKind::Float, "1.5", "1.5"),
            (&ColumnKind::DateTime { digits: 3 }, "2023-11-13 11:55:43.21+00", "\"2023-11-13T11:55:43.210Z\""),
            (&ColumnKind::DateTime { digits: 6 }, "2023-11-13 11:55:43", "\"2023-11-13T11:55:43.000Z\""),
            (&ColumnKind::Json, "{\"a\":1.10}", "{\"a\":1.10}"),
            (&ColumnKind::Date, "2023-11-13", "\"2023-11-13\""),
        ];
        for (kind, text, wanted) in values {
            assert_eq!(value(kind, text), wanted);
        }
    }
}
