//! A system bound to its store. The types of a system's events and writes end here: what stands above holds a [`Binding`]
//! and is compiled once, whatever the number of systems.
//!
//! Types are erased a batch at a time, never a record at a time: a batch costs two boxes, one for its events and one for
//! its writes.

use std::sync::Arc;

use async_trait::async_trait;

use crate::park::lane::Ladder;
use crate::record::Record;
use crate::sink::{Content, Failure, Pressure, Reject, Sink, SinkLimits, Verdict, Waiting, Write};
use crate::system::{Decoded, System};

/// A system and its store, as the engine and the commands hold them.
#[async_trait]
pub trait Binding: Send + Sync {
    /// The system, as in commands, metrics and logs.
    fn system(&self) -> &'static str;

    /// The store, as in logs and `/readyz`.
    fn store(&self) -> &'static str;

    fn limits(&self) -> SinkLimits;

    /// As [`Sink::orders_keys`].
    fn orders_keys(&self) -> bool;

    /// As [`System::ladder`].
    fn ladder(&self) -> Option<Ladder>;

    /// Reads the records of a batch.
    fn decode<'r>(&'r self, records: &'r [Record]) -> Box<dyn DecodedBatch<'r> + 'r>;

    /// Whether a record that may be unreadable is about this document, as well as can be told.
    fn is_about(&self, record: &Record, document: &str) -> bool;

    /// As [`System::before_letters`].
    ///
    /// # Errors
    /// As there.
    async fn before_letters(&self, letters: &[(&Record, &Reject)]) -> Result<(), Failure>;

    /// As [`System::on_letter`].
    fn on_letter(&self, record: &Record, why: &Reject);

    /// As [`Sink::probe`].
    ///
    /// # Errors
    /// Why the store takes no write.
    async fn probe(&self) -> Result<(), Failure>;

    /// As [`Sink::pressure`].
    ///
    /// # Errors
    /// As there.
    async fn pressure(&self) -> Result<Option<Pressure>, Failure> {
        Ok(None)
    }
}

/// The decoded records of a batch.
#[async_trait]
pub trait DecodedBatch<'r>: Send + Sync {
    /// What each record turned out to be, in the order of the records.
    fn as_slice(&self) -> &[Decoded<'r>];

    /// The keys of the event of a record, named by its index.
    fn keys(&self, record: usize, each: &mut dyn FnMut(&str));

    /// Makes writes of the events of these records, named by their index.
    async fn enrich(&self, chosen: &[usize]) -> Enriched<'_>;
}

/// What enrichment made of some events.
pub struct Enriched<'a> {
    pub writes: Box<dyn Writes + 'a>,
    /// The record of each write, in their order, which is that of the records that were chosen.
    pub records: Vec<usize>,
    /// Records of which no write came, and why.
    pub rejected: Vec<(usize, Reject)>,
}

/// The writes of some events, by number.
#[async_trait]
pub trait Writes: Send + Sync {
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that a write adds to a request; 0 of a write that is not there.
    fn bytes(&self, write: usize) -> usize;

    /// What a write leaves in the store.
    fn content(&self, write: usize) -> Option<Content>;

    /// As [`Sink::write`], of these, or as [`Sink::write_in_order`] where the sink orders keys.
    ///
    /// # Errors
    /// A failure of the request as a whole.
    async fn send(&self, chosen: &[usize], waiting: &dyn Waiting) -> Result<Vec<Verdict>, Failure>;

    /// As [`Sink::probe_of`].
    ///
    /// # Errors
    /// Why the store takes no write.
    async fn probe_of(&self, write: usize) -> Result<(), Failure>;
}

/// Binds a system to a store that takes its writes.
pub fn bind<S: System>(system: S, sink: Arc<dyn Sink<S::Write>>) -> Arc<dyn Binding> {
    Arc::new(TypedBinding { system, sink })
}

struct TypedBinding<S: System> {
    system: S,
    sink: Arc<dyn Sink<S::Write>>,
}

#[async_trait]
impl<S: System> Binding for TypedBinding<S> {
    fn system(&self) -> &'static str {
        self.system.name()
    }

    fn store(&self) -> &'static str {
        self.sink.name()
    }

    fn limits(&self) -> SinkLimits {
        let limits = self.sink.limits();
        // While a batch is written, nothing of its partition that was put behind what is parked may go before it.
        SinkLimits { ordered: limits.ordered || self.sink.orders_keys(), ..limits }
    }

    fn orders_keys(&self) -> bool {
        self.sink.orders_keys()
    }

    fn ladder(&self) -> Option<Ladder> {
        self.system.ladder()
    }

    fn decode<'r>(&'r self, records: &'r [Record]) -> Box<dyn DecodedBatch<'r> + 'r> {
        let mut decoded = Vec::with_capacity(records.len());
        let mut events = Vec::with_capacity(records.len());
        for record in records {
            let (what, event) = match self.system.decode(record) {
                Decoded::Event(identity, event) => (Decoded::Event(identity, ()), Some(event)),
                Decoded::Reject(reject) => (Decoded::Reject(reject), None),
                Decoded::Ignore => (Decoded::Ignore, None),
            };
            decoded.push(what);
            events.push(event);
        }
        Box::new(TypedBatch { bound: self, decoded, events })
    }

    fn is_about(&self, record: &Record, document: &str) -> bool {
        self.system.is_about(record, document)
    }

    async fn before_letters(&self, letters: &[(&Record, &Reject)]) -> Result<(), Failure> {
        self.system.before_letters(letters).await
    }

    fn on_letter(&self, record: &Record, why: &Reject) {
        self.system.on_letter(record, why);
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.sink.probe().await
    }

    async fn pressure(&self) -> Result<Option<Pressure>, Failure> {
        self.sink.pressure().await
    }
}

struct TypedBatch<'r, S: System> {
    bound: &'r TypedBinding<S>,
    decoded: Vec<Decoded<'r>>,
    events: Vec<Option<S::Event<'r>>>,
}

#[async_trait]
impl<'r, S: System> DecodedBatch<'r> for TypedBatch<'r, S> {
    fn as_slice(&self) -> &[Decoded<'r>] {
        &self.decoded
    }

    fn keys(&self, record: usize, each: &mut dyn FnMut(&str)) {
        if let (Some(Decoded::Event(identity, ())), Some(Some(event))) =
            (self.decoded.get(record), self.events.get(record))
        {
            self.bound.system.keys(identity, event, each);
        }
    }

    async fn enrich(&self, chosen: &[usize]) -> Enriched<'_> {
        let mut asked = Vec::with_capacity(chosen.len());
        let mut events = Vec::with_capacity(chosen.len());
        for &record in chosen {
            if let (Some(Decoded::Event(identity, ())), Some(Some(event))) =
                (self.decoded.get(record), self.events.get(record))
            {
                asked.push(record);
                events.push((identity, event));
            }
        }
        let mut records = Vec::with_capacity(events.len());
        let mut writes = Vec::with_capacity(events.len());
        let mut rejected = Vec::new();
        for (record, enriched) in asked.into_iter().zip(self.bound.system.enrich(events).await) {
            match enriched {
                Ok(write) => {
                    records.push(record);
                    writes.push(write);
                }
                Err(reject) => rejected.push((record, reject)),
            }
        }
        let writes = Box::new(TypedWrites { sink: &*self.bound.sink, writes });
        Enriched { writes, records, rejected }
    }
}

struct TypedWrites<'a, W: Write> {
    sink: &'a dyn Sink<W>,
    writes: Vec<W>,
}

#[async_trait]
impl<W: Write> Writes for TypedWrites<'_, W> {
    fn len(&self) -> usize {
        self.writes.len()
    }

    fn bytes(&self, write: usize) -> usize {
        self.writes.get(write).map_or(0, Write::bytes)
    }

    fn content(&self, write: usize) -> Option<Content> {
        self.writes.get(write).map(Write::content)
    }

    async fn send(&self, chosen: &[usize], waiting: &dyn Waiting) -> Result<Vec<Verdict>, Failure> {
        let request: Vec<&W> = chosen.iter().filter_map(|&write| self.writes.get(write)).collect();
        match self.sink.orders_keys() {
            true => self.sink.write_in_order(&request, waiting).await,
            false => self.sink.write(&request).await,
        }
    }

    async fn probe_of(&self, write: usize) -> Result<(), Failure> {
        match self.writes.get(write) {
            Some(write) => self.sink.probe_of(write).await,
            None => self.sink.probe().await,
        }
    }
}
