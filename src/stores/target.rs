//! A store that is written to, and what goes with it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use pipeline::sink::{Failure, Write};
use pipeline::{Binding, Sink, System, bind};

use crate::stores::reader::StoreReader;

/// A future that can be kept.
pub type StaticFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Puts in place what a store needs; called until it succeeds.
pub type Prepare = Box<dyn Fn() -> StaticFuture<Result<(), String>> + Send + Sync>;

/// A store, and what goes with it.
pub struct Target<W: Write> {
    pub sink: Arc<dyn Sink<W>>,
    /// The same store, read back.
    pub shelf: Arc<dyn StoreReader>,
    pub prepare: Prepare,
    /// Names the store; dedupe marks are good for it alone.
    pub name: String,
}

/// A system with its store.
pub struct BoundSystem {
    pub binding: Arc<dyn Binding>,
    /// The same store, read back.
    pub shelf: Arc<dyn StoreReader>,
    pub prepare: Prepare,
    /// Names the store; dedupe marks are good for it alone.
    pub target: String,
}

/// A store that a system needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needed {
    /// The index of documents: Elasticsearch, or a file of SQLite.
    Documents,
    /// The audit's database.
    Database,
    MongoDb,
    /// The database of `database`.
    Operations,
    /// An index in Algolia, without its prefix.
    Algolia(&'static str),
}

impl<W: Write> Target<W> {
    /// Binds a system to it.
    pub fn bound_to<S: System<Write = W>>(self, system: S) -> BoundSystem {
        BoundSystem { binding: bind(system, self.sink), shelf: self.shelf, prepare: self.prepare, target: self.name }
    }
}

/// Makes a [`Prepare`] of what puts `store` in place.
pub fn prepare<T, F>(store: T, put: impl Fn(T) -> F + Send + Sync + 'static) -> Prepare
where
    T: Clone + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    Box::new(move || {
        let put = put(store.clone());
        Box::pin(async move { put.await.map_err(|failure| failure.why.into_owned()) })
    })
}
