//! What the test programs of the workspace share: a world of its own for each test, the program as a child process, the
//! services, a stand-in for Algolia, and models of what the stores must hold.
//!
//! It owns nothing between tests but the lock on the services. Whoever makes a world hands in the path of the program, which
//! only the tests of the root package know.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    reason = "in a test a panic is the answer"
)]

pub mod bucket;
pub mod choices;
pub mod contents;
pub mod database;
pub mod double;
pub mod hold;
pub mod made_topics;
pub mod model;
pub mod null_server;
pub mod program;
pub mod services;
pub mod siblings;
pub mod world;
