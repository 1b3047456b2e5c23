//! A row written as its operations say: in a transaction, under its lock, and never over something newer.

use std::sync::Arc;

use enrichers::operation::SqlValue;

use super::super::catalogue::TableShape;
use super::super::errors::{ErrorMeaning, SqlError};
use super::super::session::SqlTransaction;
use super::OperationFold;
use super::row_comparison::RowClass;
use super::row_state::{FoldedRow, RowJudgement, RowState};
use super::value_match::value_of;

/// Tries of a repair that others are in the way of.
const RESTARTS: u32 = 5;

/// Why a row is left as it is.
type NotMended = String;

impl OperationFold {
    /// Writes what is right, and has caches forget the row.
    pub(super) async fn mend(
        &self,
        table: &Arc<TableShape>,
        class: &RowClass,
        row: &FoldedRow,
    ) -> Result<Result<(), NotMended>, SqlError> {
        let [state] = row.states.as_slice() else {
            return Ok(Err("its operations come from several partitions, and nothing says which was last".to_owned()));
        };
        let mut restarts = 0;
        let mended = loop {
            match self.try_to_mend(table, class, row, state).await {
                Err(error) if error.begins_anew(&mut restarts, RESTARTS) => {}
                Err(SqlError {
                    meaning: ErrorMeaning::Restart | ErrorMeaning::Ladder | ErrorMeaning::Poison,
                    why,
                    ..
                }) => {
                    break Err(why);
                }
                mended => break mended?,
            }
        };
        if let (Ok(()), Some(cache)) = (&mended, &self.cache) {
            cache.tell_mended(table, &class.spellings).await?;
        }
        Ok(mended)
    }

    async fn try_to_mend(
        &self,
        table: &Arc<TableShape>,
        class: &RowClass,
        row: &FoldedRow,
        state: &RowState,
    ) -> Result<Result<(), NotMended>, SqlError> {
        let mut transaction = self.store.begin().await?;
        let Some(judgement) = self.judge_now(&mut transaction, table, class, row, true).await? else {
            return Ok(Err("a newer operation has written it meanwhile".to_owned()));
        };
        match judgement {
            // Whoever was faster has mended it.
            RowJudgement::Right => {}
            RowJudgement::Missing if !state.made => {
                return Ok(Err("the operation that made it is no longer in the log".to_owned()));
            }
            RowJudgement::Missing => self.insert(&mut transaction, table, class, state).await?,
            RowJudgement::Altered(names) => self.update(&mut transaction, table, class, state, &names).await?,
            RowJudgement::Resurrected => {
                let (key, bound) = (class.key(table), table.columns_at(&table.key));
                let statement = self.store.dialect().delete(&table.name, &bound, &[&key]);
                transaction.execute(&statement, false).await?;
            }
            RowJudgement::Extra => return Ok(Err("no operation is about it".to_owned())),
        }
        transaction.commit().await?;
        Ok(Ok(()))
    }

    async fn insert(
        &self,
        transaction: &mut SqlTransaction,
        table: &TableShape,
        class: &RowClass,
        state: &RowState,
    ) -> Result<(), SqlError> {
        let (mut places, mut values) = (Vec::new(), Vec::new());
        // Its key as it was written when it was made; an id that the database made stands there, too.
        for (place, part) in table.key.iter().zip(&state.key) {
            let Some(column) = table.columns.get(*place) else { continue };
            places.push(*place);
            values.push(value_of(column, part.as_deref()));
        }
        for (name, text) in &state.columns {
            let Some(place) = table.column(name).filter(|place| !table.key.contains(place)) else { continue };
            let Some(column) = table.columns.get(place) else { continue };
            places.push(place);
            values.push(value_of(column, text.as_deref()));
        }
        debug_assert!(class.spellings.iter().any(|key| values.starts_with(key)));
        let statement = self.store.dialect().insert(&table.name, &table.columns_at(&places), &[&values], None);
        transaction.execute(&statement, false).await.map(drop)
    }

    async fn update(
        &self,
        transaction: &mut SqlTransaction,
        table: &TableShape,
        class: &RowClass,
        state: &RowState,
        names: &[String],
    ) -> Result<(), SqlError> {
        let places: Vec<usize> = names.iter().filter_map(|name| table.column(name)).collect();
        let value = |place: &usize| {
            let column = table.columns.get(*place)?;
            Some(value_of(column, state.columns.get(&column.bound.name)?.as_deref()))
        };
        let values: Vec<SqlValue> = places.iter().filter_map(value).collect();
        let key = class.key(table);
        let rows = [(key.as_slice(), values.as_slice())];
        let (bound, columns) = (table.columns_at(&table.key), table.columns_at(&places));
        transaction.execute(&self.store.dialect().update(&table.name, &bound, &columns, &rows), false).await.map(drop)
    }
}
