//! A setting as it was found: its value, and where it was said.
//!
//! It guarantees that a message never shows a secret.

use super::ConfigError;

/// A value and where it came from.
#[derive(Clone)]
pub(super) struct FoundSetting {
    pub(super) text: String,
    pub(super) origin: String,
    pub(super) secret: bool,
    /// How far down the place is that it came from: 0 is the command line.
    pub(super) layer: usize,
}

/// Of defaults, which are below all places.
pub(super) const DEFAULT: usize = usize::MAX;

impl FoundSetting {
    /// Whether the other was said in a place that goes before this one's.
    pub(super) fn is_below(&self, other: &Self) -> bool {
        self.layer > other.layer
    }

    /// Of several the one that goes before the others.
    pub(super) fn pick_first<'a>(found: impl IntoIterator<Item = Option<&'a Self>>) -> Option<&'a Self> {
        found.into_iter().flatten().min_by_key(|found| found.layer)
    }

    pub(super) fn is_default(&self) -> bool {
        self.layer == DEFAULT
    }

    /// A sentence about a value that nobody reads.
    pub(super) fn not_read(&self, because: &Self) -> String {
        format!("{} is not read, because {} is set", self.origin, because.origin)
    }

    /// The value as its type, or a message that says what was expected.
    pub(super) fn parse<T>(&self, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ConfigError> {
        parse(&self.text).ok_or_else(|| self.mismatch(expected))
    }

    pub(super) fn mismatch(&self, expected: &str) -> ConfigError {
        // A URL may hold a password in front of the `@`, or a key behind the `?`.
        let message = if self.secret || self.text.contains(['@', '?', '#']) {
            format!("{} has a wrong value (not shown): expected {expected}", self.origin)
        } else {
            format!("{} is {:?}: expected {expected}", self.origin, self.text)
        };
        ConfigError { message, of_command_line: self.layer == 0 }
    }

    /// Sentences about parameters of an address that are ignored.
    pub(super) fn ignoring(&self, names: Vec<String>) -> impl Iterator<Item = String> + use<> {
        let origin = self.origin.clone();
        names.into_iter().map(move |name| format!("the parameter `{name}` of {origin} is ignored"))
    }

    pub(super) fn error(&self, what: &str) -> ConfigError {
        ConfigError::new(format!("{}: {what}", self.origin))
    }
}
