//! Owns the rule which fields no store can take as they are: they are kept as JSON text in `_unindexed`, alike for every store.
//!
//! It is decided by name and value alone, never by asking a store, so that all stores hold the same. Of the transaction such a
//! field is moved whole; of an object in `metadata`, which no index looks into, the member alone. Moved is:
//!
//! - a name that is empty or blank, or has an empty or blank part between its dots (Elasticsearch makes objects of dots);
//! - a name with dots that leads into a field which the mapping holds as a single value, such as `amount.usd`;
//! - a name that begins with `$` (MongoDB takes it for an operator where it stands in a whole document);
//! - a name with a NUL in it, at any depth (BSON ends a name there);
//! - the name `objectID` (Algolia keeps the document's id there);
//! - an object, also one in a list, under a name that the mapping holds as a single value;
//! - a value with an object in which a name stands twice, at any depth;
//! - a value with a number of more than 1,000 characters, at any depth (the limit of Elasticsearch's reader of JSON), or beyond
//!   all doubles, such as `1e400` (no reader of JSON that has doubles alone takes it).
//!
//! The reason: an index that meets such a field refuses the document as a whole, and other stores take it. A field is looked into
//! only where it holds an object, a list, or a number with an exponent or of more than 308 characters.
//!
//! What does not fit the mapping otherwise (no date, a very long text) the mapping ignores.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::Fields;
use wire::json;

/// The longest number, in characters.
const LONGEST_NUMBER: usize = 1_000;
/// A number of no more digits and without an exponent is a double's.
const DIGITS_OF_A_DOUBLE: usize = 308;
/// What the mapping holds as a single value; of these a producer may send all but the last.
pub(crate) const SINGLE: [&str; 10] = [
    "id",
    "user_id",
    "transaction_type",
    "product",
    "status",
    "currency",
    "amount",
    "created_at",
    "updated_at",
    "search_content",
];

/// Where Algolia keeps the id of a document.
const OF_ALGOLIA: &[u8] = b"objectID";

/// What was moved out of a document: members of `metadata` first, each in the producer's order.
#[derive(Debug, Default)]
pub(crate) struct Unindexed<'e> {
    moved: Vec<Moved<'e>>,
}

#[derive(Debug)]
struct Moved<'e> {
    field: &'e str,
    /// The member of `metadata`.
    member: Option<&'e str>,
    value: &'e RawValue,
}

impl<'e> Unindexed<'e> {
    pub(crate) fn len(&self) -> usize {
        self.moved.len()
    }

    /// Takes a field of the transaction where it has to be moved.
    pub(crate) fn takes(&mut self, field: &'e str, value: &'e RawValue) -> bool {
        let moved = !is_indexed(field, value);
        if moved {
            self.moved.push(Moved { field, member: None, value });
        }
        moved
    }

    /// Takes those of the members of `metadata` that have to be moved; the others, if any was moved.
    pub(crate) fn takes_members(&mut self, members: &'e Fields<'_>) -> Option<Vec<(&'e Cow<'e, str>, &'e RawValue)>> {
        // A NUL is escaped, so a name that is borrowed has none.
        let is_sound = |(name, value): (&Cow<'_, str>, &RawValue)| match name {
            Cow::Borrowed(_) => is_value(value, || true),
            Cow::Owned(name) => is_member(name, value),
        };
        if members.iter().all(is_sound) && members.duplicate().is_none() {
            return None;
        }
        let repeated = members.find_repeated();
        let mut kept = Vec::new();
        for (name, value) in members.iter() {
            if is_member(name, value) && !repeated.contains(name.as_ref()) {
                kept.push((name, value));
            } else {
                self.moved.push(Moved { field: "metadata", member: Some(name), value });
            }
        }
        Some(kept)
    }

    /// Appends what was moved as a field of the document, its values to the letter; nothing where nothing was.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut before: &[u8] = b",\"_unindexed\":[{\"field\":";
        for Moved { field, member, value } in &self.moved {
            out.extend_from_slice(before);
            json::write_string(field, out);
            if let Some(member) = member {
                out.extend_from_slice(b",\"member\":");
                json::write_string(member, out);
            }
            out.extend_from_slice(b",\"json\":");
            json::write_string(value.get(), out);
            before = b"},{\"field\":";
        }
        if !self.moved.is_empty() {
            out.extend_from_slice(b"}]");
        }
    }
}

/// Whether every store takes a field of the transaction.
#[inline]
fn is_indexed(name: &str, value: &RawValue) -> bool {
    (is_usual(name.as_bytes()) || is_name(name)) && is_value(value, || !SINGLE.contains(&name))
}

/// Whether a name is made of letters, digits and underscores, and some like them; never where it has to be looked at.
#[inline]
fn is_usual(name: &[u8]) -> bool {
    if name == OF_ALGOLIA {
        return false;
    }
    // Eight bytes at a time, those at the end twice where they do not come out even.
    let odd = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) if name.len() <= 16 => odd_bytes(*first) | odd_bytes(*last),
        _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some([a, b, c, d]), Some([e, f, g, h])) if name.len() <= 8 => odd_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
            _ if name.is_empty() => return false,
            _ => return name.iter().all(|b| (b'0'..0x80).contains(b)),
        },
    };
    odd == 0
}

/// The highest bit of a byte is set where one is below `0`, as dots, blanks and `$` are, or beyond ASCII's signs; of those behind
/// it nothing is said.
#[inline]
fn odd_bytes(bytes: [u8; 8]) -> u64 {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let all = u64::from_le_bytes(bytes);
    (all.wrapping_sub(EACH * b'0' as u64) | all) & (EACH << 7)
}

fn is_name(name: &str) -> bool {
    let blank = |part: &str| part.chars().all(|c| c.is_whitespace() || c < ' ');
    let leads_into = name.split_once('.').is_some_and(|(first, _)| SINGLE.contains(&first));
    !leads_into
        && name.as_bytes() != OF_ALGOLIA
        && !name.starts_with('$')
        && !name.contains('\0')
        && !name.split('.').any(blank)
}

/// Whether every store takes a member of `metadata` that stands there once.
fn is_member(name: &str, value: &RawValue) -> bool {
    !name.contains('\0') && is_value(value, || true)
}

#[inline]
fn is_value(value: &RawValue, may_hold_objects: impl FnOnce() -> bool) -> bool {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{' | b'[') => is_sound(text, may_hold_objects()),
        Some(b'-' | b'0'..=b'9') => is_number(text),
        _ => true,
    }
}

fn is_number(digits: &str) -> bool {
    if digits.len() <= DIGITS_OF_A_DOUBLE && !digits.bytes().any(|b| matches!(b, b'e' | b'E')) {
        return true;
    }
    digits.len() <= LONGEST_NUMBER && digits.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Looks through valid JSON for what no store takes.
pub(crate) fn is_sound(text: &str, may_hold_objects: bool) -> bool {
    let bytes = text.as_bytes();
    // The names of all objects that are open, and where those of each begin.
    let (mut names, mut open): (Vec<Cow<'_, str>>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'"' => {
                at = json::end_of_string(bytes, start);
                let is_name = bytes.get(at..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b":"));
                if is_name && let Some(name) = text.get(start..at).and_then(json::content) {
                    names.push(name);
                }
            }
            b'{' if !may_hold_objects => return false,
            b'{' => open.push(names.len()),
            b'}' => {
                let from = open.pop().unwrap_or_default();
                let Some(own) = names.get_mut(from..) else { return false };
                own.sort_unstable();
                let twice = own.windows(2).any(|pair| matches!(pair, [one, next] if one == next));
                if twice || own.iter().any(|name| name.contains('\0')) {
                    return false;
                }
                names.truncate(from);
            }
            b'-' | b'0'..=b'9' => {
                let more = |b: &&u8| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                at = start + bytes.iter().skip(start).take_while(more).count();
                if !text.get(start..at).is_some_and(is_number) {
                    return false;
                }
            }
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_name_is_moved_where_a_store_would_refuse_it() {
        for name in [
            "",
            " ",
            "\u{3000}",
            "\t",
            "\u{1f}",
            ".",
            "..",
            ".a",
            "a.",
            "a..b",
            "a. .b",
            "amount.usd",
            "status.",
            "id.x.y",
            "created_at.x",
            "search_content.x",
            "$oid",
            "$",
            "a\0",
            "metadata.",
            "metadata..x",
            "objectID",
        ] {
            assert!(!is_indexed(name, value("1")), "{name:?}");
        }
        for name in [
            "a",
            "a.b",
            "metadata.x",
            "a.amount",
            "Amount.usd",
            "amount_usd",
            "amounts.usd",
            "a$",
            "a b",
            " a",
            "naïve ключ 🔑",
            "\u{200b}",
            "*",
            "#",
            "a-b",
            "a/b",
            "9",
            "é.ü",
        ] {
            assert!(is_indexed(name, value("1")), "{name:?}");
        }
    }

    #[test]
    fn a_value_is_moved_where_a_store_would_refuse_it() {
        let (most, more) = (format!("0.{}", "9".repeat(998)), format!("0.{}", "9".repeat(999)));
        let text = format!("\"{}\"", "9".repeat(2_000));
        let indexed = |name: &'static str, json: &str| is_indexed(name, value(json));
        for json in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"\ud800":1,"\udc00":1}"#,
            r#"[[{"b":{"a":1,"x":"}","a" : 2}}]]"#,
            r#"{"a\u0000":1}"#,
            r#"[{"b":[{"\u0000":1}]}]"#,
            &more,
            &format!("[1,{more}]"),
            &format!(r#"{{"a":[-{most}]}}"#),
            &"9".repeat(309),
            "1e400",
            "-1E+309",
            "1.8e308",
            "[1e309]",
            r#"{"a":{"b":-1e1000}}"#,
        ] {
            assert!(!indexed("x", json) && !is_member("x", value(json)), "{json}");
        }
        for json in [
            r#"{"a":{"a":1},"b":[{"a":1},{"a":2}],"":1,"x.y":"a","$oid":"b"}"#,
            r#"["a","a",{"b":"a:","a":"b"}]"#,
            r#"{"a":"\"a\":1,\"a\":1","\\":1,"\\\\":"\\"}"#,
            &most,
            &text,
            &"9".repeat(308),
            "1.7976931348623157e308",
            "0e9999",
            "-1e-9999",
            "\"1e400\"",
            "[true,false,null,\"1e400\"]",
            &format!("[{text},{most}]"),
            "[]",
            "{}",
            "null",
        ] {
            assert!(indexed("x", json), "{json}");
        }
        for json in ["{}", r#"{"$date":"2024-01-01"}"#, "[{}]", "[1,[2,{}]]"] {
            assert!(!indexed("created_at", json) && indexed("createdAt", json) && indexed("metadata", json), "{json}");
        }
        for json in ["[]", "[[\"{\"]]", "true", "\"{}\""] {
            assert!(indexed("created_at", json), "{json}");
        }
    }
}
