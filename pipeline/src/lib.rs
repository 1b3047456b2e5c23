//! The engine of millrace. One batch goes through it in a straight line:
//!
//! poll → batch → decode → dedupe → enrich → write → dead-letter → remember → settle → commit.
//!
//! It knows Kafka, dedupe marks in Redis and dead letters, and nothing of what the records mean: that is a [`System`],
//! and where they go is a [`Sink`]. ARCHITECTURE.md has the map.

pub mod binding;
pub mod dead_letters;
pub mod dedupe;
pub mod engine;
pub mod feed;
pub mod kafka;
pub mod mutants;
pub mod offsets;
mod outcome;
pub mod park;
mod record;
pub mod sink;
pub mod state;
pub mod status;
pub mod system;
mod write;

pub use binding::{Binding, bind};
pub use dedupe::redis_marks::{RedisMarks, RedisServer, redis_client, redis_connection};
pub use engine::{Engine, EngineError, EngineOptions, EngineParts, Proceed};
pub use offsets::leases::Leases;
pub use outcome::{Outcome, Tally};
pub use park::lane::Ladder;
pub use record::{Epoch, Header, Record, TopicPartition};
pub use sink::Sink;
pub use status::Status;
pub use system::System;
pub use write::RetryPolicy;
