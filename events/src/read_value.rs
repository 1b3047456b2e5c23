//! Owns what a type of a field is: how its value is read, and what stands for a missing one.

use serde_json::value::RawValue;
use wire::{DecodeError, json};

/// Why a value is none of its type. It quotes no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// A fixed word to count and group by.
    pub class: &'static str,
    /// What is wrong, to be put behind the field's name: `is negative`.
    pub why: String,
}

impl Invalid {
    pub(crate) fn new(class: &'static str, why: impl Into<String>) -> Self {
        Self { class, why: why.into() }
    }

    /// Of another JSON type.
    pub(crate) fn kind(expected: &str) -> Self {
        Self::new("bad_field", format!("is not {expected}"))
    }

    pub(crate) fn of(self, field: &str) -> DecodeError {
        DecodeError::new(self.class, format!("`{field}` {}", self.why))
    }
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it {}", self.why)
    }
}

impl std::error::Error for Invalid {}

/// A type of a field.
pub trait ReadValue: Sized {
    /// Reads a value that is there and not null.
    ///
    /// # Errors
    /// What is wrong with it.
    fn read(raw: &RawValue) -> Result<Self, Invalid>;

    /// What stands for a field that is missing; `None` where it has to be there.
    fn absent_value() -> Option<Self> {
        None
    }

    /// What stands for a null; `None` where it has to be something else.
    fn null() -> Option<Self> {
        Self::absent_value()
    }

    /// Whether the field is left out when it is written.
    fn is_absent(&self) -> bool {
        false
    }
}

/// A field that may be missing. Of an `Option<Option<T>>` the outer one says whether it is there, the inner one is a null.
impl<T: ReadValue> ReadValue for Option<T> {
    fn read(raw: &RawValue) -> Result<Self, Invalid> {
        T::read(raw).map(Some)
    }

    fn absent_value() -> Option<Self> {
        Some(None)
    }

    fn null() -> Option<Self> {
        Some(T::null())
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

/// Longest list.
pub(crate) const MAX_ITEMS: usize = 1_000;

impl<T: ReadValue> ReadValue for Vec<T> {
    fn read(raw: &RawValue) -> Result<Self, Invalid> {
        let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| Invalid::kind("a list"))?;
        if items.len() > MAX_ITEMS {
            return Err(Invalid::new("bad_field", format!("has {} items, {MAX_ITEMS} are allowed", items.len())));
        }
        let inner = |invalid: Invalid| Invalid::new(invalid.class, format!("has an item that {}", invalid.why));
        items.into_iter().map(|item| T::read(item).map_err(inner)).collect()
    }
}

impl ReadValue for u64 {
    fn read(raw: &RawValue) -> Result<Self, Invalid> {
        let whole = json::whole_digits(raw).ok_or_else(|| Invalid::kind("a whole number"))?;
        whole.parse().map_err(|_| Invalid::new("bad_field", "is negative, or more than 64 bits hold"))
    }
}

/// The content of a JSON string.
pub(crate) fn string(raw: &RawValue) -> Result<std::borrow::Cow<'_, str>, Invalid> {
    json::string(raw).ok_or_else(|| Invalid::kind("a string"))
}
