//! Owns the operations of the database consumer: decoding a payload, and making column values of its fields.
//! Guarantees: no payload makes it panic, and what it says of one holds no payload value.

mod decode;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::Fields;
use crate::about::{Naming, names};

pub use decode::decode;
pub use value::{ColumnKind, SqlValue, canonical};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Create,
    Update,
    Delete,
    BulkCreate,
    BulkUpdate,
}

impl Verb {
    /// Reads what stands in `type`; `None` for one that is not known.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "CREATE" => Some(Self::Create),
            "UPDATE" => Some(Self::Update),
            "DELETE" => Some(Self::Delete),
            "BULK_CREATE" => Some(Self::BulkCreate),
            "BULK_UPDATE" => Some(Self::BulkUpdate),
            _ => None,
        }
    }

    /// As it stands on the topic.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::BulkCreate => "BULK_CREATE",
            Self::BulkUpdate => "BULK_UPDATE",
        }
    }
}

/// An operation that was understood; borrows from the payload it was decoded from.
#[derive(Debug)]
pub struct DatabaseOperation<'a> {
    pub verb: Verb,
    /// 1 to 128 bytes.
    pub entity: Cow<'a, str>,
    /// What is done to each row: one of a single operation, at least one of a bulk.
    pub rows: Vec<RowChange<'a>>,
    /// The values of every row that is named by its id alone.
    pub shared: Option<Fields<'a>>,
    pub metadata: OperationMetadata<'a>,
}

/// What is done to one row.
#[derive(Debug)]
pub enum RowChange<'a> {
    /// Key and values in one object.
    Whole(Fields<'a>),
    /// The key apart from the values.
    Where { key: Fields<'a>, values: Fields<'a> },
    /// A key of one column, or an object with all of its columns; the values are [`DatabaseOperation::shared`].
    Id(&'a RawValue),
}

/// Who asked for it, and when.
#[derive(Debug, Default)]
pub struct OperationMetadata<'a> {
    /// 1 to 512 bytes.
    pub operation_id: Option<Cow<'a, str>>,
    /// Microseconds since 1970, UTC.
    pub time_micros: Option<i64>,
    /// Of an update: the version that the row has to have.
    pub expected_version: Option<i64>,
    pub user_id: Option<String>,
    pub source: Option<String>,
    pub action: Option<String>,
}

/// Whether a payload names this id in `data.id`. What follows may be broken.
pub fn is_about(payload: &[u8], id: &str) -> bool {
    names(payload, id, Naming { object: "data", outer: None })
}
