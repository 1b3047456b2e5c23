//! The whole engine between a feed in memory and a sink that takes everything, for `scripts/instructions`, which counts what
//! happens inside `measure`.
//!
//! `instructions_engine pipeline RECORDS`; the same records every time, on one thread.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a measuring program")]

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use millrace::stores::elasticsearch::document::Document;
use millrace::synthetic::GeneratorOptions as Synthetic;
use millrace::systems::transactions::Transactions;
use pipeline::dead_letters::{DeadLetter, DeadLetters};
use pipeline::engine::batcher::{BatchLimits, Batcher};
use pipeline::sink::{Failure, Order, SinkLimits, Verdict};
use pipeline::{Engine, EngineOptions, EngineParts, Record, RetryPolicy, Sink, Status, TopicPartition, bind, feed};

/// What is counted: the name is looked for by the script.
#[inline(never)]
fn measure<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

struct Nothing;

#[async_trait]
impl Sink<Document> for Nothing {
    fn name(&self) -> &'static str {
        "nothing"
    }

    fn limits(&self) -> SinkLimits {
        SinkLimits { items: 5_000, bytes: 8 << 20, ordered: false, one_write_a_document: false }
    }

    async fn write(&self, writes: &[&Document]) -> Result<Vec<Verdict>, Failure> {
        Ok(writes.iter().map(|_| Verdict::Applied).collect())
    }

    async fn probe(&self) -> Result<(), Failure> {
        Ok(())
    }
}

#[async_trait]
impl DeadLetters for Nothing {
    async fn send(&self, letters: &[DeadLetter<'_>]) -> Vec<Result<(), Failure>> {
        letters.iter().map(|_| Ok(())).collect()
    }
}

fn records(count: u64) -> Vec<Record> {
    let until: DateTime<Utc> = "2026-06-01T00:00:00Z".parse().unwrap();
    let mut options = Synthetic::new(1, until);
    (options.count, options.users) = (count, Some(40));
    let payloads = options.events().unwrap().filter_map(|event| event.payload).take(count as usize);
    let record = |(place, payload): (usize, String)| Record {
        at: TopicPartition::new("transactions", (place % 6) as i32),
        offset: (place / 6) as i64,
        timestamp_ms: None,
        key: None,
        payload: Some(Bytes::from(payload)),
        headers: Vec::new(),
    };
    payloads.enumerate().map(record).collect()
}

async fn run(records: Vec<Record>) -> u64 {
    let (intake, feed) = feed::channel(Duration::from_secs(86_400));
    let parts = EngineParts {
        binding: bind(Transactions::new(Order::Log), Arc::new(Nothing)),
        dead_letters: Arc::new(Nothing),
        marks: None,
        status: Arc::new(Status::of("transactions")),
    };
    let options = EngineOptions {
        group: "instructions".to_owned(),
        max_in_flight: NonZeroUsize::new(4).unwrap(),
        max_bytes: 64 << 20,
        retry: RetryPolicy { attempts: 3, delay: Duration::from_millis(1), max_delay: Duration::from_secs(1) },
        dedupe_window: NonZeroUsize::new(500_000).unwrap(),
        seed: 1,
        delivery: None,
    };
    let source = async move {
        let limits = BatchLimits { records: 500, bytes: 8 << 20, age: Duration::from_secs(86_400) };
        let (mut batcher, now) = (Batcher::new(limits), Instant::now());
        let epochs: Vec<_> = (0..6).map(|n| intake.leases.grant(&TopicPartition::new("transactions", n))).collect();
        for record in records {
            let epoch = epochs[record.at.partition as usize];
            if let Some(batch) = batcher.push(record, epoch, now) {
                intake.leases.note_poll();
                intake.batches.send(batch).await.unwrap();
            }
        }
        if let Some(batch) = batcher.cut() {
            intake.batches.send(batch).await.unwrap();
        }
    };
    let (tally, ()) = tokio::join!(Engine::new(parts, feed, options).run(), source);
    tally.unwrap().applied
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let records = records(args[2].parse().unwrap());
    let count = records.len() as u64;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(measure(|| runtime.block_on(run(records))), count, "every record is applied");
}
