//! Whether a column holds what an operation wrote, by the texts of both; and texts as values again. Pure.

use enrichers::operation::{ColumnKind, SqlValue, canonical};
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::catalogue::{TableColumn, TableShape};
use super::super::dialect::Cast;
use super::super::operation::row_name;

/// Whether they are the same. Of a kind that the database is left to judge, texts that differ may still be.
pub(super) fn matches(column: &TableColumn, wanted: Option<&str>, held: Option<&str>) -> bool {
    let (Some(wanted), Some(held)) = (wanted, held) else { return wanted == held };
    if wanted == held {
        return true;
    }
    match &column.kind {
        ColumnKind::Integer { .. } => wanted.parse::<i128>().is_ok_and(|number| held.parse() == Ok(number)),
        ColumnKind::Decimal(_) => plain_number(wanted).is_some_and(|number| plain_number(held) == Some(number)),
        ColumnKind::Float => same_float(column, wanted, held),
        ColumnKind::Boolean => is_true(wanted) == is_true(held),
        ColumnKind::DateTime { .. } => plain_time(wanted) == plain_time(held),
        ColumnKind::Json => same_json(wanted, held),
        // Blanks at the end of CHAR are not kept.
        ColumnKind::Text { .. } if is_type(column, &["char", "bpchar"]) => {
            wanted.trim_end_matches(' ') == held.trim_end_matches(' ')
        }
        ColumnKind::Text { .. } | ColumnKind::OneOf(_) | ColumnKind::Date | ColumnKind::Other => false,
    }
}

/// A text of the database, or one that was kept, as the value that is bound for it.
pub(super) fn value_of(column: &TableColumn, text: Option<&str>) -> SqlValue {
    let Some(text) = text else { return SqlValue::Null };
    let plain = || SqlValue::Text(text.to_owned());
    match &column.kind {
        ColumnKind::Integer { .. } => text.parse().map_or_else(|_| plain(), SqlValue::Integer),
        ColumnKind::Boolean => SqlValue::Boolean(is_true(text)),
        ColumnKind::Decimal(_) => plain_number(text).unwrap_or_else(plain),
        ColumnKind::DateTime { digits } => SqlValue::Text(time_of_digits(text, *digits)),
        _ => plain(),
    }
}

/// A name that all spellings of a row's key share, and maybe other rows: the database says which are one.
pub(super) fn common_name(table: &TableShape, key: &[SqlValue]) -> String {
    let folds = |column: &TableColumn| column.folded || matches!(column.kind, ColumnKind::Other | ColumnKind::Float);
    let folded = table.key.iter().map(|place| table.columns.get(*place).is_some_and(folds));
    row_name(&table.name, &canonical(key.iter().zip(folded)))
}

/// Whether the type of a column is one of these.
pub(super) fn is_type(column: &TableColumn, names: &[&str]) -> bool {
    let Cast::Type(name) = &column.bound.cast else { return false };
    let name = name.rsplit('.').next().unwrap_or_default();
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Digit for digit, without needless zeros.
fn plain_number(text: &str) -> Option<SqlValue> {
    let raw = RawValue::from_string(Value::from(text).to_string()).ok()?;
    ColumnKind::Decimal(None).value(&raw, "").ok()
}

fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "true")
}

fn same_float(column: &TableColumn, wanted: &str, held: &str) -> bool {
    let (Ok(wanted), Ok(held)) = (wanted.parse::<f64>(), held.parse::<f64>()) else { return false };
    let single = |number: f64| (number as f32).to_bits();
    wanted.to_bits() == held.to_bits() || (is_type(column, &["float", "float4"]) && single(wanted) == single(held))
}

/// Without a zone, which is UTC, and without zeros at the end of the fraction.
pub(super) fn plain_time(text: &str) -> &str {
    let text = text.strip_suffix("+00").unwrap_or(text);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

fn time_of_digits(text: &str, digits: u32) -> String {
    let plain = plain_time(text);
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let digits = digits.min(6) as usize;
    if digits == 0 { whole.to_owned() } else { format!("{whole}.{fraction:0<digits$}") }
}

fn same_json(wanted: &str, held: &str) -> bool {
    match (serde_json::from_str::<Value>(wanted), serde_json::from_str::<Value>(held)) {
        (Ok(wanted), Ok(held)) => same_value(&wanted, &held),
        _ => false,
    }
}

fn same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_value(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same = |(name, value): (&String, &Value)| other.get(name).is_some_and(|known| same_value(value, known));
            one.len() == other.len() && one.iter().all(same)
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::dialect::BoundColumn;
    use super::*;

    fn column(kind: ColumnKind, data_type: &str) -> TableColumn {
        let bound = BoundColumn { name: "c".to_owned(), cast: Cast::Type(data_type.to_owned()) };
        TableColumn { bound, kind, folded: true, made: false }
    }

    #[test]
    fn one_value_in_two_spellings_is_the_same_and_another_is_not() {
        let text = || ColumnKind::Text { most: None, nul: true };
        let time = || ColumnKind::DateTime { digits: 3 };
        for (kind, data_type, wanted, held, same) in [
            (ColumnKind::Integer { min: 0, max: 9 }, "int", "7", "7", true),
            (ColumnKind::Decimal(None), "decimal", "10", "10.00", true),
            (ColumnKind::Decimal(None), "decimal", "10.01", "10.00", false),
            (ColumnKind::Float, "pg_catalog.float4", "1.1", "1.10000002384186", true),
            (ColumnKind::Float, "double", "1.1", "1.10000002384186", false),
            (ColumnKind::Boolean, "tinyint", "true", "1", true),
            (ColumnKind::Boolean, "bool", "true", "false", false),
            (time(), "datetime", "2023-11-13 11:55:43.210", "2023-11-13 11:55:43.21+00", true),
            (time(), "datetime", "2023-11-13 11:55:40.000", "2023-11-13 11:55:40", true),
            (time(), "datetime", "2023-11-13 11:55:43.210", "2023-11-13 11:55:43.211", false),
            (ColumnKind::Json, "pg_catalog.jsonb", r#"{"b":1.50,"a":[1]}"#, r#"{"a": [1], "b": 1.5}"#, true),
            (ColumnKind::Json, "json", r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false),
            (text(), "varchar", "Ana", "ana", false),
            (text(), "varchar", "a ", "a", false),
            (text(), "pg_catalog.bpchar", "a ", "a", true),
        ] {
            let column = column(kind, data_type);
            assert_eq!(matches(&column, Some(wanted), Some(held)), same, "{wanted} {held}");
            assert!(!matches(&column, Some(wanted), None) && matches(&column, None, None));
        }
    }

    #[test]
    fn a_text_of_the_database_is_bound_as_an_operation_binds_it() {
        let time = column(ColumnKind::DateTime { digits: 3 }, "datetime");
        assert_eq!(value_of(&time, Some("2023-11-13 11:55:43.2+00")), SqlValue::Text("2023-11-13 11:55:43.200".into()));
        assert_eq!(value_of(&column(ColumnKind::Decimal(None), "decimal"), Some("10.00")), SqlValue::Text("10".into()));
        assert_eq!(value_of(&column(ColumnKind::Boolean, "bool"), Some("t")), SqlValue::Boolean(true));
    }
}
