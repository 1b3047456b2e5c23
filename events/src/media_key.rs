//! Owns keys of media files in their store: relative, and without a way out of their prefix.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::read_value::{Invalid, ReadValue, string};

/// What S3 takes, in bytes.
const MAX_BYTES: usize = 1_024;

/// A key such as `posts/p1/cover.jpg`: parts between slashes, none of them empty, `.` or `..`; no percent sign, no backslash,
/// no control character; at most 1,024 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MediaKey(String);

impl MediaKey {
    /// # Errors
    /// It is empty, too long, absolute, or may mean another place than it says.
    pub fn new(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        let bad = |why: &str| Err(Invalid::new("bad_media_key", why));
        if text.is_empty() {
            return bad("is empty");
        }
        if text.len() > MAX_BYTES {
            return bad("has more than 1024 bytes");
        }
        if text.starts_with('/') {
            return bad("is absolute: keys are relative to the store");
        }
        if text.contains('%') {
            return bad("holds a percent sign: keys are not percent-encoded");
        }
        if text.contains(|c: char| c == '\\' || c.is_ascii_control()) {
            return bad("holds a backslash or a control character");
        }
        match text.split('/').find(|part| matches!(*part, "" | "." | "..")) {
            Some("") => bad("has an empty part between slashes"),
            Some(_) => bad("has a part `.` or `..`"),
            None => Ok(Self(text)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<&str> for MediaKey {
    type Error = Invalid;

    fn try_from(text: &str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

impl ReadValue for MediaKey {
    fn read(raw: &RawValue) -> Result<Self, Invalid> {
        Self::new(string(raw)?)
    }
}

impl JsonSchema for MediaKey {
    fn schema_name() -> Cow<'static, str> {
        "MediaKey".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        const PART: &str = r"(?:\.{3,}|\.{0,2}[^./%\\\x00-\x1f\x7f])[^/%\\\x00-\x1f\x7f]*";
        json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_BYTES, "pattern": format!("^{PART}(?:/{PART})*$")})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_cannot_leave_their_prefix() {
        for key in ["a", "posts/p1/cover.jpg", "a/..b/c", "...", "a b/ü.png", ".hidden", "a/.b", "..."] {
            assert!(MediaKey::new(key).is_ok(), "{key}");
        }
        for (key, why) in [
            ("", "empty"),
            ("/etc/passwd", "absolute"),
            ("../x", "`..`"),
            ("a/../b", "`..`"),
            ("a/..", "`..`"),
            ("./a", "`.`"),
            ("a//b", "empty part"),
            ("a/", "empty part"),
            ("a%2e%2e/b", "percent"),
            ("a\\..\\b", "backslash"),
            ("a\nb", "control"),
            (&"a".repeat(1025), "1024"),
        ] {
            assert!(MediaKey::new(key).unwrap_err().why.contains(why), "{key}");
        }
    }
}
