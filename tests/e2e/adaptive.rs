//! Deliveries that are tuned to the store, and a rate that a person set, as metrics and `/health` show them.

use serde_json::Value;
use testkit::program::Running;
use testkit::services::eventually;
use testkit::world::{World, options_of, scaled};

use crate::PROGRAM;

/// What `/health` says of a part of the system.
fn shown(running: &Running, part: &str) -> Value {
    let (_, body) = running.http("/health");
    serde_json::from_str::<Value>(&body).unwrap()["details"]["transactions"][part].clone()
}

#[test]
fn a_store_is_tuned_to_and_a_rate_holds_back_without_losing_a_record() {
    let mut world = World::new(PROGRAM, "adaptive");
    // So slow to begin with that the topic lasts for longer than the first changes take.
    world.set("CONSUMER_BATCH_SIZE", "1");
    world.set("CONSUMER_BATCH_TIMEOUT", "0.5");
    world.set("CONSUMER_MAX_IN_FLIGHT", "1");
    let count = scaled(20_000).to_string();
    let report = world.publish(&["--count", &count, "--update-ratio", "0.2", "--users", "500"]);
    let expected = options_of(&report, |options| (options.update_ratio, options.users) = (0.2, Some(500)));

    // A rate at which the topic would take over an hour.
    world.set("CONSUMER_MAX_RATE", "5");
    let running = world.start();
    let held = r#"millrace_held_back_milliseconds_total{system="transactions"}"#;
    eventually("time that was held back", || running.metric(held).filter(|millis| *millis > 2_000.0));
    let rate = shown(&running, "rate");
    assert_eq!((&rate["records_per_second"], &rate["bytes_per_second"]), (&5.into(), &Value::Null));
    assert!(rate["held_back_seconds"].as_f64().unwrap() > 2.0, "{rate}");
    assert_eq!(shown(&running, "delivery"), Value::Null, "it is off by default");
    running.await_ready();
    assert!(running.terminate().success());
    assert!(world.lag() > 0);

    world.set("CONSUMER_ADAPTIVE", "true");
    world.set("CONSUMER_MAX_RATE", "1GiB");
    let running = world.start();
    let delivery = eventually("a change of the delivery", || {
        Some(shown(&running, "delivery")).filter(|delivery| delivery["changes"].as_u64() > Some(2))
    });
    assert!(delivery["reason"] != "start" && delivery["batch_size"].as_u64() > Some(1), "{delivery}");
    assert!(delivery["in_flight_bytes"].as_u64() > Some(1 << 20), "the store tells its limit: {delivery}");
    let probes = r#"millrace_adaptive_changes_total{system="transactions",reason="probe"}"#;
    assert!(running.metric(probes) >= Some(1.0));
    for gauge in ["batch_size", "in_flight", "in_flight_bytes"] {
        let line = format!(r#"millrace_adaptive_{gauge}{{system="transactions"}}"#);
        assert!(running.metric(&line) >= Some(1.0), "{line}");
    }
    assert_eq!(shown(&running, "rate")["bytes_per_second"], 1 << 30);
    world.await_drained();
    assert!(running.terminate().success());
    world.assert_complete(&expected.expect_documents().unwrap());
}
