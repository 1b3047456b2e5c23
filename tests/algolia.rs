//! Algolia's stand-in against the API's specification and against the official JavaScript client, and our client against it.

#![allow(unreachable_pub, reason = "the modules of one test program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the answer"
)]

#[path = "algolia/client.rs"]
mod client;
#[path = "algolia/failures.rs"]
mod failures;
#[path = "algolia/javascript.rs"]
mod javascript;
#[path = "algolia/shapes.rs"]
mod shapes;

use testkit::double;

/// For use by hand: `cargo test -p millrace --test algolia serve -- --ignored --nocapture`, until it is interrupted.
/// `ALGOLIA_DOUBLE_PORT` names another port than 7700.
#[test]
#[ignore = "serves until it is interrupted"]
fn serve() {
    let port = std::env::var("ALGOLIA_DOUBLE_PORT").map_or(7700, |port| port.parse().unwrap());
    let double = double::FakeAlgolia::with(double::FakeOptions { port, ..double::FakeOptions::default() });
    for (name, value) in double.variables() {
        println!("{name}={value}");
    }
    loop {
        std::thread::park();
    }
}
