//! One stage of the work on a number of records, for `scripts/instructions`, which counts what happens inside `measure`.
//!
//! `instructions STAGE RECORDS`; the same records every time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a measuring program")]

use std::hint::black_box;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use millrace::synthetic::GeneratorOptions;
use millrace::systems::transactions::Transactions;
use pipeline::dedupe::Mark;
use pipeline::sink::Order;
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System, TopicPartition};

/// What is counted: the name is looked for by the script.
#[inline(never)]
fn measure<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

fn records(count: u64) -> Vec<Record> {
    let until: DateTime<Utc> = "2026-06-01T00:00:00Z".parse().unwrap();
    let mut options = GeneratorOptions::new(1, until);
    (options.count, options.users) = (count, Some(40));
    let payloads = options.events().unwrap().filter_map(|event| event.payload).take(count as usize);
    let record = |(offset, payload): (usize, String)| Record {
        at: TopicPartition::new("transactions", 0),
        offset: offset as i64,
        timestamp_ms: None,
        key: None,
        payload: Some(Bytes::from(payload)),
        headers: Vec::new(),
    };
    payloads.enumerate().map(record).collect()
}

fn decode<'r>(system: &Transactions, records: &'r [Record]) -> Vec<(Identity<'r>, enrichers::TransactionEvent<'r>)> {
    let event = |record| match system.decode(record) {
        Decoded::Event(identity, event) => (identity, event),
        other => panic!("{other:?}"),
    };
    records.iter().map(event).collect()
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let records = records(args[2].parse().unwrap());
    let system = Transactions::new(Order::Log);
    match args[1].as_str() {
        "decode" => {
            measure(|| decode(&system, &records));
        }
        "dedupe" => {
            let events = decode(&system, &records);
            let mark = |(event, record): (&(Identity<'_>, _), &Record)| {
                let payload = || record.payload.as_deref().unwrap_or_default();
                event.0.message.as_ref().map(|message| Mark::of(message, payload()))
            };
            measure(|| events.iter().zip(&records).map(mark).collect::<Vec<_>>());
        }
        // Search content and what else is found out of an event, without the lines of a request.
        "enrich" => {
            let events = decode(&system, &records);
            measure(|| {
                let mut out = Vec::with_capacity(records.len() * 1_000);
                events.iter().for_each(|(_, event)| {
                    enrichers::write_document(event, "2026-06-01T00:00:00.000Z", &mut out);
                });
                out
            });
        }
        // The documents with their bulk lines, as the engine asks for them: a batch of 500 at a time.
        "serialise" => {
            let events = decode(&system, &records);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            measure(|| {
                for batch in events.chunks(500) {
                    let batch = batch.iter().map(|(identity, event)| (identity, event)).collect();
                    black_box(runtime.block_on(system.enrich(batch)));
                }
            });
        }
        other => panic!("there is no stage {other}"),
    }
}
