//! Rows that follow from operations: a store whose log tells what was done to rows, and not what they are.
//!
//! The store knows what an operation does and what it has marked; whoever asks brings the log and its letters.

use std::collections::HashSet;

use async_trait::async_trait;
use pipeline::Record;
use pipeline::sink::Failure;

/// Topic, partition and offset of a record.
pub type RecordPlace = (String, i32, i64);

/// What is known of a row by one operation, or by the store: only the store reads it.
#[derive(Clone, Debug)]
pub struct RowEntry {
    /// The same for all that may be one row.
    pub row: String,
    pub entry: Vec<u8>,
}

/// An operation that changed nothing, and has no letter that says why.
#[derive(Clone, Debug)]
pub struct UnappliedOperation {
    pub at: RecordPlace,
    pub id: String,
    pub why: String,
    /// What would explain it may be gone.
    pub unexplained: bool,
}

/// What some records did.
#[derive(Debug, Default)]
pub struct FoldedRecords {
    pub entries: Vec<RowEntry>,
    pub unapplied: Vec<UnappliedOperation>,
}

/// How a row differs from what its operations come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowDifference {
    Missing,
    Altered,
    Resurrected,
    Phantom,
    Unexplained,
    CacheStale,
}

/// A row that is not as its operations say.
#[derive(Clone, Debug)]
pub struct RowFinding {
    pub difference: RowDifference,
    pub id: String,
    /// The last operation of the row.
    pub at: Option<RecordPlace>,
    pub why: String,
    pub mended: bool,
}

/// How rows are compared.
#[derive(Clone, Copy, Debug)]
pub struct FoldOptions {
    /// Whether every operation that ever was is still in the log.
    pub whole: bool,
    pub repair: bool,
}

/// Which operations are looked for.
#[derive(Clone, Debug)]
pub enum WantedOperations {
    /// Those of a row: entity, and the parts of its key joined by colons.
    Row { entity: String, key: String },
    /// Those with this id.
    Id(String),
}

/// What a store knows of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationState {
    /// Where it stood when it was applied.
    Applied(RecordPlace),
    /// Class and reason.
    Rejected(String, String),
    /// Another operation is marked under its id.
    Reused(RecordPlace),
    /// No mark of it; whether one may have been purged.
    Unknown { purged: bool },
}

/// An operation that was looked for.
#[derive(Clone, Debug)]
pub struct OperationTrace {
    pub at: RecordPlace,
    pub operation_id: Option<String>,
    pub verb: &'static str,
    pub entity: String,
    pub user: Option<String>,
    pub source: Option<String>,
    pub action: Option<String>,
    /// The id that the database made.
    pub generated_id: Option<String>,
    pub state: OperationState,
}

/// Takes what the store holds, row by row.
pub type HeldVisit<'a> = &'a mut (dyn FnMut(RowEntry) + Send);

/// Compares rows with the operations that made them. It keeps what it has seen, so it is good for one comparison.
#[async_trait]
pub trait FoldedRows: Send + Sync {
    /// What these records did to rows, as far as the store has marked it. Of those that came `later` than the end that was
    /// taken it is told which rows they are about, and nothing more.
    ///
    /// # Errors
    /// Why the marks cannot be read.
    async fn effects(
        &self,
        records: &[Record],
        letters: &HashSet<RecordPlace>,
        later: bool,
    ) -> Result<FoldedRecords, Failure>;

    /// Gives every row that the store holds.
    ///
    /// # Errors
    /// Why they cannot be read.
    async fn read_rows(&self, visit: HeldVisit<'_>) -> Result<(), Failure>;

    /// Compares rows, each by all of its entries, and mends where that is asked for.
    ///
    /// # Errors
    /// Why the store cannot be asked.
    async fn compare(
        &self,
        rows: Vec<(String, Vec<Vec<u8>>)>,
        options: FoldOptions,
    ) -> Result<Vec<RowFinding>, Failure>;

    /// Copies of rows elsewhere that were found different while rows were compared, and still are; with `mend` they are taken
    /// away.
    ///
    /// # Errors
    /// Why they cannot be asked for.
    async fn stale(&self, mend: bool) -> Result<Vec<RowFinding>, Failure>;

    /// Those among these records that are wanted, with what became of them.
    ///
    /// # Errors
    /// Why the store cannot be asked.
    async fn trace(&self, records: &[Record], wanted: &WantedOperations) -> Result<Vec<OperationTrace>, Failure>;
}
