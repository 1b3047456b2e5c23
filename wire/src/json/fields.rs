//! Owns an object's top-level fields: borrowed names with raw values, in the order they came.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json;

/// Up to this many fields, names are compared in place; above, through a hash set.
const COMPARE_IN_PLACE: usize = 32;

/// The top-level fields of a JSON object.
#[derive(Debug, Default)]
pub struct Fields<'a> {
    entries: Vec<(Cow<'a, str>, &'a RawValue)>,
    dropped: usize,
}

impl<'a> Fields<'a> {
    /// The raw value of the first field called `name`.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.entries.iter().find(|(key, _)| key == name).map(|&(_, value)| value)
    }

    /// A field's string content, or its number's digits as written; `None` when it is absent, empty or of another kind.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).and_then(json::scalar)
    }

    /// Names and raw values in the producer's order. A name that is borrowed has no escapes.
    pub fn iter(&self) -> impl Iterator<Item = (&Cow<'a, str>, &'a RawValue)> {
        self.entries.iter().map(|(key, value)| (key, *value))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn count_dropped(&self) -> usize {
        self.dropped
    }

    /// Reads an object's text with all its fields; `None` when it is none.
    pub fn parse(object: &'a str) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_str(object);
        let surrogates = json::has_surrogates(object);
        FieldsSeed { drop_reserved: false, surrogates }.deserialize(&mut reader).ok()
    }

    /// The names that stand more than once.
    pub fn find_repeated(&self) -> HashSet<&str> {
        let mut seen = HashSet::with_capacity(self.entries.len());
        self.entries.iter().map(|(key, _)| key.as_ref()).filter(|name| !seen.insert(*name)).collect()
    }

    /// The name of a field that stands twice.
    pub fn duplicate(&self) -> Option<&str> {
        let names = || self.entries.iter().map(|(key, _)| key.as_ref());
        if self.entries.len() > COMPARE_IN_PLACE {
            let mut seen = HashSet::with_capacity(self.entries.len());
            return names().find(|name| !seen.insert(*name));
        }
        // One bit for a name's length and ends: names are compared only where bits meet.
        let mut bits = 0_u64;
        names().enumerate().find_map(|(at, name)| {
            let bit = 1_u64 << (fingerprint(name) % 64);
            let met = bits & bit != 0;
            bits |= bit;
            (met && names().take(at).any(|earlier| earlier == name)).then_some(name)
        })
    }
}

fn fingerprint(name: &str) -> usize {
    let first = name.bytes().next().unwrap_or_default();
    let last = name.bytes().next_back().unwrap_or_default();
    name.len() * 7 + usize::from(first) * 3 + usize::from(last) * 11
}

/// Names the document keeps for itself.
fn is_reserved(name: &str) -> bool {
    name.starts_with('_') || name == "search_content"
}

/// A string that borrows unless it holds escapes.
pub struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The name of the next field. Where surrogates are escaped, lone ones in it are U+FFFD.
pub fn next_name<'de, A: MapAccess<'de>>(map: &mut A, surrogates: bool) -> Result<Option<Cow<'de, str>>, A::Error> {
    if !surrogates {
        return Ok(map.next_key::<Text<'de>>()?.map(|Text(name)| name));
    }
    let name = map.next_key::<&'de RawValue>()?;
    name.map(|raw| json::string(raw).ok_or_else(|| A::Error::custom("a name is no string"))).transpose()
}

/// Reads an object's fields; reserved names are left out and counted where asked for.
#[derive(Clone, Copy)]
pub struct FieldsSeed {
    pub drop_reserved: bool,
    /// Whether surrogates are escaped anywhere in it.
    pub surrogates: bool,
}

impl FieldsSeed {
    pub fn collect<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields { entries: Vec::with_capacity(16), dropped: 0 };
        while let Some(name) = next_name(&mut map, self.surrogates)? {
            let value = map.next_value::<&'de RawValue>()?;
            if self.drop_reserved && is_reserved(&name) {
                fields.dropped += 1;
            } else {
                fields.entries.push((name, value));
            }
        }
        Ok(fields)
    }
}

impl<'de> DeserializeSeed<'de> for FieldsSeed {
    type Value = Fields<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldsSeed {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        self.collect(map)
    }
}
