//! JSON as BSON: numbers keep their digits.

use std::fmt;

use mongodb::bson::{Bson, Decimal128, Document};
use pipeline::sink::Reject;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Digits that a decimal holds.
const DECIMAL_DIGITS: usize = 34;

/// An object as a document: integers as 64 bits where they fit, other numbers as decimals, and as text what a decimal does
/// not hold digit for digit.
///
/// # Errors
/// A name that stands twice, or that holds a NUL, which BSON has no room for.
pub fn document_of(json: &str) -> Result<Document, Reject> {
    let members = serde_json::Deserializer::from_str(json).deserialize_map(Members).map_err(unreadable)?;
    let mut document = Document::new();
    for (name, value) in members {
        if name.contains('\0') {
            let why = "the name of a field holds a NUL character, which BSON cannot";
            return Err(Reject::new("nul_in_field_name", why));
        }
        if document.insert(name, value_of(value.get())?).is_some() {
            return Err(Reject::new("duplicate_field", "a name stands twice in an object, and a document keeps one"));
        }
    }
    Ok(document)
}

/// What was decoded is well-formed JSON.
fn unreadable(_: serde_json::Error) -> Reject {
    Reject::new("not_a_document", "a part of the event is not the JSON that it was read as, which is a bug")
}

/// Reads the members of an object in their order.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(member) = members.next_entry()? {
            all.push(member);
        }
        Ok(all)
    }
}

fn value_of(json: &str) -> Result<Bson, Reject> {
    Ok(match json.as_bytes().first() {
        Some(b'{') => Bson::Document(document_of(json)?),
        Some(b'[') => {
            let parts: Vec<&RawValue> = serde_json::from_str(json).map_err(unreadable)?;
            Bson::Array(parts.into_iter().map(|part| value_of(part.get())).collect::<Result<_, _>>()?)
        }
        Some(b'"') => Bson::String(serde_json::from_str(json).map_err(unreadable)?),
        Some(b't') => Bson::Boolean(true),
        Some(b'f') => Bson::Boolean(false),
        Some(b'n') | None => Bson::Null,
        Some(_) => number_of(json),
    })
}

fn number_of(digits: &str) -> Bson {
    // An integer of zero has no sign.
    if let Some(integer) = digits.parse::<i64>().ok().filter(|_| digits != "-0") {
        return Bson::Int64(integer);
    }
    let mantissa = digits.split(['e', 'E']).next().unwrap_or(digits);
    let significant = mantissa.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    let decimal = digits.parse::<Decimal128>().ok().filter(|_| significant <= DECIMAL_DIGITS);
    decimal.map_or_else(|| Bson::String(digits.to_owned()), Bson::Decimal128)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let decimal = |digits: &str| Bson::Decimal128(digits.parse().unwrap());
        let long = "9".repeat(40);
        let json = format!(
            r#"{{"a":1,"b":-12.50,"c":1e3,"d":{long},"e":[true,null,"x\n"],"f":{{"z":0.1,"a":{{}}}},"g":12345678901234567890.10}}"#
        );
        let expected = doc! {
            "a": 1_i64, "b": decimal("-12.50"), "c": decimal("1e3"), "d": long, "e": [true, Bson::Null, "x\n"],
            "f": {"z": decimal("0.1"), "a": {}}, "g": decimal("12345678901234567890.10"),
        };
        assert_eq!(document_of(&json).unwrap(), expected);
        assert_eq!(document_of("[]").unwrap_err().class, "not_a_document");
    }

    #[test]
    fn a_decimal_says_what_was_written_or_the_digits_are_text() {
        for digits in ["-0", "1.10", "1.23456789E7", "12345678901234567890123", "1E400", "-1e-30", "0.00"] {
            let Bson::Decimal128(decimal) = number_of(digits) else { panic!("{digits}") };
            assert_eq!(decimal, digits.parse().unwrap(), "{digits}");
        }
        let (many, zeros) = (format!("1.{}", "9".repeat(34)), format!("1.{}", "0".repeat(40)));
        for digits in [many.as_str(), zeros.as_str(), "1E7000"] {
            assert_eq!(number_of(digits), Bson::String(digits.to_owned()));
        }
        assert_eq!(number_of("-9223372036854775808"), Bson::Int64(i64::MIN));
    }

    #[test]
    fn what_a_document_cannot_hold_is_named() {
        assert_eq!(document_of(r#"{"a":[{"b\u0000":1}]}"#).unwrap_err().class, "nul_in_field_name");
        assert_eq!(document_of(r#"{"a":{"b":1,"b":2}}"#).unwrap_err().class, "duplicate_field");
    }
}
