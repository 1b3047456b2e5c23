//! Owns reading scalars out of raw JSON values and writing strings back as JSON.

use std::borrow::Cow;

use memchr::memchr;
use serde_json::value::RawValue;

/// The content of a JSON string; `None` for other kinds and for strings with a lone surrogate, which are no text.
pub(crate) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let text = raw.get();
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(text).ok().map(Cow::Owned)
}

/// The digits of a JSON number as written; `None` for other kinds.
pub(crate) fn number(raw: &RawValue) -> Option<&str> {
    let text = raw.get();
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then_some(text)
}

/// A JSON number without fraction and exponent, as written; `None` for everything else.
pub(crate) fn integer(raw: &RawValue) -> Option<&str> {
    number(raw).filter(|text| text.bytes().all(|b| b == b'-' || b.is_ascii_digit()))
}

/// A string's content or a number's digits, when there is anything in it.
pub(crate) fn scalar(raw: &RawValue) -> Option<Cow<'_, str>> {
    string(raw).or_else(|| number(raw).map(Cow::Borrowed)).filter(|text| !text.is_empty())
}

/// Writes `text` as a JSON string.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
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

/// Copies raw JSON; with `multiline` its line breaks and the indentation behind them are left out.
/// In valid JSON they stand between tokens only, never inside a string.
pub(crate) fn splice(raw: &str, multiline: bool, out: &mut Vec<u8>) {
    if !multiline {
        out.extend_from_slice(raw.as_bytes());
        return;
    }
    let mut lines = raw.split(['\n', '\r']);
    out.extend_from_slice(lines.next().unwrap_or_default().as_bytes());
    for line in lines {
        out.extend_from_slice(line.trim_start_matches([' ', '\t']).as_bytes());
    }
}
