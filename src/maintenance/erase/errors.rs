//! Why a place was not reached by an erasure.

use pipeline::sink::{Failure, Reject};
use rdkafka::error::KafkaError;
use thiserror::Error;

use crate::maintenance::replay::ReplayError;
use crate::stores::target::SetupError;

/// Why what a place holds of the person may be there still.
#[derive(Debug, Error)]
pub(super) enum EraseError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("{}", .0.why)]
    Store(Failure),
    #[error("a deletion is refused: {}: {}", .0.class, .0.why)]
    Refused(Reject),
    #[error("somebody writes values of this person all the time: erase again when that has ended")]
    WrittenMeanwhile,
    #[error("{topic}: {error}")]
    Letters { topic: String, error: KafkaError },
    #[error(
        "the old copies in {topic} stay until its retention takes them, for the brokers do not take them away ({error})"
    )]
    OldCopies { topic: String, error: KafkaError },
    #[error("Kafka: {0}; check KAFKA_BOOTSTRAP_SERVERS")]
    Kafka(String),
}

impl From<Failure> for EraseError {
    fn from(failure: Failure) -> Self {
        Self::Store(failure)
    }
}
