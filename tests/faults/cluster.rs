//! Whether the suite runs on clusters, and what can be asked of them and done to them.

use std::process::Command;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use testkit::services::{eventually, variable};
use testkit::world::World;

/// The brokers of the cluster; the first has the id 1.
pub const BROKERS: &[&str] = &["kafka_broker1", "kafka_broker2", "kafka_broker3"];
/// The search nodes of the cluster.
pub const NODES: &[&str] = &["elasticsearch_node1", "elasticsearch_node2", "elasticsearch_node3"];
const WAIT: Duration = Duration::from_secs(20);
/// Where the group coordinators keep what they know.
const OFFSETS: &str = "__consumer_offsets";

/// Whether Kafka is three brokers and Elasticsearch three nodes.
pub fn is_on() -> bool {
    variable("KAFKA_BOOTSTRAP_SERVERS").contains(',')
}

/// The services that are Kafka.
pub fn brokers() -> &'static [&'static str] {
    if is_on() { BROKERS } else { &["kafka"] }
}

/// The services that are Elasticsearch.
pub fn nodes() -> &'static [&'static str] {
    if is_on() { NODES } else { &["elasticsearch"] }
}

/// The broker with this id, where there is one.
fn broker(id: i32) -> Option<&'static str> {
    usize::try_from(id - 1).ok().and_then(|place| BROKERS.get(place).copied())
}

/// The broker that coordinates a group: the one that leads the group's partition of the offsets.
pub fn coordinator(world: &World, group: &str) -> Option<&'static str> {
    let metadata = world.group(group).fetch_metadata(Some(OFFSETS), WAIT).ok()?;
    let partitions = metadata.topics().first()?.partitions();
    let hash = group.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    let place = (hash & i32::MAX) % i32::try_from(partitions.len()).ok().filter(|count| *count > 0)?;
    broker(partitions.iter().find(|partition| partition.id() == place)?.leader())
}

/// How many partitions of a topic each broker leads.
pub fn led_by(world: &World, topic: &str, name: &str) -> usize {
    let metadata = world.group(topic).fetch_metadata(Some(topic), WAIT).unwrap();
    let partitions = metadata.topics()[0].partitions();
    partitions.iter().filter(|partition| broker(partition.leader()) == Some(name)).count()
}

/// Waits until every copy of every partition is as far as its leader.
pub fn await_in_sync(world: &World) {
    eventually("copies in sync", || {
        let metadata = world.group(&world.name).fetch_metadata(None, WAIT).ok()?;
        let mut partitions = metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions);
        partitions.all(|one| one.leader() > 0 && one.isr().len() == one.replicas().len()).then_some(())
    });
}

/// Starts HAProxy before these addresses, and gives its own.
pub fn balance(backends: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/services");
    let done = Command::new(script).args(["up", "haproxy"]).env("HAPROXY_BACKENDS", backends).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    variable("HAPROXY_URL")
}
