//! The program: configuration, commands, the systems and the stores.

pub mod cli;
pub mod config;
pub mod consumer;
pub mod erase;
pub mod explain;
pub mod http;
pub mod letters;
pub mod purge;
pub mod replay;
pub mod shelf;
pub mod sinks;
pub mod synthetic;
pub mod systems;
pub mod telemetry;
pub mod verify;
pub mod walk;
