//! What `/readyz` says of the group, of rights that are taken away, and of a projection that fails.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use testkit::database::Audited;
use testkit::program::Running;
use testkit::services::{eventually, variable};
use testkit::world::World;

use crate::PROGRAM;

fn assigned(running: &Running) -> usize {
    running.events("Partitions assigned").len()
}

#[test]
fn a_spare_member_is_ready_and_a_hung_rebalance_is_not() {
    let world = World::new(PROGRAM, "hung");
    world.create_topic_with(1, &[]);
    let first = world.start();
    first.await_ready();
    let spare = world.start();
    spare.await_ready();
    // A member that joins and polls no more. The threads of its client keep it in the group, and no rebalance ends.
    let mut config = world.client();
    config.set("group.id", &world.name).set("session.timeout.ms", "6000").set("max.poll.interval.ms", "300000");
    let hung: BaseConsumer = config.create().unwrap();
    hung.subscribe(&[&world.name]).unwrap();
    let before = assigned(&first);
    eventually("the third member", || {
        hung.poll(Duration::from_millis(50));
        (assigned(&first) > before).then_some(())
    });
    let late = world.start();
    world.publish(&["--count", "50"]);
    for member in [&first, &spare, &late] {
        member.await_reason("is being rebalanced for longer than 6 s");
    }
    drop(hung);
    for member in [&first, &spare, &late] {
        member.await_ready();
    }
    world.await_drained();
}

/// Runs the tool for access rights.
fn rights(args: &[&str]) {
    let tool = variable("SECURED_KAFKA_ACLS");
    let mut words = tool.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A right to read is taken away from a program at work and given back. `resource` is an option of the tool.
fn assert_red_until_granted(name: &str, resource: &str, why: &str, later: impl Fn(&Running)) {
    let mut world = World::secured(PROGRAM, name);
    world.set("KAFKA_USERNAME", &variable("SECURED_KAFKA_GUEST"));
    world.create_topic(&[]);
    world.publish(&["--count", "50"]);
    let running = world.start();
    running.await_ready();
    world.await_drained();
    rights(&["--add", "--allow-principal", "User:guest", "--operation", "All", resource, &world.name]);
    let deny = ["--deny-principal", "User:guest", "--operation", "Read", resource, &world.name];
    rights(&[&["--add"], &deny[..]].concat());
    let others: Vec<String> = (0..60).map(|user| user.to_string()).collect();
    let bad: Vec<(&str, &str)> = others.iter().map(|user| (user.as_str(), "{}")).collect();
    world.send(&world.name, &bad);
    running.await_reason(why);
    // Brokers that answer grant nothing: seconds later the reason stands.
    later(&running);
    let (_, said) = running.ready();
    assert!(said.contains(why), "{said}");
    let cleared = running.events("Ready again").into_iter().filter(|event| event["source"] == "authorization").count();
    assert_eq!(cleared, 0, "the reason was taken back, though the right was not given");
    rights(&[&["--remove", "--force"], &deny[..]].concat());
    running.await_ready();
    world.await_drained();
    // What came meanwhile was read, and is no event. What could not be committed is read again.
    let letters: BTreeSet<_> = world.letters().into_iter().map(|letter| letter.key).collect();
    assert_eq!(letters.len(), 60);
}

/// Records that the group is behind, as the program tells.
fn told_lag(running: &Running) -> f64 {
    let (_, metrics) = running.http("/metrics");
    let lines = metrics.lines().filter(|line| line.starts_with("millrace_consumer_lag_records{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn a_topic_that_may_not_be_read_is_red_until_it_may() {
    assert_red_until_granted("rights-topic", "--topic", "it needs READ", |running| {
        eventually("a lag that rises", || (told_lag(running) > 0.0).then_some(()));
    });
}

#[test]
fn a_group_that_may_not_be_joined_is_red_until_it_may() {
    assert_red_until_granted("rights-group", "--group", "do not let this user be in the group", |running| {
        eventually("a lost assignment", || {
            running.events("Partitions revoked").into_iter().find(|event| event["lost"] == true)
        });
    });
}

#[test]
fn a_projection_that_fails_for_good_is_shown_and_started_again() {
    let audited = Audited::new(World::new(PROGRAM, "again"));
    let world = &audited.world;
    world.create_topic(&[]);
    // Of two members with one name the broker takes the later; for the earlier that is an error for good.
    std::fs::write(world.dir.join("millrace.toml"), "[kafka.properties]\n\"group.instance.id\" = 'one'\n").unwrap();
    world.publish(&["--count", "100"]);
    let running = world.start();
    running.await_ready();
    let other = Running::start(world.command(&["run", "transactions-audit"]));
    let failures = "millrace_projection_failures_total{system=\"transactions-audit\"}";
    eventually("a failure", || running.metric(failures).filter(|count| *count > 0.0));
    let (status, said) = running.ready();
    assert!(status == 200 && said.contains("started again in"), "{status} {said}");
    other.kill();
    running.await_events("Projection started again", 1);
    world.publish(&["--count", "100"]);
    world.await_drained();
    world.await_drained_by(&format!("{}.audit", world.name));
    eventually("a projection that is well", || (!running.ready().1.contains("projections")).then_some(()));
    assert!(running.terminate().success());
}
