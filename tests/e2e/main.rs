//! The real program on the real services: Kafka (open and secured), Elasticsearch, Redis and PostgreSQL as the environment names them.
//!
//! `scripts/test e2e` starts them and runs this. Each test has topics, groups and aliases of its own; those that stop a
//! shared service run alone. `E2E_SCALE` multiplies the numbers of messages.

#![allow(unreachable_pub, reason = "the modules of one test program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    reason = "in a test a panic is the answer"
)]

mod adaptive;
mod audit;
mod backfill;
mod bad_input;
mod bench;
mod buckets;
mod commands;
mod explain;
mod faults;
mod flow;
mod holds;
mod http;
mod indices;
mod jobs;
mod letters;
mod memory;
mod offsets;
mod purge;
mod readiness;
mod rebalance;
mod secrets;
mod secured;
mod upgrade;
mod verify;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_millrace");
