//! A program at work: its consumers, what it tells over HTTP, and its log.

pub mod consumer;
pub mod http;
pub mod telemetry;
