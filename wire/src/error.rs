//! Owns what a reject says.

/// Why a payload cannot become an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// A fixed word to count and group by.
    pub class: &'static str,
    /// One sentence for a person; names fields, never values.
    pub reason: String,
}

impl DecodeError {
    pub fn new(class: &'static str, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into() }
    }
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.class, self.reason)
    }
}

impl std::error::Error for DecodeError {}
