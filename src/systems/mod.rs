//! The consumer systems: one file each, and one line in the table.

use pipeline::Record;

use crate::config::Config;
use crate::consumer::{Consumer, RunOptions, Task};
use crate::replay::Replayed;

pub mod transactions;

/// A replay under way; its error is a sentence about the configuration or the store.
pub type Replay = Task<Result<Replayed, String>>;

/// A system that can be run by name.
pub struct Entry {
    pub name: &'static str,
    /// Makes a consumer that reads the system's topic.
    pub consumer: fn(&Config, &RunOptions) -> Result<Consumer, String>,
    /// Writes these records anew, in any order; gives those that are rejected still.
    pub replay: fn(&Config, Vec<Record>) -> Replay,
    pub topics: fn(&Config) -> Vec<String>,
    pub group: fn(&Config) -> String,
}

/// Every system there is.
pub const SYSTEMS: &[Entry] = &[transactions::ENTRY];

/// Finds a system by its name.
///
/// # Errors
/// A sentence that names those there are.
pub fn find(name: &str) -> Result<&'static Entry, String> {
    SYSTEMS.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<&str> = SYSTEMS.iter().map(|entry| entry.name).collect();
        format!("there is no system {name}; there is {}", names.join(", "))
    })
}
