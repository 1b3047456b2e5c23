//! A program at work: its consumers, what it tells over HTTP, and its log.

pub(crate) mod blocking;
pub mod consumer;
pub mod http;
pub mod telemetry;
