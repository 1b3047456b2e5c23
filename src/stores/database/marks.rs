//! Marks: which operations were applied, or rejected by the database, written in the transaction that does so.
//!
//! A rejection is marked, for what is read again after a crash is judged by rows that later operations have changed since.

use std::collections::{BTreeSet, HashMap};

use enrichers::operation::SqlValue;
use pipeline::sink::Reject;

use super::dialect::{BoundColumn, BoundValues, Cast, Dialect, Statement, rows_of};
use super::errors::SqlError;
use super::operation::{OperationWrite, ResolvedOperation, RowVerb, row_hash};
use super::session::{OperationStore, SqlTransaction};
use crate::stores::folded::RecordPlace;

pub(super) const TABLE: &str = "millrace_operations";
/// The rows of bulks that were applied, for the mark names one row.
pub(super) const BULK_TABLE: &str = "millrace_bulk_rows";
/// Written columns: all of them.
pub(super) const ALL_COLUMNS: &str = "*";
/// Marks that are looked up at once; a shorter list is filled up, so that the statement is found again.
const AT_ONCE: usize = 256;
/// The longest text that a mark keeps of who asked.
const LONGEST: usize = 191;

fn hex_column(name: &str) -> BoundColumn {
    BoundColumn { name: name.to_owned(), cast: Cast::Hex }
}

fn cast_column(name: &str, cast: &str) -> BoundColumn {
    BoundColumn { name: name.to_owned(), cast: Cast::Type(cast.to_owned()) }
}

/// What an operation is known by.
pub(super) fn mark_column() -> BoundColumn {
    hex_column("operation_id")
}

fn columns() -> Vec<BoundColumn> {
    vec![
        mark_column(),
        hex_column("payload_digest"),
        cast_column("operation", "text"),
        cast_column("entity", "text"),
        cast_column("made_id", "text"),
        cast_column("user_id", "text"),
        cast_column("source", "text"),
        cast_column("action", "text"),
        cast_column("rejected", "text"),
        cast_column("occurred_micros", "bigint"),
        cast_column("kafka_topic", "text"),
        cast_column("kafka_partition", "integer"),
        cast_column("kafka_offset", "bigint"),
        cast_column("row_hash", "bigint"),
        cast_column("written_columns", "text"),
    ]
}

/// What is known of an operation that is marked.
#[derive(Clone, Debug)]
pub(super) struct Marked {
    /// Of its payload, in hexadecimal.
    pub(super) digest: String,
    /// Class and reason, where the database rejected it.
    pub(super) rejected: Option<(String, String)>,
    /// The id that the database made.
    pub(super) made: Option<String>,
    /// Topic, partition and offset of the record that was applied or rejected.
    pub(super) at: RecordPlace,
}

impl Marked {
    /// Whether the operation that is marked has this payload.
    pub(super) fn is_of(&self, write: &OperationWrite) -> bool {
        self.digest == hex::encode(write.digest)
    }
}

/// What a mark says beside the operation.
#[derive(Clone, Debug, Default)]
pub(super) struct MarkNote {
    /// The id that the database made.
    pub(super) made: Option<String>,
    pub(super) rejected: Option<Reject>,
}

/// Marks operations; `notes` are by their place.
pub(super) async fn write(
    transaction: &mut SqlTransaction,
    dialect: Dialect,
    packet: usize,
    operations: &[&ResolvedOperation<'_>],
    notes: &HashMap<usize, MarkNote>,
) -> Result<(), SqlError> {
    let mut rows: Vec<(&[u8], Vec<SqlValue>)> = operations
        .iter()
        .enumerate()
        .map(|(place, operation)| (operation.write.mark.as_slice(), row(operation, notes.get(&place))))
        .collect();
    // One order for all writers.
    rows.sort_unstable_by_key(|(mark, _)| *mark);
    let rows: Vec<Vec<SqlValue>> = rows.into_iter().map(|(_, row)| row).collect();
    insert(transaction, dialect, packet, TABLE, &columns(), &rows).await?;
    let is_applied = |place: &usize| notes.get(place).is_none_or(|note| note.rejected.is_none());
    let bulks = operations.iter().enumerate().filter(|(place, one)| one.rows.len() > 1 && is_applied(place));
    let rows: Vec<Vec<SqlValue>> = bulks.flat_map(|(_, operation)| bulk_rows(operation)).collect();
    insert(transaction, dialect, packet, BULK_TABLE, &[cast_column("row_hash", "bigint"), mark_column()], &rows).await
}

async fn insert(
    transaction: &mut SqlTransaction,
    dialect: Dialect,
    packet: usize,
    table: &str,
    columns: &[BoundColumn],
    rows: &[Vec<SqlValue>],
) -> Result<(), SqlError> {
    let bytes = |row: &Vec<SqlValue>| row.iter().map(SqlValue::bytes).sum::<usize>();
    let row_bytes = rows.iter().map(bytes).max().unwrap_or_default();
    let mut rest = rows;
    while !rest.is_empty() {
        let count = dialect.next_chunk(rest.len(), columns.len(), row_bytes, packet);
        let (now, later) = rest.split_at(count);
        let now: Vec<&[SqlValue]> = now.iter().map(Vec::as_slice).collect();
        transaction.execute(&dialect.insert(table, columns, &now, None), false).await?;
        rest = later;
    }
    Ok(())
}

fn bulk_rows(operation: &ResolvedOperation<'_>) -> Vec<Vec<SqlValue>> {
    let mark = SqlValue::Text(hex::encode(&operation.write.mark));
    let names: BTreeSet<i64> = operation.rows.iter().filter_map(|row| row.name.as_deref()).map(row_hash).collect();
    names.into_iter().map(|name| vec![SqlValue::Integer(name.into()), mark.clone()]).collect()
}

/// The columns that an operation writes, one a line; all where it makes or deletes rows.
fn list_columns(operation: &ResolvedOperation<'_>) -> String {
    if operation.rows.iter().any(|row| row.verb != RowVerb::Update) {
        return ALL_COLUMNS.to_owned();
    }
    let places: BTreeSet<usize> = operation.rows.iter().flat_map(|row| row.columns.iter().copied()).collect();
    let names = places.iter().filter_map(|place| operation.table.columns.get(*place));
    names.map(|column| column.bound.name.as_str()).collect::<Vec<_>>().join("\n")
}

fn row(operation: &ResolvedOperation<'_>, note: Option<&MarkNote>) -> Vec<SqlValue> {
    let write = operation.write;
    let made = note.and_then(|note| note.made.as_deref());
    let rejected = note.and_then(|note| note.rejected.as_ref());
    let rejected = rejected.map(|Reject { class, why }| SqlValue::Text(format!("{class}\n{why}")));
    let short = |text: &str| text.chars().filter(|c| *c != '\0').take(LONGEST).collect();
    let text = |text: Option<&str>| text.map_or(SqlValue::Null, |text| SqlValue::Text(short(text)));
    let [user, source, action] = operation.asked_by.each_ref().map(Option::as_deref);
    vec![
        SqlValue::Text(hex::encode(&write.mark)),
        SqlValue::Text(hex::encode(write.digest)),
        text(Some(operation.verb.name())),
        text(Some(&operation.entity)),
        text(made),
        text(user),
        text(source),
        text(action),
        rejected.unwrap_or(SqlValue::Null),
        SqlValue::Integer(write.time_micros.into()),
        text(Some(&write.at.topic)),
        SqlValue::Integer(write.at.partition.into()),
        SqlValue::Integer(write.offset.into()),
        match operation.rows.as_slice() {
            [row] => row.name.as_deref().map_or(SqlValue::Null, |name| SqlValue::Integer(row_hash(name).into())),
            _ => SqlValue::Null,
        },
        SqlValue::Text(list_columns(operation)),
    ]
}

/// Until when marks may have been purged, in microseconds since 1970.
pub(super) async fn read_horizon(store: &OperationStore) -> Result<Option<i64>, SqlError> {
    let dialect = store.dialect();
    let text = if dialect == Dialect::Mysql { "CAST(micros AS CHAR)" } else { "micros::text" };
    let sql = format!("SELECT {text} FROM millrace_operations_horizon");
    let rows = store.texts(&Statement { sql, values: dialect.one(&[]) }).await?;
    Ok(rows.into_iter().flatten().flatten().next().and_then(|micros| micros.parse().ok()))
}

/// Takes away the marks of these that say that they were rejected: they are tried again.
pub(super) async fn forget(
    transaction: &mut SqlTransaction,
    dialect: Dialect,
    operations: &[&ResolvedOperation<'_>],
) -> Result<(), SqlError> {
    for operation in operations.iter().filter(|operation| operation.rejected_before) {
        let key = [mark_column()];
        let mark = SqlValue::Text(hex::encode(&operation.write.mark));
        transaction.execute(&dialect.delete(TABLE, &key, &[&[mark]]), false).await?;
    }
    Ok(())
}

/// The operations that are marked, by their marks in hexadecimal.
pub(super) async fn look_up(
    transaction: &mut SqlTransaction,
    dialect: Dialect,
    marks: &[String],
) -> Result<HashMap<String, Marked>, SqlError> {
    let mut found = HashMap::new();
    for some in marks.chunks(AT_ONCE) {
        for row in transaction.texts(&statement(dialect, some)).await? {
            if let [Some(mark), Some(digest), rejected, made, Some(topic), Some(partition), Some(offset)] =
                row.as_slice()
            {
                let parted = |text: &String| {
                    let (class, why) = text.split_once('\n').unwrap_or((text, ""));
                    (class.to_owned(), why.to_owned())
                };
                let (digest, rejected) = (digest.to_ascii_lowercase(), rejected.as_ref().map(parted));
                let at = (topic.clone(), partition.parse().unwrap_or(-1), offset.parse().unwrap_or(-1));
                let marked = Marked { digest, rejected, made: made.clone(), at };
                found.insert(mark.to_ascii_lowercase(), marked);
            }
        }
    }
    Ok(found)
}

fn statement(dialect: Dialect, marks: &[String]) -> Statement {
    let key = [mark_column()];
    let table = dialect.quote(TABLE);
    match dialect {
        Dialect::Mysql => {
            let mut values: Vec<SqlValue> = marks.iter().map(|mark| SqlValue::Text(mark.clone())).collect();
            let last = values.last().cloned().unwrap_or(SqlValue::Null);
            values.resize(AT_ONCE, last);
            let sql = format!(
                "SELECT HEX(operation_id), HEX(payload_digest), rejected, made_id, kafka_topic, \
                 CAST(kafka_partition AS CHAR), CAST(kafka_offset AS CHAR) FROM {table} WHERE {}",
                dialect.among(&key, AT_ONCE)
            );
            Statement { sql, values: BoundValues::Each(values) }
        }
        Dialect::Postgres => {
            let sql = format!(
                "SELECT encode(t.operation_id, 'hex'), encode(t.payload_digest, 'hex'), t.rejected, t.made_id, \
                 t.kafka_topic, t.kafka_partition::text, t.kafka_offset::text FROM {table} AS t JOIN {} ON {}",
                rows_of(1),
                dialect.match_rows(&key)
            );
            let values = vec![marks.iter().map(|mark| Some(mark.clone())).collect()];
            Statement { sql, values: BoundValues::Columns(values) }
        }
    }
}
