//! A program at work: its consumers, what it tells over HTTP, and its log.

pub(crate) mod blocking;
pub(crate) mod clock;
pub mod consumer;
pub mod http;
mod pace;
pub mod telemetry;
pub mod trouble;
pub(crate) mod tuned;

pub use pace::Pace;
