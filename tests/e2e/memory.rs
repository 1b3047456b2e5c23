//! Peak memory: a backlog many times `MEMORY_BUDGET` is read within a bound that does not depend on it.
//!
//! `E2E_MEMORY_RECORDS=10000000` makes it the full trial.

use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use testkit::null_server::NullServer;
use testkit::services::eventually;
use testkit::world::World;

use crate::PROGRAM;

const MIB: u64 = 1 << 20;
const BUDGET: u64 = 64 * MIB;
/// What the budget does not count: the program itself, the dedupe window (32 MB of marks), the clients' own structures, a
/// compressed answer that grows more than eightfold, and what allocators keep. Before answers were bounded as compressed it
/// came to more.
const FLAT: u64 = 256 * MIB;

fn payload(id: u64) -> String {
    let note = "paid in the afternoon at the counter, ".repeat(40);
    format!(
        r#"{{"event_type":"transaction.created","timestamp":"2026-01-01T12:00:00Z","transaction":{{"id":"tx-{id}","user_id":"u{}","transaction_type":"card","amount":12.50,"currency":"EUR","note":"{note}","metadata":{{"merchant_name":"Cafe"}}}}}}"#,
        id % 1_000
    )
}

#[test]
fn a_backlog_does_not_grow_the_memory() {
    let store = NullServer::start();
    let mut world = World::new(PROGRAM, "memory");
    world.set("ELASTICSEARCH_URL", &store.url);
    world.set("MEMORY_BUDGET", &BUDGET.to_string());
    world.set("CONSUMER_BATCH_SIZE", "1000");
    world.create_topic(&[("retention.ms", "-1")]);
    let records: u64 = std::env::var("E2E_MEMORY_RECORDS").map_or(150_000, |text| text.parse().unwrap());
    let mut client = world.client();
    client.set("compression.codec", "lz4").set("linger.ms", "50").set("queue.buffering.max.kbytes", "65536");
    let producer: BaseProducer = client.create().unwrap();
    for id in 0..records {
        let payload = payload(id);
        let mut record: BaseRecord<'_, str, str> = BaseRecord::to(&world.name).payload(&payload);
        record.partition = Some((id % 6) as i32);
        while let Err((_, again)) = producer.send(record) {
            producer.poll(Duration::from_millis(50));
            record = again;
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();

    let program = world.start();
    let deadline = Instant::now() + Duration::from_secs(60 + records / 1_000);
    let applied = r#"millrace_records_total{system="transactions",outcome="applied"}"#;
    while program.metric(applied).unwrap_or(0.0) < records as f64 {
        assert!(Instant::now() < deadline, "{:?} of {records} records", program.metric(applied));
        std::thread::sleep(Duration::from_millis(200));
    }
    // The kernel keeps the highest that there ever was, so nothing is missed between two looks.
    let peak = eventually("the peak", || program.peak_memory());
    println!("VmHWM {} MiB with a budget of {} MiB and {records} records", peak / MIB, BUDGET / MIB);
    assert!(peak < FLAT + BUDGET, "{} MiB at the most, with a budget of {} MiB", peak / MIB, BUDGET / MIB);
    assert!(program.terminate().success());
}
