//! The engine of millrace. One batch goes through it in a straight line:
//!
//! poll → batch → decode → dedupe → enrich → write → dead-letter → remember → settle → commit.
//!
//! It knows Kafka, dedupe marks in Redis and dead letters, and nothing of what the records mean: that is a [`System`],
//! and where they go is a [`Sink`]. ARCHITECTURE.md has the map.

mod batch;
pub mod batcher;
pub mod binding;
mod breaker;
mod climb;
pub mod dead_letters;
pub mod dedupe;
mod engine;
pub mod feed;
mod finished_batch;
mod group;
mod inflight;
mod judge;
pub mod kafka;
pub mod lane;
mod leases;
pub mod mutants;
pub mod offset_tracker;
mod ongoing;
mod outcome;
mod park;
mod record;
mod redis_marks;

pub mod settled;
pub mod sink;
pub mod state;
pub mod status;
pub mod system;

mod waiting;
mod write;
mod write_run;

pub use binding::{Binding, bind};
pub use engine::{Engine, EngineError, EngineOptions, EngineParts, Proceed};
pub use lane::Ladder;
pub use leases::Leases;
pub use outcome::{Outcome, Tally};
pub use record::{Epoch, Header, Record, TopicPartition};
pub use redis_marks::{RedisMarks, RedisServer, redis_client, redis_connection};
pub use sink::Sink;
pub use status::Status;
pub use system::System;
pub use write::RetryPolicy;
