//! The keys of operations: what keeps their order while one of them waits. They are the rows and the operation's own id.
//!
//! Two operations that may touch one row share a key. Tables are taken as they are when the program starts, for what waits and
//! what comes later have to agree; of a table that is not there yet all operations share one key.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use enrichers::operation::DatabaseOperation;
use pipeline::sink::Failure;

use super::catalogue::{Catalogue, TableShape};
use super::errors::SqlError;
use super::operation::row_name;
use super::resolver::row_names;
use super::session::OperationStore;
use crate::config::EntityTable;

/// Tells the keys of operations.
pub struct OperationKeys {
    entities: BTreeMap<String, EntityTable>,
    tables: OnceLock<HashMap<String, Arc<TableShape>>>,
}

impl OperationKeys {
    pub fn new(entities: BTreeMap<String, EntityTable>) -> Self {
        Self { entities, tables: OnceLock::new() }
    }

    /// Looks at the tables, once.
    ///
    /// # Errors
    /// Why the database cannot be asked.
    pub async fn learn(&self, store: &OperationStore) -> Result<(), Failure> {
        if self.tables.get().is_some() {
            return Ok(());
        }
        let catalogue = Catalogue::new(store.clone(), self.entities.clone());
        let mut tables = HashMap::new();
        for entity in self.entities.keys() {
            if let Some(table) = catalogue.table(entity, None).await.map_err(SqlError::failure)? {
                tables.insert(entity.clone(), table);
            }
        }
        self.tables.get_or_init(|| tables);
        Ok(())
    }

    /// Tells the keys of an operation. What can never be written has none.
    pub fn of(&self, operation: &DatabaseOperation<'_>, each: &mut dyn FnMut(&str)) {
        if let Some(id) = &operation.metadata.operation_id {
            each(id);
        }
        let entity = operation.entity.as_ref();
        match self.tables.get().and_then(|tables| tables.get(entity)) {
            Some(table) => row_names(operation, table).iter().for_each(|name| each(name)),
            None => {
                if let Some(of) = self.entities.get(entity) {
                    each(&row_name(&of.table, ""));
                }
            }
        }
    }
}
