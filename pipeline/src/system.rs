//! What a consumer system has to offer: read a record, and make of a batch of events the writes of its store.
//!
//! A system is pure but for the look-ups of `enrich`, which sees a whole batch at once so that a look-up is one round trip.

use std::borrow::Cow;
use std::future::Future;

use crate::park::lane::Ladder;
use crate::record::Record;
use crate::sink::{Failure, Reject, Write};

/// What a record is about.
#[derive(Clone, Debug)]
pub struct Identity<'r> {
    /// The id of the document in the store.
    pub document: Cow<'r, str>,
    /// Names the event: the same for every copy that a producer sends of it. `None` where the store tells copies by itself.
    pub message: Option<[u8; 32]>,
    /// From the event itself, never from an offset or the wall clock. Of two versions the higher wins; of equal ones the
    /// later in the partition.
    pub version: i64,
    /// What happened, in a word for people, such as `created`.
    pub kind: &'static str,
}

/// What a record turned out to be.
#[derive(Debug)]
pub enum Decoded<'r, E = ()> {
    Event(Identity<'r>, E),
    /// Can never be read: a dead letter.
    Reject(Reject),
    /// Not for this system.
    Ignore,
}

/// A consumer system.
pub trait System: Send + Sync + 'static {
    /// A decoded record; may borrow from it.
    type Event<'r>: Send + Sync;
    type Write: Write;

    /// As in commands, metrics and logs, such as `transactions`.
    fn name(&self) -> &'static str;

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, Self::Event<'r>>;

    /// Whether a record that may be unreadable is about this document, as well as can be told.
    fn is_about(&self, record: &Record, document: &str) -> bool;

    /// How a write is tried again that the store answers with [`Verdict::Later`](crate::sink::Verdict::Later). A system that has
    /// a ladder asks for order by key: none of its records overtakes an earlier one of its partition that shares a key, on
    /// the ladder or not. Without one, such a write is rejected at once.
    fn ladder(&self) -> Option<Ladder> {
        None
    }

    /// The keys of a record, for a system with a ladder: what it may not overtake others on. They are the document.
    fn keys(&self, identity: &Identity<'_>, _event: &Self::Event<'_>, each: &mut dyn FnMut(&str)) {
        each(&identity.document);
    }

    /// These records are about to become dead letters, for whoever is told of it before. They do not while this fails.
    ///
    /// # Errors
    /// Why nobody could be told.
    fn before_letters(&self, _letters: &[(&Record, &Reject)]) -> impl Future<Output = Result<(), Failure>> + Send {
        async { Ok(()) }
    }

    /// A record has become a dead letter, for a log of the system's own.
    fn on_letter(&self, _record: &Record, _why: &Reject) {}

    /// Turns events into writes, one each and in the same order.
    fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e Self::Event<'r>)>,
    ) -> impl Future<Output = Vec<Result<Self::Write, Reject>>> + Send;
}
