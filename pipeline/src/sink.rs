//! What a store has to offer: take some writes, and give one verdict for each.
//!
//! A sink judges and never retries; the retry loop stands once, in `write.rs`. Each write carries its version, and a
//! sink applies it only if the store holds nothing newer.

use std::borrow::Cow;

use async_trait::async_trait;

/// What a store takes in one request.
#[derive(Clone, Copy, Debug)]
pub struct SinkLimits {
    /// Most writes in one request.
    pub items: usize,
    /// Most bytes in one request, as `Write::bytes` counts them; a single write may be larger.
    pub bytes: usize,
    /// No two batches in flight hold records of one partition.
    pub ordered: bool,
    /// One request cannot take two writes of one document (a multi-row SQL upsert cannot).
    pub one_write_a_document: bool,
}

/// Which versions a store accepts when it already holds the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Records come in log order: an equal version is a later one, and is accepted.
    Log,
    /// Records come in any order (a replay of dead letters, a backfill, a repair): only newer versions are accepted.
    Any,
}

/// What the node of a store that has the least room holds of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// Bytes from which on it turns writes away.
    pub limit: u64,
    /// Bytes that it holds now, of all who write.
    pub current: u64,
}

/// What went wrong, in words for a person; never holds payload values or secrets.
pub type Why = Cow<'static, str>;

/// A reason why a record can never be written: it goes to the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// A short name of low cardinality, for grouping and metrics, such as `document_parsing_exception`.
    pub class: Cow<'static, str>,
    pub why: Why,
}

impl Reject {
    pub fn new(class: impl Into<Cow<'static, str>>, why: impl Into<Why>) -> Self {
        Self { class: class.into(), why: why.into() }
    }
}

/// What kind of failure stands in the way of a write, which decides how it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The store is not there or asks to wait (refused connections, 429, 502, 503, 504): says nothing about the writes. Retried
    /// without end.
    Unavailable,
    /// The store answers that it is set up wrongly (401, 403, index closed or missing). Retried without end, named loudly.
    Misconfigured,
    /// The request broke on the way (timeout, connection cut after sending, 500, an answer that cannot be read): the store's
    /// fault or that of one write in it. Halved while the store is otherwise well, until the suspect stands alone. It is the
    /// only kind of which a few at a time are an outage.
    Broken,
    /// The request as a whole was refused by the store's own word (a value or a size that it never takes): halved at once;
    /// alone, it is a reject.
    Refused,
    /// The request as a whole was turned away by somebody who may not have looked at it (413, a 400 for the whole body): halved
    /// at once; alone, it is tried in pairs before it is a reject.
    TurnedAway,
}

impl FailureKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Misconfigured => "misconfigured",
            Self::Broken => "broken",
            Self::Refused => "refused",
            Self::TurnedAway => "turned_away",
        }
    }
}

/// A failure that leaves the record unwritten for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    pub why: Why,
}

impl Failure {
    pub fn new(kind: FailureKind, why: impl Into<Why>) -> Self {
        Self { kind, why: why.into() }
    }

    pub fn unavailable(why: impl Into<Why>) -> Self {
        Self::new(FailureKind::Unavailable, why)
    }

    pub fn misconfigured(why: impl Into<Why>) -> Self {
        Self::new(FailureKind::Misconfigured, why)
    }

    pub fn broken(why: impl Into<Why>) -> Self {
        Self::new(FailureKind::Broken, why)
    }

    pub fn refused(why: impl Into<Why>) -> Self {
        Self::new(FailureKind::Refused, why)
    }

    pub fn turned_away(why: impl Into<Why>) -> Self {
        Self::new(FailureKind::TurnedAway, why)
    }

    /// As a failure of the store, which accuses no write.
    pub(crate) fn of_store(self) -> Self {
        match self.kind {
            FailureKind::Unavailable | FailureKind::Misconfigured => self,
            FailureKind::Broken | FailureKind::Refused | FailureKind::TurnedAway => Self::unavailable(self.why),
        }
    }
}

/// What became of one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Applied,
    /// The store already holds a newer version.
    Superseded,
    Retry(Failure),
    Reject(Reject),
    /// It may pass later, for a reason that lies with other records and not with the store, such as a parent that is not there yet. It
    /// waits on the system's ladder with all that comes after it on its keys, and is a reject at the ladder's end, or at once
    /// where the system has none. Never in an outage.
    Later(Reject),
    /// Another document stands in the way (a unique index beside the key's). Tried once more, alone, when all earlier records
    /// of the batch have their outcome; where the store is ordered, that is all of the partition. Then it is a reject, but as `Later`
    /// while an earlier record of the partition is parked.
    Conflict(Reject),
    /// It was not tried, because an earlier write of its request waits that shares a key with it. It waits behind that one. Only
    /// of a store that orders keys by itself.
    Behind,
}

impl Verdict {
    pub(crate) fn is_final(&self, last: bool) -> bool {
        match self {
            Self::Applied | Self::Superseded | Self::Reject(_) => true,
            Self::Conflict(_) => last,
            Self::Retry(_) | Self::Later(_) | Self::Behind => false,
        }
    }
}

/// A write that a sink can size.
pub trait Write: Send + Sync + 'static {
    /// Bytes that this write adds to a request.
    fn bytes(&self) -> usize;

    /// What it leaves in the store.
    fn content(&self) -> Content;
}

/// What a write leaves in the store, so that it can be recognised when the store is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Whether it is a tombstone.
    pub deleted: bool,
    /// Tells contents apart; the same for what is written and for what is read back.
    pub digest: u64,
}

/// What a sink asks that orders keys by itself, of a write by its place in the request.
pub trait Waiting: Send + Sync {
    /// Whether a write that may pass later may wait for that: then its verdict is [`Verdict::Later`]. Where it may not it is given
    /// up on and its verdict is a reject, which the sink can note together with what comes after it.
    fn may_wait(&self, write: usize, class: &str) -> bool;

    /// As `may_wait`, of a write that another document stands in the way of: where an earlier record of its partition is parked
    /// for a key that may clear the way.
    fn conflict_may_wait(&self, write: usize, class: &str, may_clear: &dyn Fn(&str) -> bool) -> bool;
}

/// A store.
#[async_trait]
pub trait Sink<W: Write>: Send + Sync + 'static {
    /// A short name for logs and `/readyz`, such as `elasticsearch`.
    fn name(&self) -> &'static str;

    fn limits(&self) -> SinkLimits;

    /// Applies the writes, in their order where two are of one document. Gives one verdict a write, in the same order;
    /// any other number of verdicts counts as an answer of somebody else: the writes wait.
    ///
    /// # Errors
    /// A failure of the request as a whole.
    async fn write(&self, writes: &[&W]) -> Result<Vec<Verdict>, Failure>;

    /// Whether a request may hold several writes of one key, where the system asks for order by key. Then `write_in_order` is
    /// called. A later write of a key is not tried while an earlier one of the request waits or is to be tried again, no write
    /// is a conflict, and what a request that fails has written is told when it comes again. The limits split none: it is all that
    /// may go of a batch, and is not halved.
    fn orders_keys(&self) -> bool {
        false
    }

    /// As `write`, for a sink that orders keys.
    ///
    /// # Errors
    /// A failure of the request as a whole.
    async fn write_in_order(&self, writes: &[&W], _waiting: &dyn Waiting) -> Result<Vec<Verdict>, Failure> {
        self.write(writes).await
    }

    /// Sends the store a write that it takes and that changes nothing: whether a write that fails has itself to blame.
    ///
    /// # Errors
    /// Why it is not.
    async fn probe(&self) -> Result<(), Failure>;

    /// How much of its room for writes is taken; `None`: the store has no such thing.
    ///
    /// # Errors
    /// Why it does not tell: where it is away it is asked again, else it is not.
    async fn pressure(&self) -> Result<Option<Pressure>, Failure> {
        Ok(None)
    }

    /// As `probe`, the way that this write goes: under its own id, so that it meets the same shard.
    ///
    /// # Errors
    /// Why it is not.
    async fn probe_of(&self, _write: &W) -> Result<(), Failure> {
        self.probe().await
    }
}
