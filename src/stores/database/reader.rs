//! The rows as `verify` would read them back. Operations fold otherwise than documents do, which it does not know how to.

use async_trait::async_trait;
use pipeline::sink::Failure;

use crate::stores::reader::{ObservedVersion, StoreReader, StoredDocument, Visit};

/// Reads nothing, and says so.
pub struct OperationReader;

fn unread<T>() -> Result<T, Failure> {
    let why = "the rows of `database` come of operations, and are not compared with the log yet";
    Err(Failure::misconfigured(why))
}

#[async_trait]
impl StoreReader for OperationReader {
    fn name(&self) -> &'static str {
        "database"
    }

    async fn read(&self, _visit: Visit<'_>) -> Result<(), Failure> {
        unread()
    }

    async fn find(&self, ids: &[String]) -> Result<Vec<Option<StoredDocument>>, Failure> {
        // No document is held under an id: a replayed letter is judged by its mark.
        Ok(vec![None; ids.len()])
    }

    async fn remove(&self, _seen: &[ObservedVersion]) -> Result<u64, Failure> {
        unread()
    }

    async fn horizon(&self) -> Result<Option<i64>, Failure> {
        Ok(None)
    }

    async fn note_horizon(&self, _version: i64) -> Result<(), Failure> {
        unread()
    }
}
