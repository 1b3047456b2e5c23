//! How long the stages of the work on a record take on this machine: `cargo bench --bench stages`.
//!
//! `scripts/instructions` counts the same stages without a clock and compares two commits. `millrace bench` measures the
//! whole.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measuring program")]

use bytes::Bytes;
use chrono::{DateTime, Utc};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use enrichers::TransactionEvent;
use millrace::synthetic::GeneratorOptions;
use millrace::systems::transactions::Transactions;
use pipeline::dedupe::Mark;
use pipeline::sink::Order;
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System, TopicPartition};

/// Records of a pass: a batch, as the shipped configuration has it.
const RECORDS: u64 = 1_000;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

fn records() -> Vec<Record> {
    let until: DateTime<Utc> = "2026-06-01T00:00:00Z".parse().unwrap();
    let mut options = GeneratorOptions::new(1, until);
    (options.count, options.users) = (RECORDS, Some(40));
    let payloads = options.events().unwrap().filter_map(|event| event.payload).take(RECORDS as usize);
    let record = |(offset, payload)| Record {
        at: TopicPartition::new("transactions", 0),
        offset,
        timestamp_ms: None,
        key: None,
        payload: Some(Bytes::from(payload)),
        headers: Vec::new(),
    };
    (0..).zip(payloads).map(record).collect()
}

fn events<'r>(system: &Transactions, records: &'r [Record]) -> Vec<(Identity<'r>, TransactionEvent<'r>)> {
    let event = |record| match system.decode(record) {
        Decoded::Event(identity, event) => (identity, event),
        other => panic!("{other:?}"),
    };
    records.iter().map(event).collect()
}

fn count(records: &[Record]) -> (ItemsCount, BytesCount) {
    let bytes: usize = records.iter().filter_map(|record| record.payload.as_ref()).map(Bytes::len).sum();
    (ItemsCount::new(records.len()), BytesCount::new(bytes))
}

/// From a payload to an event and its ids.
#[divan::bench]
fn decode(bencher: Bencher) {
    let (system, records) = (Transactions::new(Order::Log), records());
    let (items, bytes) = count(&records);
    bencher.counter(items).counter(bytes).bench(|| events(&system, &records));
}

/// The mark by which a copy is known.
#[divan::bench]
fn dedupe(bencher: Bencher) {
    let (system, records) = (Transactions::new(Order::Log), records());
    let (items, bytes) = count(&records);
    let events = events(&system, &records);
    let mark = |((identity, _), record): (&(Identity<'_>, _), &Record)| {
        let payload = record.payload.as_deref().unwrap_or_default();
        identity.message.as_ref().map(|message| Mark::of(message, payload))
    };
    bencher.counter(items).counter(bytes).bench(|| events.iter().zip(&records).map(mark).collect::<Vec<_>>());
}

/// From an event to its document, without the lines of a request.
#[divan::bench]
fn enrich(bencher: Bencher) {
    let (system, records) = (Transactions::new(Order::Log), records());
    let (items, bytes) = count(&records);
    let events = events(&system, &records);
    bencher.counter(items).counter(bytes).bench(|| {
        let mut out = Vec::with_capacity(records.len() * 1_000);
        for (_, event) in &events {
            enrichers::write_document(event, "2026-06-01T00:00:00.000Z", &mut out);
        }
        out
    });
}

/// The documents of a batch with their bulk lines, as the engine asks for them.
#[divan::bench]
fn serialise(bencher: Bencher) {
    let (system, records) = (Transactions::new(Order::Log), records());
    let (items, bytes) = count(&records);
    let events = events(&system, &records);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    bencher.counter(items).counter(bytes).bench(|| {
        let batch = events.iter().map(|(identity, event)| (identity, event)).collect();
        runtime.block_on(system.enrich(batch))
    });
}
