//! A store that is written to, and what goes with it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use pipeline::sink::{Failure, Write};
use pipeline::{Binding, Sink, System, bind};
use thiserror::Error;

use crate::stores::reader::StoreReader;

/// A future that can be kept.
pub type StaticFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Why a system cannot be put together with its store, in a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// A setting that the system needs is missing.
    #[error("{0}")]
    Missing(String),
    /// A setting cannot be used; never holds its value.
    #[error("{0}")]
    Unusable(String),
    /// The store is not in place.
    #[error("{0}")]
    Store(String),
}

impl SetupError {
    /// Of a Redis whose address or certificate cannot be used; the client's own error may quote the password.
    pub(crate) fn unusable_redis(address: &str) -> Self {
        Self::Unusable(format!("Redis at {address} cannot be used: check REDIS_URL and REDIS_CA_CERT"))
    }
}

/// Puts in place what a store needs; called until it succeeds.
pub type Prepare = Box<dyn Fn() -> StaticFuture<Result<(), SetupError>> + Send + Sync>;

/// How far a consumer has come that stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosingStep {
    /// It was told to: what is in flight is finished now.
    Stopping,
    /// It has left its group, and nothing is in flight.
    Ended,
}

/// Closes what a store holds open, at each step.
pub type Closing = Box<dyn Fn(ClosingStep) -> StaticFuture<()> + Send + Sync>;

/// A store, and what goes with it.
pub struct Target<W: Write> {
    pub sink: Arc<dyn Sink<W>>,
    /// The same store, read back.
    pub reader: Arc<dyn StoreReader>,
    pub prepare: Prepare,
    /// Names the store; dedupe marks are good for it alone.
    pub name: String,
}

/// A system with its store.
pub struct BoundSystem {
    pub binding: Arc<dyn Binding>,
    /// The same store, read back.
    pub reader: Arc<dyn StoreReader>,
    pub prepare: Prepare,
    /// Names the store; dedupe marks are good for it alone.
    pub target: String,
    /// `None`: nothing is to be closed in any order.
    pub close: Option<Closing>,
}

impl BoundSystem {
    /// Has it closed so.
    #[must_use]
    pub fn close_with(self, close: impl Fn(ClosingStep) -> StaticFuture<()> + Send + Sync + 'static) -> Self {
        Self { close: Some(Box::new(close)), ..self }
    }
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
    /// The database of `reactions`.
    Reactions,
    /// An index in Algolia, without its prefix.
    Algolia(&'static str),
}

impl<W: Write> Target<W> {
    /// Binds a system to it.
    pub fn bind<S: System<Write = W>>(self, system: S) -> BoundSystem {
        let binding = bind(system, self.sink);
        BoundSystem { binding, reader: self.reader, prepare: self.prepare, target: self.name, close: None }
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
        Box::pin(async move { put.await.map_err(|failure| SetupError::Store(failure.why.into_owned())) })
    })
}
