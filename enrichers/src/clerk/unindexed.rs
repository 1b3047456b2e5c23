//! Owns the rule which parts of a webhook's event MongoDB cannot hold: they are kept as JSON text beside it.
//!
//! It has no room for a NUL in a name (BSON ends the name there) nor for a name twice in an object. Of an object, at any depth,
//! such members are moved and the others stay. Names that begin with `$` or have dots it takes below a field.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::Fields;
use crate::transaction::unindexed::is_sound;
use wire::json;

/// A member that was taken out of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unstorable {
    /// Where it stood: a JSON pointer (RFC 6901). A name that stood twice is there as often.
    pub pointer: String,
    /// Its value as JSON text, to the letter.
    pub json: String,
}

/// An event without what MongoDB cannot hold, and what that is.
pub fn storable(event: &str) -> (Cow<'_, str>, Vec<Unstorable>) {
    if is_sound(event, true) {
        return (Cow::Borrowed(event), Vec::new());
    }
    let (mut out, mut moved) = (Vec::with_capacity(event.len()), Vec::new());
    write(event, "", &mut out, &mut moved);
    match String::from_utf8(out) {
        Ok(out) if !moved.is_empty() => (Cow::Owned(out), moved),
        // It was doubted for a number, which MongoDB holds as a text.
        _ => (Cow::Borrowed(event), Vec::new()),
    }
}

fn write(value: &str, at: &str, out: &mut Vec<u8>, moved: &mut Vec<Unstorable>) {
    match (value.as_bytes().first(), Fields::parse(value)) {
        (Some(b'{'), Some(members)) => {
            let repeated = members.find_repeated();
            let is_kept = |name: &str| !name.contains('\0') && !repeated.contains(name);
            let mut before = b'{';
            for (name, value) in members.iter() {
                let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                if is_kept(name) {
                    out.push(std::mem::replace(&mut before, b','));
                    json::write_string(name, out);
                    out.push(b':');
                    write(value.get(), &pointer, out, moved);
                } else {
                    moved.push(Unstorable { pointer, json: value.get().to_owned() });
                }
            }
            if before == b'{' {
                out.push(b'{');
            }
            out.push(b'}');
        }
        (Some(b'['), _) => {
            let parts: Vec<&RawValue> = serde_json::from_str(value).unwrap_or_default();
            out.push(b'[');
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(part.get(), &format!("{at}/{index}"), out, moved);
            }
            out.push(b']');
        }
        _ => out.extend_from_slice(value.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(event: &str) -> (String, Vec<(String, String)>) {
        let (kept, moved) = storable(event);
        (kept.into_owned(), moved.into_iter().map(|apart| (apart.pointer, apart.json)).collect())
    }

    #[test]
    fn members_that_mongodb_cannot_hold_are_taken_out_and_the_others_stay() {
        let moved = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let twice = r#"{"data":{"m":{"a/b":1,"x":{"y":1.50},"a/b":[2 ]}},"n":1e400}"#;
        let kept = r#"{"data":{"m":{"x":{"y":1.50}}},"n":1e400}"#.to_owned();
        assert_eq!(apart(twice), (kept, moved(&[("/data/m/a~1b", "1"), ("/data/m/a~1b", "[2 ]")])));
        let nul = r#"{"data":[{"\u0000":1},{"a\u0000b":null,"c":"\u0000"}]}"#;
        let kept = r#"{"data":[{},{"c":"\u0000"}]}"#.to_owned();
        assert_eq!(apart(nul), (kept, moved(&[("/data/0/\0", "1"), ("/data/1/a\0b", "null")])));
        for sound in [r#"{"$set":{"a.b":1},"":{"$oid":"x"}, "n":1e400}"#, "{}", r#"{"a":[ ]}"#] {
            assert_eq!(apart(sound), (sound.to_owned(), Vec::new()));
        }
    }
}
