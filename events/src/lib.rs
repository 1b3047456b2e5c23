//! Owns the catalogue of the events between services: 18 events, a topic each, in two versions.
//!
//! Version `1.0` is a bare object with the fields at the top level, version `2.0` the envelope
//! `{id, version, type, timestamp, data}`. Types, JSON Schemas, examples, the AsyncAPI document and the page of documentation are
//! all made from [`EventName`] and the types of the data.
//!
//! Waits for nothing: no I/O, no clock; time and bytes are passed in. With the feature `producer` there is
//! `EventProducer`, which writes to Kafka.
//! Guarantees: no payload makes it panic, amounts are exact, a reason names fields and never values.

mod amount;
mod asyncapi;
mod cloud_events;
mod compatibility;
mod data;
mod decode;
mod event_data;
mod examples;
mod guide;
mod media_key;
mod names;
#[cfg(feature = "producer")]
mod producer;
mod read_value;

mod rules;
mod scalars;
mod schema;
mod shipped;
mod words;
mod writing;

pub use amount::Amount;
pub use asyncapi::asyncapi;
pub use cloud_events::CloudAttributes;
pub use compatibility::{SchemaChange, changes};
pub use data::content::{CommentCreated, PostCreated, PostDeleted, PostLiked, PostUnliked, PostUpdated};
pub use data::media::{MediaDeleted, MediaProcessed, MediaUploaded};
pub use data::payment::{PaymentCompleted, PaymentFailed, PostPurchased, TipSent};
pub use data::subscription::{
    SubscriptionCancelled, SubscriptionCreated, SubscriptionUpdated, TierCreated, TierUpdated,
};
pub use decode::{EventRecord, read};
pub use event_data::EventFields;
pub use examples::example;
pub use guide::guide;
pub use media_key::MediaKey;
pub use names::{EventData, EventName, Service};
#[cfg(feature = "producer")]
pub use producer::{EventProducer, EventProducerOptions, OutgoingEvent, Produced, ProducerError};
pub use read_value::{Invalid, ReadValue};
pub use scalars::{Currency, EventTime, Id, Note};
pub use schema::{FieldDescription, fields, list_required, schema};
pub use shipped::{SCHEMA_SUFFIX, build_files};
pub use wire::DecodeError;
pub use wire::timestamp::Timestamp;
pub use words::{PaymentType, ProcessingStatus, SubscriptionStatus, Visibility};
pub use writing::write;

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventVersion {
    /// A bare object, the fields at the top level.
    V1,
    /// The envelope, the fields in `data`.
    V2,
}

impl EventVersion {
    /// Both, the older first.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// As it stands in `version`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1.0",
            Self::V2 => "2.0",
        }
    }

    /// Where the fields stand, for a reason: in front of their names.
    fn prefix(self) -> &'static str {
        match self {
            Self::V1 => "",
            Self::V2 => "data.",
        }
    }
}

/// An event, whichever version it was written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// At most 512 bytes. Of a record without one, a hash of topic, payload and the record's time.
    pub id: Id,
    /// The version it came in, or goes out in.
    pub version: EventVersion,
    pub time: Timestamp,
    pub data: EventData,
}

impl Event {
    pub fn name(&self) -> EventName {
        self.data.name()
    }
}
