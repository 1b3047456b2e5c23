//! Marks: which operations were applied, written in the transaction that applies them.

use std::collections::HashMap;

use enrichers::operation::SqlValue;

use super::dialect::{BoundColumn, BoundValues, Cast, Dialect, Statement, rows_of};
use super::errors::SqlError;
use super::operation::{ResolvedOperation, hex};
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
        typed("occurred_micros", "bigint"),
        typed("kafka_topic", "text"),
        typed("kafka_partition", "integer"),
        typed("kafka_offset", "bigint"),
    ]
}

/// Marks operations as applied; `made` holds the ids that the database made, by place.
pub(super) async fn write(
    transaction: &mut SqlTransaction,
    dialect: Dialect,
    packet: usize,
    operations: &[&ResolvedOperation<'_>],
    made: &HashMap<usize, String>,
) -> Result<(), SqlError> {
    let columns = columns();
    let rows: Vec<Vec<SqlValue>> =
        operations.iter().enumerate().map(|(place, operation)| row(operation, made.get(&place))).collect();
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

fn row(operation: &ResolvedOperation<'_>, made: Option<&String>) -> Vec<SqlValue> {
    let write = operation.write;
    let short = |text: &str| text.chars().filter(|c| *c != '\0').take(LONGEST).collect();
    let text = |text: Option<&str>| text.map_or(SqlValue::Null, |text| SqlValue::Text(short(text)));
    let [user, source, action] = operation.asked_by.each_ref().map(Option::as_deref);
    vec![
        SqlValue::Text(hex(&write.mark)),
        SqlValue::Text(hex(&write.digest)),
        text(Some(operation.verb.name())),
        text(Some(&operation.entity)),
        text(made.map(String::as_str)),
        text(user),
        text(source),
        text(action),
        SqlValue::Integer(write.time_micros.into()),
        text(Some(&write.at.topic)),
        SqlValue::Integer(write.at.partition.into()),
        SqlValue::Integer(write.offset.into()),
    ]
}

/// The digests of the operations that are marked, by their marks; all in hexadecimal.
pub(super) async fn look_up(
    transaction: &mut SqlTransaction,
    dialect: Dialect,
    marks: &[String],
) -> Result<HashMap<String, String>, SqlError> {
    let mut found = HashMap::new();
    for some in marks.chunks(AT_ONCE) {
        for row in transaction.texts(&statement(dialect, some)).await? {
            if let [Some(mark), Some(digest)] = row.as_slice() {
                found.insert(mark.to_ascii_lowercase(), digest.to_ascii_lowercase());
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
                "SELECT HEX(operation_id), HEX(payload_digest) FROM {table} WHERE {}",
                dialect.among(&key, AT_ONCE)
            );
            Statement { sql, values: BoundValues::Each(values) }
        }
        Dialect::Postgres => {
            let sql = format!(
                "SELECT encode(t.operation_id, 'hex'), encode(t.payload_digest, 'hex') FROM {table} AS t JOIN {} ON {}",
                rows_of(1),
                dialect.matched(&key)
            );
            let values = vec![marks.iter().map(|mark| Some(mark.clone())).collect()];
            Statement { sql, values: BoundValues::Columns(values) }
        }
    }
}
