//! Which kind each type of column is. Pure.

use enrichers::operation::ColumnKind;

use super::catalogue::TableColumn;
use super::dialect::{BoundColumn, Cast};

/// Whole numbers of so many bits.
fn integer(bits: u32, signed: bool) -> ColumnKind {
    let most = 1_i128 << (bits - u32::from(signed));
    ColumnKind::Integer { min: if signed { -most } else { 0 }, max: most - 1 }
}

/// Name, type, whole type, length, digits, digits behind the point, digits of a second, collation, extra, default.
pub(super) fn of_mysql(row: &[Option<String>], checks: &[String]) -> Option<TableColumn> {
    let [Some(name), Some(data_type), Some(whole), length, digits, behind, seconds, collation, extra, default] = row
    else {
        return None;
    };
    let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<u64>().ok());
    let signed = !whole.to_ascii_lowercase().contains("unsigned");
    let kind = match data_type.to_ascii_lowercase().as_str() {
        "tinyint" if whole.to_ascii_lowercase().starts_with("tinyint(1)") => ColumnKind::Boolean,
        "tinyint" => integer(8, signed),
        "smallint" => integer(16, signed),
        "mediumint" => integer(24, signed),
        "int" => integer(32, signed),
        "bigint" => integer(64, signed),
        "year" => ColumnKind::Integer { min: 1901, max: 2155 },
        "decimal" => {
            let size = |text| usize::try_from(number(text).unwrap_or_default()).unwrap_or_default();
            ColumnKind::Decimal(Some((size(digits), size(behind))))
        }
        "float" | "double" => ColumnKind::Float,
        "longtext" if checks.iter().any(|check| is_json(check, name)) => ColumnKind::Json,
        "char" | "varchar" => ColumnKind::Text { most: number(length), nul: true },
        // Their length is of bytes, which the database counts.
        "tinytext" | "text" | "mediumtext" | "longtext" => ColumnKind::Text { most: None, nul: true },
        "enum" => ColumnKind::OneOf(enum_values(whole)),
        "date" => ColumnKind::Date,
        "datetime" | "timestamp" => {
            ColumnKind::DateTime { digits: u32::try_from(number(seconds).unwrap_or_default()).unwrap_or_default() }
        }
        "json" => ColumnKind::Json,
        _ => ColumnKind::Other,
    };
    let extra = extra.as_deref().unwrap_or_default().to_ascii_lowercase();
    Some(TableColumn {
        bound: BoundColumn { name: name.clone(), cast: Cast::Type(data_type.clone()) },
        kind,
        folded: collation.as_ref().is_some_and(|collation| !collation.ends_with("_bin")),
        made: default.is_some() || extra.contains("auto_increment") || extra.contains("default_generated"),
    })
}

fn is_json(check: &str, column: &str) -> bool {
    let check = check.to_ascii_lowercase().replace([' ', '`'], "");
    check.contains(&format!("json_valid({})", column.to_ascii_lowercase()))
}

/// The values of `enum('a','it''s')`.
fn enum_values(whole: &str) -> Vec<String> {
    let inner = whole.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or("", |(inner, _)| inner);
    let (mut values, mut value, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' if quoted && chars.peek() == Some(&'\'') => {
                chars.next();
                value.push('\'');
            }
            '\'' if quoted => {
                values.push(std::mem::take(&mut value));
                quoted = false;
            }
            '\'' => quoted = true,
            c if quoted => value.push(c),
            _ => {}
        }
    }
    values
}

/// Name, type, the type's name with its schema (a type's other names, such as `character`, may mean a length), modifier, kind of type, whether its collation folds, default, values of an enum.
pub(super) fn of_postgres(row: &[Option<String>]) -> Option<TableColumn> {
    let [Some(name), Some(data_type), Some(full), modifier, kind_of_type, folds, default, values] = row else {
        return None;
    };
    let modifier = modifier.as_ref().and_then(|text| text.parse::<i64>().ok()).filter(|modifier| *modifier >= 0);
    let kind = match data_type.as_str() {
        _ if kind_of_type.as_deref() == Some("e") => {
            ColumnKind::OneOf(values.as_deref().unwrap_or_default().lines().map(str::to_owned).collect())
        }
        "int2" => integer(16, true),
        "int4" => integer(32, true),
        "int8" => integer(64, true),
        "numeric" => ColumnKind::Decimal(modifier.map(|modifier| {
            let modifier = modifier - 4;
            let size = |number: i64| usize::try_from(number).unwrap_or_default();
            (size(modifier >> 16), size(modifier & 0x7ff))
        })),
        "float4" | "float8" => ColumnKind::Float,
        "varchar" | "bpchar" => {
            ColumnKind::Text { most: modifier.and_then(|length| u64::try_from(length - 4).ok()), nul: false }
        }
        "text" | "citext" => ColumnKind::Text { most: None, nul: false },
        "bool" => ColumnKind::Boolean,
        "date" => ColumnKind::Date,
        // With a session in UTC a text without a zone is of UTC.
        "timestamp" | "timestamptz" => {
            ColumnKind::DateTime { digits: modifier.and_then(|digits| u32::try_from(digits).ok()).unwrap_or(6) }
        }
        "json" | "jsonb" => ColumnKind::Json,
        _ => ColumnKind::Other,
    };
    Some(TableColumn {
        bound: BoundColumn { name: name.clone(), cast: Cast::Type(full.clone()) },
        kind,
        folded: folds.is_some() || data_type == "citext",
        made: default.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<const N: usize>(values: [&str; N]) -> [Option<String>; N] {
        values.map(|value| (!value.is_empty()).then(|| value.to_owned()))
    }

    #[test]
    fn types_of_mysql() {
        let kind = |data_type: &str, whole: &str, length: &str, digits: &str, behind: &str, seconds: &str| {
            let row = row(["c", data_type, whole, length, digits, behind, seconds, "", "", ""]);
            of_mysql(&row, &["json_valid(`c`)".to_owned()]).unwrap().kind
        };
        assert_eq!(
            kind("int", "int(11)", "", "10", "0", ""),
            ColumnKind::Integer { min: -(1 << 31), max: (1 << 31) - 1 }
        );
        assert_eq!(
            kind("bigint", "bigint(20) unsigned", "", "20", "0", ""),
            ColumnKind::Integer { min: 0, max: (1 << 64) - 1 }
        );
        assert_eq!(kind("tinyint", "tinyint(1)", "", "3", "0", ""), ColumnKind::Boolean);
        assert_eq!(kind("decimal", "decimal(15,2)", "", "15", "2", ""), ColumnKind::Decimal(Some((15, 2))));
        assert_eq!(kind("varchar", "varchar(255)", "255", "", "", ""), ColumnKind::Text { most: Some(255), nul: true });
        assert_eq!(kind("datetime", "datetime(3)", "", "", "", "3"), ColumnKind::DateTime { digits: 3 });
        assert_eq!(kind("longtext", "longtext", "4294967295", "", "", ""), ColumnKind::Json);
        assert_eq!(
            kind("enum", "enum('a','it''s')", "4", "", "", ""),
            ColumnKind::OneOf(vec!["a".into(), "it's".into()])
        );
    }

    #[test]
    fn types_of_postgres() {
        let kind = |data_type: &str, modifier: &str| {
            of_postgres(&row(["c", data_type, "x", modifier, "b", "", "", ""])).unwrap().kind
        };
        assert_eq!(kind("varchar", "259"), ColumnKind::Text { most: Some(255), nul: false });
        assert_eq!(kind("numeric", "983046"), ColumnKind::Decimal(Some((15, 2))));
        assert_eq!(kind("numeric", "-1"), ColumnKind::Decimal(None));
        assert_eq!(kind("timestamptz", "-1"), ColumnKind::DateTime { digits: 6 });
    }
}
