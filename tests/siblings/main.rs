//! The sibling systems on real Kafka and their stores: MongoDB, PostgreSQL, Redis, and a stand-in for Algolia's API that the
//! official client holds to its word.
//!
//! `scripts/test e2e` starts the services and runs this, once. `E2E_SCALE` multiplies the numbers of messages.

#![allow(unreachable_pub, reason = "the modules of one test program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    reason = "in a test a panic is the answer"
)]

mod contributions;
mod erase;
mod events;
mod measured_stores;
mod outage;
mod payloads;
mod reactions;
mod refused;
mod reviews;
mod transactions;
mod users;
mod values;
mod version_store;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_millrace");
