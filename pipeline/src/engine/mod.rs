//! A batch from its cut to its outcomes, and the slots in which a few of them are at work at once.

pub(crate) mod batch;
pub(crate) mod batch_item;
pub mod batcher;
pub mod delivery;
pub(crate) mod finished_batch;
pub(crate) mod inflight;
pub(crate) mod ongoing;
mod options;
pub mod pacer;
mod proceed;
mod queue;
mod slot_meter;
mod slots;
pub mod tuner;

pub use options::{EngineError, EngineOptions, EngineParts};
pub use proceed::Proceed;
pub use slots::Engine;
