//! Owns what the data of an event is: fields with names, each read by its type.

use schemars::{Schema, SchemaGenerator};
use wire::DecodeError;
use wire::json::fields::Fields;
use wire::json::frame;

use crate::EventVersion;
use crate::read_value::{Invalid, ReadValue};

/// The data of an event.
pub trait EventFields: Sized {
    /// What the event says.
    const MEANING: &'static str;
    /// The names of its fields as they are written, in their order.
    const FIELDS: &'static [&'static str];

    /// Reads it from the object that holds its fields; others are passed over.
    ///
    /// # Errors
    /// The first field that is missing, null or of a wrong type.
    fn read_fields(place: &EventPlace<'_, '_>) -> Result<Self, DecodeError>;

    /// The schema of the object.
    fn object_schema(generator: &mut SchemaGenerator) -> Schema;
}

/// Where the fields of an event stand.
pub struct EventPlace<'a, 'f> {
    pub(crate) fields: &'f Fields<'a>,
    pub(crate) version: EventVersion,
}

impl EventPlace<'_, '_> {
    /// Whether a field is there and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|raw| raw.get() != "null")
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.version.prefix())
    }

    pub(crate) fn read<T: ReadValue>(&self, name: &str) -> Result<T, DecodeError> {
        match self.fields.get(name) {
            None => T::absent_value().ok_or_else(|| self.missing_field(name)),
            Some(raw) if raw.get() == "null" => {
                T::null().ok_or_else(|| Invalid::new("missing_field", "is null").of(&self.path(name)))
            }
            Some(raw) => T::read(raw).map_err(|invalid| invalid.of(&self.path(name))),
        }
    }

    fn missing_field(&self, name: &str) -> DecodeError {
        let path = self.path(name);
        let enveloped = || self.fields.get("data").is_some_and(|raw| raw.get().starts_with('{'));
        let hint = match self.version {
            EventVersion::V1 if enveloped() => Some("there is an object `data`: an envelope has `version` \"2.0\""),
            EventVersion::V1 => frame::envelope(self.fields),
            EventVersion::V2 => None,
        };
        let reason = match hint {
            Some(hint) => format!("`{path}` is missing; {hint}"),
            None => format!("`{path}` is missing"),
        };
        DecodeError::new("missing_field", reason)
    }
}

/// Types of the data of events. A field is `name "as written": Type`; its comment is its description in schema and page.
macro_rules! event_data {
    ($($(#[doc = $meaning:literal])+ $name:ident {
        $($(#[$field_doc:meta])* $field:ident $wire:literal: $kind:ty,)*
    })*) => {$(
        $(#[doc = $meaning])+
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
        pub struct $name {
            $(
                $(#[$field_doc])*
                #[serde(rename = $wire, skip_serializing_if = "crate::read_value::ReadValue::is_absent")]
                pub $field: $kind,
            )*
        }

        impl crate::event_data::EventFields for $name {
            const MEANING: &'static str = concat!($($meaning),+);
            const FIELDS: &'static [&'static str] = &[$($wire),*];

            fn read_fields(place: &crate::event_data::EventPlace<'_, '_>) -> Result<Self, wire::DecodeError> {
                Ok(Self { $($field: place.read($wire)?,)* })
            }

            fn object_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <Self as schemars::JsonSchema>::json_schema(generator)
            }
        }
    )*};
}
pub(crate) use event_data;
