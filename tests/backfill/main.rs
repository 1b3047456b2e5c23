//! The backfill as a person runs it: the real program, files, and a file of SQLite as the store. No service is needed.

#![allow(unreachable_pub, reason = "the modules of one test program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    reason = "in a test a panic is the answer"
)]

mod bench;
mod chosen;
mod cut;
mod forms;
mod planted;
mod pruned;
mod refused;
mod resumed;
mod steered;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_millrace");
