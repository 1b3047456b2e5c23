//! Owns reading scalars out of raw JSON values and writing strings back as JSON.

pub mod depth;
pub mod fields;
pub mod frame;
pub mod payload;

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2};
use serde_json::value::RawValue;

use crate::decimal::Decimal;

/// The content of a JSON string, with U+FFFD for each lone surrogate; `None` for other kinds.
pub fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    content(raw.get())
}

/// As [`string`], of a string's text with its quotes.
pub fn content(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    // A call costs more than a look at a short text.
    let escaped = match inner.len() {
        0..=32 => inner.bytes().fold(false, |escaped, b| escaped | (b == b'\\')),
        _ => memchr(b'\\', inner.as_bytes()).is_some(),
    };
    if !escaped {
        return Some(Cow::Borrowed(inner));
    }
    // Only a lone surrogate makes a string unreadable that was read before.
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&well_formed(text))).ok().map(Cow::Owned)
}

/// The place behind a string that begins here, with its quotes.
pub fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if json.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    json.len()
}

/// The JSON with `\ufffd` for each lone surrogate (an emoji cut in two); everything keeps its place.
pub fn well_formed(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let (mut written, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr(b'\\', rest)) {
        let start = at + found;
        at = match (surrogate(bytes, start), surrogate(bytes, start + 6)) {
            (None, _) => start + 2,
            (Some(Half::High), Some(Half::Low)) => start + 12,
            (Some(_), _) => {
                written.extend(json.get(copied..start));
                written.push_str("\\ufffd");
                copied = start + 6;
                copied
            }
        };
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    written.extend(json.get(copied..));
    Cow::Owned(written)
}

/// Whether a surrogate is escaped anywhere, lone or not.
pub fn has_surrogates(json: &str) -> bool {
    let bytes = json.as_bytes();
    memchr_iter(b'\\', bytes).any(|at| surrogate(bytes, at).is_some())
}

/// A half of a pair of surrogates.
enum Half {
    High,
    Low,
}

/// What the escape at this place writes, if it is half a character.
fn surrogate(json: &[u8], at: usize) -> Option<Half> {
    match json.get(at..at + 6)? {
        [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', _, _] => Some(Half::High),
        [b'\\', b'u', b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', _, _] => Some(Half::Low),
        _ => None,
    }
}

/// The digits of a JSON number as written; `None` for other kinds.
pub fn number(raw: &RawValue) -> Option<&str> {
    let text = raw.get();
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then_some(text)
}

/// The digits of a JSON number that is whole, however it is written (`42`, `42.0`, `4.2e1`); `None` for everything else.
pub fn whole_digits(raw: &RawValue) -> Option<Cow<'_, str>> {
    let text = number(raw)?;
    if text.bytes().all(|b| b == b'-' || b.is_ascii_digit()) {
        return Some(Cow::Borrowed(text));
    }
    Decimal::parse(text)?.to_integer().map(|whole| Cow::Owned(whole.to_string()))
}

/// A string's content or a number's digits, when there is anything in it.
pub fn scalar(raw: &RawValue) -> Option<Cow<'_, str>> {
    string(raw).or_else(|| number(raw).map(Cow::Borrowed)).filter(|text| !text.is_empty())
}

/// Writes `text` as a JSON string.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    // Without an early end the loop runs many bytes at a time.
    if text.bytes().fold(false, |escaped, b| escaped | (b < 0x20) | (b == b'"') | (b == b'\\')) {
        write_escaped(text, out);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
}

fn write_escaped(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
}

/// What has to be changed of raw JSON before it stands in one line of well-formed text.
#[derive(Clone, Copy, Debug)]
pub struct Changes {
    /// It may hold line breaks.
    pub multiline: bool,
    /// It may hold lone surrogates.
    pub surrogates: bool,
}

/// Copies raw JSON without line breaks and the indentation behind them, and with U+FFFD for lone surrogates.
/// In valid JSON line breaks stand between tokens only, never inside a string.
pub fn splice(raw: &str, changes: Changes, out: &mut Vec<u8>) {
    let raw = &*if changes.surrogates { well_formed(raw) } else { Cow::Borrowed(raw) };
    if !changes.multiline {
        out.extend_from_slice(raw.as_bytes());
        return;
    }
    let mut lines = raw.split(['\n', '\r']);
    out.extend_from_slice(lines.next().unwrap_or_default().as_bytes());
    for line in lines {
        out.extend_from_slice(line.trim_start_matches([' ', '\t']).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_told_by_its_value() {
        for (written, expected) in [
            ("42", Some("42")),
            ("42.0", Some("42")),
            ("4.2e1", Some("42")),
            ("-4.20E+1", Some("-42")),
            ("123456789012345678901234567890", Some("123456789012345678901234567890")),
            ("42.5", None),
            ("1e400", None),
            ("\"42\"", None),
        ] {
            let raw: &RawValue = serde_json::from_str(written).unwrap();
            assert_eq!(whole_digits(raw).as_deref(), expected, "{written}");
        }
    }

    #[test]
    fn a_lone_surrogate_is_the_replacement_character_and_a_pair_stays() {
        for (written, expected) in [
            (r#""cut \ud83d""#, "cut \u{fffd}"),
            (r#""\uD83D\uDE00 \ude00""#, "\u{1f600} \u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\\ud83d""#, "\\ud83d"),
            (r#""\\\ud83d\n""#, "\\\u{fffd}\n"),
            (r#""\ud83dx\ude00""#, "\u{fffd}x\u{fffd}"),
            (r#""\ud83dé""#, "\u{fffd}é"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\u0000""#, "\0"),
        ] {
            let raw: &RawValue = serde_json::from_str(written).unwrap();
            assert_eq!(string(raw).as_deref(), Some(expected), "{written}");
            assert_eq!(serde_json::from_str::<String>(&well_formed(written)).unwrap(), expected, "{written}");
            assert_eq!(well_formed(written).len(), written.len(), "{written}");
        }
    }
}
