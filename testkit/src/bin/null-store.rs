//! A search engine that stores nothing, for use by hand: `cargo run --release -p testkit --bin null-store [PORT]`, until it is
//! interrupted. It prints the line that leads the program to it.

#![allow(clippy::expect_used, reason = "a tool of the tests")]

use testkit::null_server::NullServer;

fn main() {
    let port = std::env::args().nth(1).map_or(0, |port| port.parse().expect("PORT is a number"));
    let store = NullServer::on(port);
    println!("ELASTICSEARCH_URL={}", store.url);
    loop {
        std::thread::park();
    }
}
