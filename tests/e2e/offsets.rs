//! Offsets that hold no record, and stalls with nothing committed.

use std::collections::BTreeSet;

use pipeline::kafka::read_topic;
use testkit::program::printed;
use testkit::services::eventually;
use testkit::world::World;

use crate::PROGRAM;

/// An event of a transaction; later ones have a higher `n`.
fn event(id: &str, n: usize) -> String {
    format!(
        r#"{{"event_type":"transaction.updated","timestamp":"2026-01-01T00:{:02}:{:02}Z","transaction":{{"id":"{id}","user_id":"u","transaction_type":"card"}}}}"#,
        n / 60,
        n % 60
    )
}

fn send(world: &World, range: std::ops::Range<usize>, id: impl Fn(usize) -> String) {
    let events: Vec<(String, String)> = range.map(|n| (id(n), event(&id(n), n))).collect();
    let records: Vec<(&str, &str)> = events.iter().map(|(key, event)| (key.as_str(), event.as_str())).collect();
    world.send(&world.name, &records);
}

#[test]
fn a_run_to_the_end_of_many_partitions_keeps_polling() {
    let world = World::new(PROGRAM, "many");
    world.create_topic_with(150, &[]);
    // Nothing may hold the poll thread for half a second a partition.
    let properties = "[kafka.properties]\n\"max.poll.interval.ms\" = '6000'\n";
    std::fs::write(world.dir.join("millrace.toml"), properties).unwrap();
    let report = world.publish(&["--count", "3000"]);
    let output = world.output(&["run", "transactions", "--once"]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert_eq!(printed(&output)["records"], report["records"]);
    assert_eq!(world.documents().len(), 3_000);
    assert!(!log.contains("\"lost\":true"), "it left the group: {log}");
}

#[test]
fn a_stall_longer_than_the_session_with_nothing_committed_goes_on() {
    let world = World::new(PROGRAM, "stall");
    world.create_topic(&[]);
    let running = world.start();
    running.await_ready();
    running.signal("STOP");
    // The broker says when the session is over: the group is empty then.
    eventually("an empty group", || {
        let groups = rdkafka::consumer::Consumer::fetch_group_list(
            &world.group("watcher"),
            Some(&world.name),
            std::time::Duration::from_secs(10),
        );
        groups.unwrap().groups().iter().all(|group| group.members().is_empty()).then_some(())
    });
    world.publish(&["--count", "100"]);
    running.signal("CONT");
    world.await_drained();
    running.await_ready();
    assert!(running.terminate().success());
    assert_eq!(world.documents().len(), 100);
}

#[test]
fn what_retention_takes_from_a_sleeping_member_is_counted_though_records_follow() {
    let world = World::new(PROGRAM, "loss");
    world.create_topic_with(1, &[]);
    send(&world, 0..100, |n| format!("t{n}"));
    let running = world.start();
    world.await_drained();
    running.signal("STOP");
    // One record may come with the answer that the member waits for.
    send(&world, 100..101, |n| format!("t{n}"));
    send(&world, 101..200, |n| format!("t{n}"));
    world.delete_records(0, 150);
    running.signal("CONT");
    world.await_drained();
    running.await_reason("deleted by retention");
    let lost = running.metric("millrace_lost_to_retention_total{system=\"transactions\"}").unwrap();
    assert!(running.terminate().success());
    let came = if world.documents().contains_key("t100") { 101 } else { 100 };
    assert_eq!(lost, f64::from(150 - came));
    let expected: BTreeSet<String> = (0..came).chain(150..200).map(|n| format!("t{n}")).collect();
    assert_eq!(world.documents().into_keys().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn what_compaction_takes_is_no_loss() {
    let world = World::new(PROGRAM, "compacted");
    let small = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.001"), ("segment.ms", "100")];
    let soon = [("max.compaction.lag.ms", "100"), ("segment.bytes", "1048576")];
    world.create_topic_with(1, &[&small[..], &soon].concat());
    // Each of ten transactions is updated again and again; the log keeps the last of each.
    send(&world, 0..1_000, |n| format!("t{}", n % 10));
    eventually("holes in the log", || {
        // A segment is closed by the next record.
        send(&world, 1_000..1_001, |_| "next".to_owned());
        let mut offsets = Vec::new();
        read_topic(&world.client(), &world.name, |record| offsets.push(record.offset)).unwrap();
        let holes = offsets.windows(2).any(|pair| pair[1] > pair[0] + 1);
        (holes && offsets.len() < 1_000).then_some(())
    });
    let counts = world.run_once();
    assert_eq!(counts["dead_lettered"], 0, "{counts}");
    assert_eq!(world.documents().len(), 11);
    let output = world.output(&["losses"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
