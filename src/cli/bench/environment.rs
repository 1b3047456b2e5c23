//! Where it was measured. Figures of different environments are not compared.

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::run::consumer::redis;
use crate::stores::elasticsearch::{ElasticsearchClient, inspect};

/// The machine, the services and the settings that a figure depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Environment {
    pub cpu: String,
    pub cores: usize,
    /// Of the frequency; empty where the system does not tell.
    pub governor: String,
    pub memory_kilobytes: u64,
    /// The limits of the control group on processors and memory, as the system words them; empty: none.
    pub limits: String,
    pub kernel: String,
    pub millrace: String,
    /// `release` or `debug`.
    pub build: String,
    pub librdkafka: String,
    pub elasticsearch: String,
    /// Empty: dedupe remembers in memory alone.
    pub redis: String,
    pub batch_size: usize,
    pub batch_bytes: usize,
    pub max_in_flight: usize,
    pub memory_budget: usize,
}

/// Looks around.
pub(super) async fn look(config: &Config) -> Environment {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let (cpuinfo, meminfo) = (file("/proc/cpuinfo"), file("/proc/meminfo"));
    let limit = |name: &str| Some(file(name)).filter(|text| !text.is_empty() && !text.starts_with("max"));
    let limits = [("cpu", limit("/sys/fs/cgroup/cpu.max")), ("memory", limit("/sys/fs/cgroup/memory.max"))];
    let limits: Vec<String> =
        limits.into_iter().filter_map(|(name, limit)| Some(format!("{name} {}", limit?))).collect();
    Environment {
        cpu: field(&cpuinfo, "model name").to_owned(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        governor: file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        memory_kilobytes: field(&meminfo, "MemTotal").trim_end_matches("kB").trim().parse().unwrap_or(0),
        limits: limits.join(", "),
        kernel: file("/proc/sys/kernel/osrelease"),
        millrace: env!("CARGO_PKG_VERSION").to_owned(),
        build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        librdkafka: rdkafka::util::get_rdkafka_version().1,
        elasticsearch: elasticsearch(config).await,
        redis: redis_version(config).await,
        batch_size: config.batch.size,
        batch_bytes: config.batch.bytes,
        max_in_flight: config.max_in_flight,
        memory_budget: config.memory_budget,
    }
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
}
