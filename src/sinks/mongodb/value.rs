//! JSON as BSON: numbers keep their digits.

use std::borrow::Cow;
use std::fmt;

use mongodb::bson::{Bson, Decimal128, Document};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object as a document: integers as 64 bits where they fit, other numbers as decimals, and as text what has more digits
/// than a decimal holds. `None` for what is no JSON object.
pub fn document_of(json: &str) -> Option<Document> {
    serde_json::Deserializer::from_str(json).deserialize_map(Members).ok()
}

/// Reads the members of an object in their order.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Document, A::Error> {
        let mut document = Document::new();
        while let Some((name, value)) = members.next_entry::<Cow<'de, str>, &'de RawValue>()? {
            document.insert(name.into_owned(), value_of(value.get()));
        }
        Ok(document)
    }
}

fn value_of(json: &str) -> Bson {
    match json.as_bytes().first() {
        Some(b'{') => document_of(json).map_or(Bson::Null, Bson::Document),
        Some(b'[') => {
            let parts: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            Bson::Array(parts.into_iter().map(|part| value_of(part.get())).collect())
        }
        Some(b'"') => Bson::String(serde_json::from_str(json).unwrap_or_default()),
        Some(b't') => Bson::Boolean(true),
        Some(b'f') => Bson::Boolean(false),
        Some(b'n') | None => Bson::Null,
        Some(_) => number_of(json),
    }
}

fn number_of(digits: &str) -> Bson {
    if let Ok(integer) = digits.parse::<i64>() {
        return Bson::Int64(integer);
    }
    digits.parse::<Decimal128>().map_or_else(|_| Bson::String(digits.to_owned()), Bson::Decimal128)
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
        assert_eq!(document_of(&json), Some(expected));
        assert_eq!(document_of("[]"), None);
    }
}
