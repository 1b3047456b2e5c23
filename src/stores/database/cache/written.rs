//! When the cache is told of operations, and which rows they have written.

use std::collections::HashMap;
use std::sync::Arc;

use enrichers::operation::SqlValue;
use pipeline::mutant;

use super::super::applied::Applied;
use super::super::catalogue::TableShape;
use super::super::errors::SqlError;
use super::super::marks;
use super::super::operation::ResolvedOperation;
use super::super::session::OperationStore;
use super::upkeep::CacheWriter;

/// The cache, where there is one, as it is told of operations.
pub(in super::super) struct CacheHook(pub(in super::super) Option<Arc<CacheWriter>>);

impl CacheHook {
    /// A transaction of these begins: nothing is to be done, but with the bug switched on.
    pub(in super::super) async fn before(&self, operations: &[&ResolvedOperation<'_>]) -> Result<(), SqlError> {
        if mutant!(CachedBeforeCommit) { self.tell(operations).await } else { Ok(()) }
    }

    /// A transaction of these has ended.
    pub(in super::super) async fn after(
        &self,
        operations: &[&ResolvedOperation<'_>],
        applied: &[Applied],
    ) -> Result<(), SqlError> {
        if mutant!(CachedBeforeCommit) {
            return Ok(());
        }
        let done = operations.iter().zip(applied).filter(|(_, applied)| matches!(applied, Applied::Done));
        self.tell(&done.map(|(operation, _)| *operation).collect::<Vec<_>>()).await
    }

    /// These were applied before, by somebody who may have died before it came to this.
    pub(in super::super) async fn again(&self, operations: &[ResolvedOperation<'_>]) -> Result<(), SqlError> {
        self.tell(&operations.iter().collect::<Vec<_>>()).await
    }

    async fn tell(&self, operations: &[&ResolvedOperation<'_>]) -> Result<(), SqlError> {
        match &self.0 {
            Some(cache) => cache.tell_written(operations).await,
            None => Ok(()),
        }
    }
}

/// A row that was written.
#[derive(Clone, Debug)]
pub(super) struct WrittenRow<'o> {
    pub(super) table: &'o Arc<TableShape>,
    pub(super) key: Vec<SqlValue>,
}

/// The rows of operations that are marked; an id that the database made is in the mark.
pub(super) async fn rows<'o>(
    store: &OperationStore,
    operations: &[&'o ResolvedOperation<'_>],
) -> Result<Vec<WrittenRow<'o>>, SqlError> {
    let makes = |operation: &&&ResolvedOperation<'_>| operation.rows.iter().any(|row| row.name.is_none());
    let making: Vec<String> =
        operations.iter().filter(makes).map(|operation| hex::encode(&operation.write.mark)).collect();
    let mut marked = HashMap::new();
    if !making.is_empty() {
        marked = marks::look_up(&mut store.begin().await?, store.dialect(), &making).await?;
    }
    let mut rows = Vec::new();
    for operation in operations {
        let made = || marked.get(&hex::encode(&operation.write.mark)).and_then(|marked| marked.made.clone());
        for row in &operation.rows {
            let made = if row.name.is_none() { made().map(SqlValue::Text) } else { None };
            let key = made.map_or_else(|| row.key.clone(), |id| vec![id]);
            rows.push(WrittenRow { table: &operation.table, key });
        }
    }
    Ok(rows)
}
