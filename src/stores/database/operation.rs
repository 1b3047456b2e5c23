//! An operation on its way to the database: as it came, and as rows of a table.

use std::sync::Arc;

use bytes::Bytes;
use enrichers::operation::{DatabaseOperation, SqlValue, Verb};
use pipeline::sink::{Content, Write};
use pipeline::{Record, TopicPartition};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::catalogue::TableShape;

/// An operation as it came.
#[derive(Clone, Debug)]
pub struct OperationWrite {
    pub(super) at: TopicPartition,
    pub(super) offset: i64,
    pub(super) payload: Bytes,
    /// Of the payload.
    pub(super) digest: [u8; 32],
    /// What it is marked by.
    pub(super) mark: Vec<u8>,
    /// Microseconds since 1970.
    pub(super) time_micros: i64,
    pub(super) verb: Verb,
    pub(super) entity: Box<str>,
}

impl OperationWrite {
    /// Of a record that was decoded.
    pub fn new(record: &Record, operation: &DatabaseOperation<'_>) -> Self {
        let payload = record.payload.clone().unwrap_or_default();
        let digest: [u8; 32] = Sha256::digest(&payload).into();
        let mark = match &operation.metadata.operation_id {
            Some(id) => id.as_bytes().to_vec(),
            None => anonymous(record, &digest),
        };
        let record_micros = record.time_ms().unwrap_or_default().saturating_mul(1_000);
        let time_micros = operation.metadata.time_micros.unwrap_or(record_micros);
        let (verb, entity) = (operation.verb, Box::from(operation.entity.as_ref()));
        Self { at: record.at.clone(), offset: record.offset, payload, digest, mark, time_micros, verb, entity }
    }

    /// As the application gave it, if it did.
    pub(super) fn operation_id(&self) -> Option<&str> {
        std::str::from_utf8(&self.mark).ok().filter(|_| !self.mark.starts_with(ANONYMOUS))
    }
}

/// What the marks of operations without an id begin with: no id of an application begins with a NUL.
const ANONYMOUS: &[u8] = b"\0record\0";

/// The mark of an operation without an id: where it stands, and what it says, for a topic made anew begins at 0 again.
fn anonymous(record: &Record, digest: &[u8; 32]) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update((record.at.topic.len() as u64).to_le_bytes());
    hash.update(record.at.topic.as_bytes());
    hash.update(record.at.partition.to_le_bytes());
    hash.update(record.offset.to_le_bytes());
    hash.update(digest);
    [ANONYMOUS, &hash.finalize()].concat()
}

impl Write for OperationWrite {
    fn bytes(&self) -> usize {
        self.payload.len()
    }

    fn content(&self) -> Content {
        Content { deleted: false, digest: u64::from_le_bytes(self.digest.first_chunk().copied().unwrap_or_default()) }
    }
}

/// What is done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum RowVerb {
    Insert,
    Update,
    Delete,
}

/// What is done to one row, typed.
#[derive(Clone, Debug)]
pub(super) struct RowWrite {
    pub(super) verb: RowVerb,
    /// The values of the primary key; empty where the database makes it.
    pub(super) key: Vec<SqlValue>,
    /// Which columns are written, by place; of an insert those of the key too.
    pub(super) columns: Vec<usize>,
    pub(super) values: Vec<SqlValue>,
    /// Names the row: table and key, the same for all spellings of it. `None` where the database makes the key.
    pub(super) name: Option<String>,
    /// The version that the row has to have.
    pub(super) expected: Option<i64>,
}

/// An operation as rows of a table.
#[derive(Clone, Debug)]
pub(super) struct ResolvedOperation<'w> {
    /// Its place among the writes.
    pub(super) index: usize,
    pub(super) write: &'w OperationWrite,
    pub(super) verb: Verb,
    pub(super) entity: String,
    pub(super) table: Arc<TableShape>,
    pub(super) rows: Vec<RowWrite>,
    /// Whether it is marked as rejected, and tried again.
    pub(super) rejected_before: bool,
    /// Who asked for it: user, source, action.
    pub(super) asked_by: [Option<String>; 3],
}

impl ResolvedOperation<'_> {
    /// What later operations have to wait behind: its rows, and its mark.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let mark = format!("mark {}", hex::encode(&self.write.mark));
        self.rows.iter().filter_map(|row| row.name.clone()).chain([mark])
    }
}

/// Names a row: its table, and its key in one spelling.
pub(super) fn row_name(table: &str, key: &str) -> String {
    format!("{table}\0{key}")
}

/// Whether a name is of a row of this table.
pub(super) fn is_row_of(table: &str, name: &str) -> bool {
    name.split_once('\0').is_some_and(|(of, _)| of == table)
}

/// Stands for the name of a row in an index of marks. Two rows that share one cost a look too many, and nothing else that shows.
pub(super) fn row_hash(name: &str) -> i64 {
    let digest: [u8; 32] = Sha256::digest(name).into();
    i64::from_le_bytes(digest.first_chunk().copied().unwrap_or_default())
}
