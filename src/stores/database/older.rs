//! Letters that are replayed: what was written later on the same rows stays as it is.
//!
//! It owns the judgement which columns of an older operation are still to be written. The rows are locked before it is asked, so
//! that nobody writes them meanwhile. Later is what stands behind it in its partition, and of another partition what its time says.

use std::collections::BTreeSet;

use enrichers::operation::SqlValue;

use super::dialect::{Dialect, Statement};
use super::errors::SqlError;
use super::marks::{ALL_COLUMNS, BULK_TABLE, TABLE};
use super::operation::{OperationWrite, ResolvedOperation, RowVerb, RowWrite, row_hash};
use super::session::{OperationStore, SqlTransaction};

/// Rows that are locked at once.
const AT_ONCE: usize = 256;
/// Columns that are set beside what an operation says.
const STAMPS: [&str; 2] = ["createdAt", "updatedAt"];

/// What is left of an operation when what was written later stays; `None`: nothing.
pub(super) async fn remainder<'w>(
    store: &OperationStore,
    transaction: &mut SqlTransaction,
    operation: &ResolvedOperation<'w>,
) -> Result<Option<ResolvedOperation<'w>>, SqlError> {
    let table = &operation.table;
    let key = table.columns_at(&table.key);
    let keys: Vec<&[SqlValue]> =
        operation.rows.iter().map(|row| row.key.as_slice()).filter(|key| !key.is_empty()).collect();
    for some in keys.chunks(AT_ONCE) {
        transaction.texts(&store.dialect().look_up(&table.name, &key, None, some, true)).await?;
    }
    let (mut rows, mut late) = (Vec::with_capacity(operation.rows.len()), BTreeSet::new());
    for row in &operation.rows {
        let written = match &row.name {
            Some(name) => find_written_later(store.dialect(), transaction, operation.write, name).await?,
            None => BTreeSet::new(),
        };
        rows.extend(rest(operation, row, &written));
        let names = |name: &&String| !STAMPS.contains(&name.as_str()) && writes(operation, row, name);
        late.extend(written.iter().filter(names).cloned());
    }
    if rows.is_empty() {
        return Ok(None);
    }
    if !late.is_empty() {
        let (at, offset) = (&operation.write.at, operation.write.offset);
        let columns = late.into_iter().collect::<Vec<_>>().join(", ");
        let (topic, partition) = (&*at.topic, at.partition);
        tracing::warn!(topic, partition, offset, columns, "Columns that were written later are left as they are");
    }
    Ok(Some(ResolvedOperation { rows, ..operation.clone() }))
}

fn writes(operation: &ResolvedOperation<'_>, row: &RowWrite, name: &str) -> bool {
    operation.table.column(name).is_some_and(|place| row.columns.contains(&place))
}

/// What is left of a row.
fn rest(operation: &ResolvedOperation<'_>, row: &RowWrite, written: &BTreeSet<String>) -> Option<RowWrite> {
    if written.is_empty() {
        return Some(row.clone());
    }
    if row.verb != RowVerb::Update || written.contains(ALL_COLUMNS) {
        return None;
    }
    let name = |place: &usize| operation.table.columns.get(*place).map_or("", |column| column.bound.name.as_str());
    let kept = |(place, _): &(usize, SqlValue)| !written.contains(name(place));
    let all = row.columns.iter().copied().zip(row.values.iter().cloned());
    let (columns, values): (Vec<usize>, Vec<SqlValue>) = all.filter(kept).unzip();
    let says = columns.iter().any(|place| !STAMPS.contains(&name(place)));
    says.then(|| RowWrite { columns, values, ..row.clone() })
}

/// The columns of a row that operations wrote later than this one.
async fn find_written_later(
    dialect: Dialect,
    transaction: &mut SqlTransaction,
    write: &OperationWrite,
    name: &str,
) -> Result<BTreeSet<String>, SqlError> {
    let values = [
        SqlValue::Integer(row_hash(name).into()),
        SqlValue::Integer(row_hash(name).into()),
        SqlValue::Text(write.at.topic.to_string()),
        SqlValue::Integer(write.at.partition.into()),
        SqlValue::Integer(write.offset.into()),
        SqlValue::Integer(write.time_micros.into()),
    ];
    let types = ["bigint", "bigint", "text", "integer", "bigint", "bigint"];
    let place = |(number, of): (usize, &str)| match dialect {
        Dialect::Mysql => "?".to_owned(),
        Dialect::Postgres => format!("CAST((${}::text[])[1] AS {of})", number + 1),
    };
    let places: Vec<String> = types.iter().copied().enumerate().map(place).collect();
    let [hash, bulk, topic, partition, offset, micros] = places.as_slice() else { return Ok(BTreeSet::new()) };
    let sql = format!(
        "SELECT written_columns FROM {TABLE} WHERE rejected IS NULL AND (row_hash = {hash} OR operation_id IN \
         (SELECT operation_id FROM {BULK_TABLE} WHERE row_hash = {bulk})) AND CASE WHEN kafka_topic = {topic} AND \
         kafka_partition = {partition} THEN kafka_offset > {offset} ELSE occurred_micros > {micros} END"
    );
    let found = transaction.texts(&Statement { sql, values: dialect.one(&values) }).await?;
    let columns = found.iter().flatten().flatten().flat_map(|columns| columns.lines().map(str::to_owned));
    Ok(columns.collect())
}
