//! Events that follow from events: their ids and their rows in the outbox.

use ::events::{Event, EventData, EventVersion, Id, Invalid, Timestamp, write};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What a row of the outbox says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmittedEvent {
    pub event: Event,
    /// The event that it follows from.
    pub source: Id,
    /// What kind of subject it is about, for Debezium's router.
    pub aggregate: &'static str,
}

/// The id of what follows from a source by an effect: the same whenever it follows again.
pub(super) fn derive_id(source: &str, effect: &str) -> Result<Id, Invalid> {
    let mut hash = Sha256::new();
    for part in [source, effect] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    Id::new(hex::encode(hash.finalize()))
}

impl EmittedEvent {
    /// What an effect of an event says, at the time of that event.
    pub(super) fn of(
        source: &Event,
        effect: &str,
        aggregate: &'static str,
        data: impl Into<EventData>,
    ) -> Result<Self, Invalid> {
        let id = derive_id(source.id.as_str(), effect)?;
        let event = Event { id, version: EventVersion::V2, time: source.time, data: data.into() };
        Ok(Self { event, source: source.id.clone(), aggregate })
    }

    /// What became of a subject at a time, in microseconds since 1970; none where the time is none that an event has.
    pub(super) fn at(
        micros: i64,
        subject: &str,
        effect: &str,
        aggregate: &'static str,
        data: impl Into<EventData>,
    ) -> Option<Self> {
        let time = Timestamp::from_millis(micros.div_euclid(1_000))?;
        let event = Event { id: derive_id(subject, effect).ok()?, version: EventVersion::V2, time, data: data.into() };
        Some(Self { event, source: Id::new(subject).ok()?, aggregate })
    }

    /// As the statement takes it.
    ///
    /// # Errors
    /// None that is known.
    pub(super) fn row(&self, place: usize) -> Result<Value, serde_json::Error> {
        let payload = String::from_utf8_lossy(&write(&self.event)?).into_owned();
        Ok(json!({
            "place": place,
            "id": self.event.id.as_str(),
            "aggregatetype": self.aggregate,
            "aggregateid": self.event.data.key(),
            "type": self.event.name().as_str(),
            "payload": payload,
            "source_id": self.source.as_str(),
        }))
    }
}
