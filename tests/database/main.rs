//! The database consumer on real Kafka, MariaDB and PostgreSQL.
//!
//! `scripts/test e2e` starts the services and runs this, once. `E2E_SCALE` multiplies the numbers of operations.

#![allow(unreachable_pub, reason = "the modules of one test program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    reason = "in a test a panic is the answer"
)]

mod bad_input;
mod buffer;
mod cache;
mod compared;
mod disk;
mod explained;
mod flow;
mod lines;
mod looked_at;
mod measured;
mod model;
mod outage;
mod parked;
mod planted;
mod provoked;
mod rate;
mod repairs;
mod repeatable;
mod replayed;
mod results;
mod rewriter;
mod sessions;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_millrace");

/// A test on each database.
macro_rules! on_each {
    ($($test:ident),+ $(,)?) => {
        mod mariadb {
            $(#[test] fn $test() { super::$test(crate::buffer::Engine::MariaDb); })+
        }
        mod postgres {
            $(#[test] fn $test() { super::$test(crate::buffer::Engine::Postgres); })+
        }
    };
}
pub(crate) use on_each;
