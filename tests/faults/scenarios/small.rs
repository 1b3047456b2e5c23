//! A small node, soon asked too much.

use std::thread::sleep;
use std::time::Duration;

use pipeline::mutants::Mutant;
use serde_json::json;
use testkit::services::{eventually, variable};

use super::time;
use crate::account::event;
use crate::arena::Arena;
use crate::judge::{Judged, Report, happened, judge};

/// A trial in front of the small node, where documents are large.
fn small(name: &str, mutant: Option<Mutant>) -> Arena {
    let mut arena = Arena::before(name, mutant, &variable("ELASTICSEARCH_SMALL_URL"));
    arena.without_audit();
    arena.set("MAX_RETRY_ATTEMPTS", "0");
    arena
}

fn large(id: usize, bytes: usize) -> crate::account::Message {
    event(&format!("large-{id}"), "created", time(), "completed", |transaction| {
        transaction["note"] = json!("x".repeat(bytes));
    })
}

pub fn busy(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = small("busy", mutant);
    // Each write alone in its request, so that each could be blamed.
    arena.set("CONSUMER_BATCH_SIZE", "1");
    arena.set("CONSUMER_MAX_IN_FLIGHT", "8");
    arena.start();
    arena.members[0].await_ready();
    let messages: Vec<_> = (0..3_000).map(|id| large(id, 5_000)).collect();
    arena.send(&messages);
    // Others ask for more than the node has, until the program was told to wait again and again.
    let noise = Noise::start(&arena);
    let kind = if mutant.is_some() { "broken" } else { "unavailable" };
    let failures = format!(r#"millrace_write_failures_total{{sink="elasticsearch",kind="{kind}"}}"#);
    eventually("429", || (arena.members[0].metric(&failures) >= Some(40.0)).then_some(()));
    sleep(Duration::from_secs(10));
    arena.note("noisy neighbours");
    happened("the node answered 429", noise.stop() > 0)?;
    judge(&mut arena)
}

pub fn too_large(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = small("too-large", mutant);
    arena.set("CONSUMER_BATCH_SIZE", "60");
    let messages: Vec<_> = (0..120).map(|id| large(id, 100_000)).collect();
    arena.send(&messages);
    arena.start();
    crate::judge::drained(&arena)?;
    let said = arena.members[0].metric(r#"millrace_write_failures_total{sink="elasticsearch",kind="turned_away"}"#);
    happened("the node answered 413", said.is_some_and(|count| count > 0.0))?;
    arena.note("requests too large");
    judge(&mut arena)
}

/// Writers that fill the small node's queue.
struct Noise {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    threads: Vec<std::thread::JoinHandle<u64>>,
}

impl Noise {
    fn start(arena: &Arena) -> Self {
        let stop = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
        let url = variable("ELASTICSEARCH_SMALL_URL");
        let path = format!("/noise-{}/_bulk", arena.world().name);
        let body = format!("{{\"index\":{{}}}}\n{{\"text\":\"{}\"}}\n", "x".repeat(2_000)).repeat(150);
        let threads = (0..8).map(|_| {
            let (stop, url, body) = (stop.clone(), format!("{}{path}", url.trim_end_matches('/')), body.clone());
            std::thread::spawn(move || {
                let client = reqwest::blocking::Client::new();
                let mut refused = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let request = client.post(&url).header("content-type", "application/x-ndjson").body(body.clone());
                    let text = request.send().and_then(reqwest::blocking::Response::text).unwrap_or_default();
                    refused += u64::from(text.contains("rejected_execution"));
                }
                refused
            })
        });
        Self { threads: threads.collect(), stop }
    }

    /// Ends them, and says how many of their requests were refused.
    fn stop(self) -> u64 {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    }
}
