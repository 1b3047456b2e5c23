//! Marks: which operations were applied, or rejected by the database, written in the transaction that does so.
//!
//! A rejection is marked, for what is read again after a crash is judged by rows that later operations have changed since.

use std::collections::HashMap;

use enrichers::operation::SqlValue;
use pipeline::sink::Reject;

use super::dialect::{BoundColumn, BoundValues, Cast, Dialect, Statement, rows_of};
use super::errors::SqlError;
use super::operation::ResolvedOperation;
use super::session::SqlTransaction;

pub(super) const TABLE: &str = "millrace_operations";
/// Marks that are looked up at once; a shorter list is filled up, so that the statement is found again.
const AT_ONCE: usize = 256;
/// The longest text that a mark keeps of who asked.
const LONGEST: usize = 191;

fn columns() -> Vec<BoundColumn> {
    let of = |name: &str, cast| BoundColumn { name: name.to_owned(), cast };
    let typed = |name: &str, cast: &str| of(name, Cast::Type(cast.to_owned()));
    vec![
        of("operation_id", Cast::Hex),
        of("payload_digest", Cast::Hex),
        typed("operation", "text"),
        typed("entity", "text"),
        typed("made_id", "text"),
        typed("user_id", "text"),
        typed("source", "text"),
        typed("action", "text"),
        typed("rejected", "text"),
        typed("occurred_micros", "bigint"),
        typed("kafka_topic", "text"),
        typed("kafka_partition", "integer"),
        typed("kafka_offset", "bigint"),
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
    let columns = columns();
    let rows: Vec<Vec<SqlValue>> =
        operations.iter().enumerate().map(|(place, operation)| row(operation, notes.get(&place))).collect();
    let mut rest = rows.as_slice();
    while !rest.is_empty() {
        let count = dialect.next_chunk(rest.len(), columns.len(), 2_048, packet);
        let (now, later) = rest.split_at(count);
        let now: Vec<&[SqlValue]> = now.iter().map(Vec::as_slice).collect();
        transaction.execute(&dialect.insert(TABLE, &columns, &now, None), false).await?;
        rest = later;
    }
    Ok(())
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
    ]
}

/// Takes away the marks of these that say that they were rejected: they are tried again.
pub(super) async fn forget(
    transaction: &mut SqlTransaction,
    dialect: Dialect,
    operations: &[&ResolvedOperation<'_>],
) -> Result<(), SqlError> {
    for operation in operations.iter().filter(|operation| operation.rejected_before) {
        let key: Vec<BoundColumn> = columns().into_iter().take(1).collect();
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
            if let [Some(mark), Some(digest), rejected, made] = row.as_slice() {
                let parted = |text: &String| {
                    let (class, why) = text.split_once('\n').unwrap_or((text, ""));
                    (class.to_owned(), why.to_owned())
                };
                let (digest, rejected) = (digest.to_ascii_lowercase(), rejected.as_ref().map(parted));
                let marked = Marked { digest, rejected, made: made.clone() };
                found.insert(mark.to_ascii_lowercase(), marked);
            }
        }
    }
    Ok(found)
}

fn statement(dialect: Dialect, marks: &[String]) -> Statement {
    let key: Vec<BoundColumn> = columns().into_iter().take(1).collect();
    let table = dialect.quoted(TABLE);
    match dialect {
        Dialect::Mysql => {
            let mut values: Vec<SqlValue> = marks.iter().map(|mark| SqlValue::Text(mark.clone())).collect();
            let last = values.last().cloned().unwrap_or(SqlValue::Null);
            values.resize(AT_ONCE, last);
            let sql = format!(
                "SELECT HEX(operation_id), HEX(payload_digest), rejected, made_id FROM {table} WHERE {}",
                dialect.among(&key, AT_ONCE)
            );
            Statement { sql, values: BoundValues::Each(values) }
        }
        Dialect::Postgres => {
            let sql = format!(
                "SELECT encode(t.operation_id, 'hex'), encode(t.payload_digest, 'hex'), t.rejected, t.made_id FROM {table} AS t JOIN {} ON {}",
                rows_of(1),
                dialect.matched(&key)
            );
            let values = vec![marks.iter().map(|mark| Some(mark.clone())).collect()];
            Statement { sql, values: BoundValues::Columns(values) }
        }
    }
}
