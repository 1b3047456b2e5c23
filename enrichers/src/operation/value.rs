//! Owns the step from JSON to a column: what fits into which kind of column, in one spelling each.

use std::borrow::Cow;

use chrono::DateTime;
use serde_json::value::RawValue;

use crate::fold::fold;
use crate::{DecodeError, Timestamp};
use wire::decimal;
use wire::json;

/// What a column takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Whole numbers, with both ends.
    Integer {
        min: i128,
        max: i128,
    },
    /// Digits in all, and of them behind the point; `None`: any number.
    Decimal(Option<(usize, usize)>),
    Float,
    /// Characters at most, and whether a NUL may stand in it.
    Text {
        most: Option<u64>,
        nul: bool,
    },
    /// One of some texts.
    OneOf(Vec<String>),
    Boolean,
    Date,
    /// A point in time; kept in UTC, with so many digits of a second.
    DateTime {
        digits: u32,
    },
    /// Any JSON.
    Json,
    /// A kind that the database is left to judge: texts and numbers as they are written.
    Other,
}

/// A value that a column takes, as it is bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SqlValue {
    Null,
    /// From -2^63 to 2^64 - 1.
    Integer(i128),
    Boolean(bool),
    Text(String),
}

impl SqlValue {
    /// As text; `None` of NULL.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Null => None,
            Self::Integer(number) => Some(Cow::Owned(number.to_string())),
            Self::Boolean(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            Self::Text(text) => Some(Cow::Borrowed(text)),
        }
    }

    /// Bytes that it adds to a statement, roughly.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len() + 9,
            Self::Null | Self::Integer(_) | Self::Boolean(_) => 9,
        }
    }
}

impl ColumnKind {
    /// The value of a field, as this column takes it; `name` is the field's, for the reason.
    ///
    /// # Errors
    /// `wrong_type`, `out_of_range`, `too_long`, `bad_text`.
    pub fn value(&self, raw: &RawValue, name: &str) -> Result<SqlValue, DecodeError> {
        if raw.get() == "null" {
            return Ok(SqlValue::Null);
        }
        let wrong = |expected: &str| wrong_type(name, expected);
        let fitting = |fits: bool| fits.then_some(()).ok_or_else(|| out_of_range(name));
        match self {
            Self::Integer { min, max } => {
                let number = whole_number(raw).ok_or_else(|| wrong("a whole number"))?;
                fitting((min..=max).contains(&&number))?;
                Ok(SqlValue::Integer(number))
            }
            Self::Decimal(limits) => {
                let plain = scalar(raw).and_then(|text| decimal::plain(&text)).ok_or_else(|| wrong("a number"))?;
                let fits = |(digits, behind): &(usize, usize)| {
                    let unsigned = plain.trim_start_matches('-');
                    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
                    whole.trim_start_matches('0').len() + behind <= *digits && fraction.len() <= *behind
                };
                fitting(limits.as_ref().is_none_or(fits))?;
                Ok(SqlValue::Text(plain))
            }
            Self::Float => {
                let text = scalar(raw).filter(|text| decimal::is_number(text)).ok_or_else(|| wrong("a number"))?;
                fitting(text.parse::<f64>().is_ok_and(f64::is_finite))?;
                Ok(SqlValue::Text(text.into_owned()))
            }
            Self::Text { most, nul } => text(raw, name, *most, *nul),
            Self::OneOf(values) => {
                let text = json::string(raw).ok_or_else(|| wrong("a text"))?;
                fitting(values.iter().any(|value| *value == text))?;
                Ok(SqlValue::Text(text.into_owned()))
            }
            Self::Boolean => match raw.get() {
                "true" | "1" => Ok(SqlValue::Boolean(true)),
                "false" | "0" => Ok(SqlValue::Boolean(false)),
                _ => Err(wrong("true or false")),
            },
            Self::Date => {
                let micros = time_of(raw);
                let date = micros.or_else(|| date_of(&json::string(raw)?)).and_then(DateTime::from_timestamp_micros);
                Ok(SqlValue::Text(date.ok_or_else(|| wrong("a date"))?.format("%Y-%m-%d").to_string()))
            }
            Self::DateTime { digits } => {
                let micros = time_of(raw).or_else(|| date_of(&json::string(raw)?));
                Ok(SqlValue::Text(date_time(micros.ok_or_else(|| wrong("a point in time"))?, *digits)))
            }
            Self::Json => Ok(SqlValue::Text(json::well_formed(raw.get()).into_owned())),
            Self::Other => Ok(SqlValue::Text(scalar(raw).ok_or_else(|| wrong("a text or a number"))?.into_owned())),
        }
    }

    /// Microseconds since 1970 as this column takes them; `None` where it keeps no times.
    pub fn time(&self, micros: i64) -> Option<SqlValue> {
        match self {
            Self::DateTime { digits } => Some(SqlValue::Text(date_time(micros, *digits))),
            _ => None,
        }
    }
}

fn wrong_type(name: &str, expected: &str) -> DecodeError {
    DecodeError::new("wrong_type", format!("`{name}` is not {expected}"))
}

fn text(raw: &RawValue, name: &str, most: Option<u64>, nul: bool) -> Result<SqlValue, DecodeError> {
    let text = json::string(raw).ok_or_else(|| wrong_type(name, "a text"))?;
    if !nul && text.contains('\0') {
        return Err(DecodeError::new("bad_text", format!("`{name}` holds a NUL, which the database has not")));
    }
    if let Some(most) = most.filter(|most| text.chars().count() as u64 > *most) {
        return Err(DecodeError::new("too_long", format!("`{name}` has more than {most} characters")));
    }
    Ok(SqlValue::Text(text.into_owned()))
}

fn out_of_range(name: &str) -> DecodeError {
    DecodeError::new("out_of_range", format!("`{name}` does not fit into its column"))
}

fn scalar(raw: &RawValue) -> Option<Cow<'_, str>> {
    json::string(raw).or_else(|| json::number(raw).map(Cow::Borrowed))
}

/// A whole number, as a number or as digits in a string.
pub(super) fn whole_number(raw: &RawValue) -> Option<i128> {
    if let Some(text) = json::string(raw) {
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        return is_number.then(|| text.parse().ok()).flatten();
    }
    json::whole_digits(raw)?.parse().ok()
}

/// A point in time, in microseconds since 1970.
fn time_of(raw: &RawValue) -> Option<i64> {
    Timestamp::read(raw).and_then(|(time, _)| time.micros_since_year_one())
}

/// Midnight of a date without a time, in UTC.
fn date_of(text: &str) -> Option<i64> {
    let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros())
}

fn date_time(micros: i64, digits: u32) -> String {
    let time = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    let whole = time.format("%Y-%m-%d %H:%M:%S%.6f").to_string();
    let cut = match digits.min(6) {
        0 => 7,
        digits => 6 - digits as usize,
    };
    whole.get(..whole.len() - cut).map_or(whole.clone(), str::to_owned)
}

/// A row's key as one text: equal where the database may take two keys for the same. `folded` says of each column whether its
/// collation takes texts for equal that differ in case, accents or spaces at the end.
pub fn canonical<'v>(key: impl Iterator<Item = (&'v SqlValue, bool)>) -> String {
    let mut text = String::new();
    for (value, folded) in key {
        let part = value.text().unwrap_or_default();
        let part = if folded {
            let lower = part.trim_end_matches(' ').to_lowercase();
            Cow::Owned(fold(&lower).unwrap_or(lower))
        } else {
            part
        };
        // Two columns are never taken for one.
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&part.replace('\\', "\\\\").replace(',', "\\,"));
    }
    text
}
