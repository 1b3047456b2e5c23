//! Events a second, run by hand, alone on a machine that is idle otherwise:
//!
//! `MILLRACE_BIN=target/release/millrace cargo test --test siblings -- --ignored --nocapture --test-threads 1 reactions::rate`
//!
//! `RATE_EVENTS` (200,000) of all 18 topics are published, in the mix of `millrace publish --system reactions`, and read to the end.
//! What a group ignores is not counted. The relay publishes as many events that stand in the outbox already. Then payments come
//! at half of that group's rate for ten seconds, and the age of what they lead to is told, from the begin of the transaction to
//! when its publication is noted.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::program::{measured, printed};
use testkit::services::eventually;

use super::stage::Stage;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect(name))
}

fn stage(name: &str) -> Stage {
    let mut stage = Stage::of_program(measured(crate::PROGRAM), name);
    for (name, value) in [("CONSUMER_BATCH_SIZE", "2000"), ("CONSUMER_BATCH_TIMEOUT", "0.5"), ("LOG_LEVEL", "warn")] {
        stage.world.set(name, value);
    }
    stage
}

#[test]
#[ignore = "takes minutes, and wants the machine to itself"]
fn groups_and_relay() {
    let (stage, events) = (stage("reactions-rate"), number("RATE_EVENTS", 200_000));
    let creates = events / 5 * 2;
    let publish = format!("publish --system reactions --count {creates} --update-ratio 1.4 --delete-ratio 0.1");
    let published = stage.world.output(&publish.split(' ').collect::<Vec<_>>());
    println!("published: {}", printed(&published)["records"]);
    let summaries = stage.run_once();
    let ignored: u64 = summaries.values().map(|summary| summary["ignored"].as_u64().unwrap()).sum();
    let (mut applied, mut seconds) = (0, 0.0_f64);
    for (consumer, summary) in &summaries {
        let (records, busy) = (summary["applied"].as_u64().unwrap(), summary["busy"]["seconds"].as_f64().unwrap());
        println!("{consumer}: {records} events applied, {:.0} a second beside the others", records as f64 / busy);
        applied += records;
        // With the start of the program, and the end of the last group.
        seconds = seconds.max(summary["seconds"].as_f64().unwrap());
    }
    println!(
        "all four: {applied} applied ({ignored} ignored) in {seconds:.1} s, {:.0} a second",
        applied as f64 / seconds
    );
    // What the last batch led to may be left: a run to the end waits for it a moment only.
    let running = stage.start();
    eventually("an empty outbox", || stage.ask(OPEN).is_empty().then_some(()));

    stage.tell(&format!(
        "INSERT INTO SCHEMA.outbox (id, aggregatetype, aggregateid, type, payload)
         SELECT 'r' || n, 'subscription', n % 10000, 'subscription.updated',
            '{{\"id\": \"r' || n || '\", \"version\": \"2.0\", \"type\": \"subscription.updated\", \"timestamp\": 1772323200000, \"data\": {{\"subscriptionId\": \"' || n % 10000 || '\", \"status\": \"active\"}}}}'
         FROM generate_series(1, {events}) n"
    ));
    eventually("the first", || {
        (!stage.ask("SELECT id FROM SCHEMA.outbox WHERE published_at IS NOT NULL AND id LIKE 'r%' LIMIT 1").is_empty())
            .then_some(())
    });
    eventually("the last", || stage.ask(OPEN).is_empty().then_some(()));
    let relayed = stage.ask("SELECT (count(*) / extract(epoch FROM max(published_at) - min(published_at)))::bigint::text FROM SCHEMA.outbox WHERE id LIKE 'r%'");
    println!("relay: {} a second", relayed.concat());

    let rate = number("RATE_PAYMENTS", 3_000);
    let begun = Instant::now();
    for turn in 0..100_u64 {
        let payments: Vec<events::Event> = (0..rate / 10).map(|place| payment(turn * rate + place)).collect();
        stage.send(&payments);
        eventually("the next tenth of a second", || {
            (begun.elapsed() > Duration::from_millis(100 * (turn + 1))).then_some(())
        });
    }
    eventually("the last", || stage.ask(OPEN).is_empty().then_some(()));
    let ages = stage.ask(
        "SELECT count(*) || ' events, p50 ' || percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)::int || ' ms, p99 ' || percentile_cont(0.99) WITHIN GROUP (ORDER BY ms)::int || ' ms, longest ' || max(ms)::int || ' ms'
         FROM (SELECT extract(epoch FROM published_at - created) * 1000 AS ms FROM SCHEMA.outbox WHERE source_id LIKE 'pay%') ages",
    );
    println!("at {rate} payments a second: {}", ages.concat());
    assert!(running.terminate().success());
}

/// By the index of what is open: to look for it row by row would take the machine from the relay.
const OPEN: &str =
    "SELECT id FROM SCHEMA.outbox WHERE published_at IS NULL AND parked_at IS NULL ORDER BY order_number LIMIT 1";

fn payment(number: u64) -> events::Event {
    let id = format!("pay{number}");
    let data = json!({"paymentId": id, "type": "subscription", "amount": "5", "currency": "EUR", "subscriptionId": id});
    super::files::event("payment.completed", &id, 1, &data)
}
