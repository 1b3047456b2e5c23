//! Owns the guess what a payload is about, good or broken; only what is rejected needs a guess.
//! Guarantees: what decodes to an id is about that id.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use wire::json::fields::next_name;
use wire::json::payload::name_or_number;

/// Whether a payload names this transaction where an event does: in `transaction.id`, or in a top-level `transaction_id`
/// beside no transaction. What follows may be broken.
pub fn is_about(payload: &[u8], id: &str) -> bool {
    names(payload, id, Naming { object: "transaction", outer: Some("transaction_id") })
}

/// Where events of a kind name what they are about.
#[derive(Clone, Copy)]
pub(crate) struct Naming {
    /// The top-level field whose `id` it is.
    pub(crate) object: &'static str,
    /// The top-level field that names it when there is no such object.
    pub(crate) outer: Option<&'static str>,
}

/// Whether a payload names this id where an event does. What follows may be broken.
pub(crate) fn names(payload: &[u8], id: &str, naming: Naming) -> bool {
    let text = String::from_utf8_lossy(payload);
    let mut found = AboutMatch::default();
    let mut reader = serde_json::Deserializer::from_str(&text);
    // An error is the end of what can be told.
    Names { id, naming, found: &mut found, depth: 0 }.deserialize(&mut reader).ok();
    found.inner || (found.outer && !found.has_object)
}

#[derive(Default)]
struct AboutMatch {
    inner: bool,
    outer: bool,
    has_object: bool,
}

/// Looks through the envelope (depth 0), or the object in it (1).
struct Names<'n> {
    id: &'n str,
    naming: Naming,
    found: &'n mut AboutMatch,
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { id, naming, found, depth } = self;
        found.has_object |= depth == 1;
        while let Some(name) = next_name(&mut map, true)? {
            match (depth, name.as_ref()) {
                (0, name) if name == naming.object => map.next_value_seed(Names { id, naming, found, depth: 1 })?,
                (0, name) if Some(name) == naming.outer => found.outer |= is(map.next_value()?, id),
                (1, "id") => found.inner |= is(map.next_value()?, id),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

fn is(raw: &RawValue, id: &str) -> bool {
    name_or_number(raw) == Some(Cow::Borrowed(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_event_is_about_the_transaction_that_it_names() {
        for payload in [
            r#"{"timestamp":"never","transaction":{"amount":"x","id":"a"}}"#,
            r#"{"transaction":{"id":"a","id":"b"}}"#,
            r#"{"transaction":{"id":"\u0061"},"transaction":7}"#,
            r#"{"transaction":{"id":"a","user_id"#,
            r#"{"event_type":"transaction.deleted","transaction_id":"a","transaction":null,}"#,
            r#"{"event_type":"transaction.deleted","transaction":[1],"transaction_id":"a"}"#,
        ] {
            assert!(is_about(payload.as_bytes(), "a"), "{payload}");
        }
        assert!(is_about(br#"{"transaction":{"id":12}}"#, "12"));
        assert!(is_about(b"{\"transaction\":{\"id\":\"a\",\"x\":\"\xff\"}}", "a"), "not UTF-8");
        let deep = format!(r#"{{"x":{}{},"transaction":{{"id":"a"}}}}"#, "[".repeat(500), "]".repeat(500));
        assert!(is_about(deep.as_bytes(), "a"));
    }

    #[test]
    fn an_id_anywhere_else_names_nothing() {
        for payload in [
            r#"{"id":"a"}"#,
            r#"{"transaction":{"metadata":{"id":"a"},"user_id":"a"}}"#,
            r#"{"transaction_id":"a","transaction":{"id":"b"}}"#,
            r#"{"transaction":["a"],"source":"a"}"#,
            r#"["a"]"#,
            "a",
            "",
        ] {
            assert!(!is_about(payload.as_bytes(), "a"), "{payload}");
        }
        assert!(!is_about(br#"{"transaction":{"id":""}}"#, ""));
    }
}
