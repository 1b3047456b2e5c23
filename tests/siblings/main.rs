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
#[path = "../algolia/double/mod.rs"]
#[allow(dead_code, reason = "shared with the tests of the client")]
mod double;
mod ledger;
mod model;
mod outage;
#[path = "../e2e/program.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests")]
mod program;
mod reviews;
#[path = "../e2e/services.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests")]
mod services;
mod siblings;
mod transactions;
mod users;
#[path = "../e2e/world.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests")]
mod world;
