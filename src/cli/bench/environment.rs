//! Where it was measured. Figures of different environments are not compared.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::own_place::OwnPlace;
use crate::config::Config;
use crate::run::consumer::redis;
use crate::stores::elasticsearch::{ElasticsearchClient, inspect};
use crate::systems::transactions;

/// The machine, the services and the settings that a figure depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Environment {
    pub cpu: String,
    pub cores: usize,
    /// Of the frequency; empty where the system does not tell.
    pub governor: String,
    pub memory_kilobytes: u64,
    /// The limits of the control group on processors and memory, as the system words them; empty: none.
    pub limits: String,
    pub kernel: String,
    /// The disks, and whether they turn: `vda ssd, sdb disk`.
    pub disks: String,
    pub millrace: String,
    /// Of the sources, where the build was told in `MILLRACE_REVISION`.
    pub revision: String,
    /// `release` or `debug`.
    pub build: String,
    pub librdkafka: String,
    pub elasticsearch: String,
    /// Of the store that is written to, which is Elasticsearch or another.
    pub store_version: String,
    /// What the first index is made of: the first half of the SHA-256 of the index template.
    pub mapping: String,
    /// Empty: dedupe remembers in memory alone.
    pub redis: String,
    pub batch_size: usize,
    pub batch_seconds: String,
    pub batch_bytes: usize,
    pub max_in_flight: usize,
    pub memory_budget: usize,
}

/// Looks around.
pub(super) async fn look(config: &Config, place: OwnPlace) -> Environment {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let (cpuinfo, meminfo) = (file("/proc/cpuinfo"), file("/proc/meminfo"));
    let limit = |name: &str| Some(file(name)).filter(|text| !text.is_empty() && !text.starts_with("max"));
    let limits = [("cpu", limit("/sys/fs/cgroup/cpu.max")), ("memory", limit("/sys/fs/cgroup/memory.max"))];
    let limits: Vec<String> =
        limits.into_iter().filter_map(|(name, limit)| Some(format!("{name} {}", limit?))).collect();
    let elasticsearch = if place == OwnPlace::Index { elasticsearch(config).await } else { String::new() };
    let store_version = if place == OwnPlace::Index { elasticsearch.clone() } else { place.version(config).await };
    Environment {
        cpu: field(&cpuinfo, "model name").to_owned(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        governor: file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        memory_kilobytes: field(&meminfo, "MemTotal").trim_end_matches("kB").trim().parse().unwrap_or(0),
        limits: limits.join(", "),
        kernel: file("/proc/sys/kernel/osrelease"),
        disks: disks(Path::new("/sys/block")),
        millrace: env!("CARGO_PKG_VERSION").to_owned(),
        revision: option_env!("MILLRACE_REVISION").unwrap_or_default().to_owned(),
        build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        librdkafka: rdkafka::util::get_rdkafka_version().1,
        elasticsearch,
        store_version,
        mapping: hex::encode(Sha256::digest(transactions::TEMPLATE).get(..16).unwrap_or_default()),
        redis: redis_version(config).await,
        batch_size: config.batch.size,
        batch_seconds: config.batch.timeout.as_secs_f64().to_string(),
        batch_bytes: config.batch.bytes,
        max_in_flight: config.max_in_flight,
        memory_budget: config.memory_budget,
    }
}

/// The disks of the system, of those that stand for a device of their own.
fn disks(block: &Path) -> String {
    let entries = std::fs::read_dir(block).into_iter().flatten().filter_map(Result::ok);
    let kind = |entry: std::fs::DirEntry| {
        let turns = std::fs::read_to_string(entry.path().join("queue/rotational")).ok()?;
        let kind = if turns.trim() == "0" { "ssd" } else { "disk" };
        entry.path().join("device").exists().then(|| format!("{} {kind}", entry.file_name().to_string_lossy()))
    };
    let mut disks: Vec<String> = entries.filter_map(kind).collect();
    disks.sort();
    disks.join(", ")
}

/// What follows a name and a colon in a file of the kernel's.
fn field<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.unwrap_or_default().trim()
}

async fn elasticsearch(config: &Config) -> String {
    let Ok(client) = ElasticsearchClient::new(&config.elasticsearch) else { return String::new() };
    inspect(&client, &config.elasticsearch.index).await.map(|cluster| cluster.versions.join(", ")).unwrap_or_default()
}

async fn redis_version(config: &Config) -> String {
    match redis(config, "bench", "bench") {
        Ok(Some(marks)) => marks.server().await.map(|server| server.version).unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_kernel_are_read() {
        assert_eq!(field("processor\t: 0\nmodel name\t: A CPU @ 2\n", "model name"), "A CPU @ 2");
        assert_eq!(field("MemTotal:       24 kB", "MemTotal"), "24 kB");
        assert_eq!(field("", "x"), "");
    }

    #[test]
    fn disks_are_told_from_what_is_made_of_files() {
        let block = tempfile::tempdir().unwrap();
        for (name, turns, device) in [("vda", "0\n", true), ("sdb", "1\n", true), ("loop0", "0\n", false)] {
            std::fs::create_dir_all(block.path().join(name).join("queue")).unwrap();
            std::fs::write(block.path().join(name).join("queue/rotational"), turns).unwrap();
            if device {
                std::fs::create_dir(block.path().join(name).join("device")).unwrap();
            }
        }
        assert_eq!(disks(block.path()), "sdb disk, vda ssd");
        assert_eq!(disks(Path::new("/nowhere")), "");
    }
}
