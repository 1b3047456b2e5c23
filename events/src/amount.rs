//! Owns amounts of money: decimal numbers, exact, not negative.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use wire::{decimal, json};

use crate::read_value::{Invalid, ReadValue};

/// Digits before and behind the point, at most: `numeric(38, 18)` of a database.
const MOST_WHOLE: usize = 20;
const MOST_FRACTION: usize = 18;

/// An amount that is not negative, of at most 20 digits before the point and 18 behind it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Amount(String);

impl Amount {
    /// Reads a decimal number; an exponent is understood (`125e-1`).
    ///
    /// # Errors
    /// It is no number, negative, too large or too fine.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let bad = |why: &str| Err(Invalid::new("bad_amount", why));
        if !decimal::is_number(text) {
            let comma = text.contains(',') && decimal::is_number(&text.replace(',', "."));
            return bad(if comma { "has a decimal comma: write a point" } else { "is not a decimal number" });
        }
        // Beyond 400 digits there is no plain form, and an exponent of zero is zero.
        let Some(plain) = decimal::plain(text) else { return bad("is too large or too fine for an amount") };
        if plain.starts_with('-') {
            return bad("is negative");
        }
        let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
        if whole.len() > MOST_WHOLE {
            return bad("has more than 20 digits before the point");
        }
        if fraction.len() > MOST_FRACTION {
            return bad("has more than 18 digits behind the point");
        }
        Ok(Self(plain))
    }

    /// Digits without exponent or needless zeros: `12.5`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<&str> for Amount {
    type Error = Invalid;

    fn try_from(text: &str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

/// A JSON number, digit for digit, by `serde_json` alone.
impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.clone()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl ReadValue for Amount {
    fn read(raw: &RawValue) -> Result<Self, Invalid> {
        let text = json::number(raw).map(Cow::Borrowed).or_else(|| json::string(raw));
        Self::new(&text.ok_or_else(|| Invalid::kind("a number, nor a string of one"))?)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["number", "string"], "minimum": 0, "exclusiveMaximum": 1e20, "pattern": r"^[0-9]{1,20}(\.[0-9]{1,18})?$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_have_a_reason() {
        for (written, expected) in [
            ("12.50", Ok("12.5")),
            ("1.25e1", Ok("12.5")),
            ("125E-1", Ok("12.5")),
            ("0", Ok("0")),
            ("-0", Ok("0")),
            ("0.000000000000000001", Ok("0.000000000000000001")),
            ("12345678901234567890.10", Ok("12345678901234567890.1")),
            ("-1", Err("is negative")),
            ("-1e400", Err("is too large or too fine for an amount")),
            ("1e400", Err("is too large or too fine for an amount")),
            ("1e30", Err("has more than 20 digits before the point")),
            ("1e4000", Err("is too large or too fine for an amount")),
            ("1e99999999999999999999", Err("is too large or too fine for an amount")),
            ("123456789012345678901", Err("has more than 20 digits before the point")),
            ("1e-19", Err("has more than 18 digits behind the point")),
            ("12,50", Err("has a decimal comma: write a point")),
            ("1,234.50", Err("is not a decimal number")),
            ("NaN", Err("is not a decimal number")),
            ("", Err("is not a decimal number")),
        ] {
            let read = Amount::new(written).map_err(|invalid| invalid.why);
            assert_eq!(read.as_ref().map(Amount::as_str).map_err(String::as_str), expected, "{written}");
        }
    }
}
