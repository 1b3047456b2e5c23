//! What this process costs: time on the wall, time on the processors, memory.

use std::time::{Duration, Instant};

/// Ticks a second in `/proc/self/stat`: the kernel's interface has them at 100, whatever its own clock.
/// See `proc_pid_stat(5)`, fields 14 and 15.
const TICKS: f64 = 100.0;

/// What a stretch of work cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub wall: Duration,
    /// Seconds on all processors; `None` where the system does not tell.
    pub cpu: Option<f64>,
}

/// Adds up stretches of work.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    spent: Spent,
    begun: Option<(Instant, Option<f64>)>,
}

impl Stopwatch {
    pub(crate) fn new() -> Self {
        Self { spent: Spent { wall: Duration::ZERO, cpu: Some(0.0) }, begun: None }
    }

    pub(crate) fn start(&mut self) {
        self.begun = Some((Instant::now(), process_cpu()));
    }

    pub(crate) fn stop(&mut self) {
        let Some((begun, cpu)) = self.begun.take() else { return };
        self.spent.wall += begun.elapsed();
        self.spent.cpu = match (self.spent.cpu, cpu, process_cpu()) {
            (Some(sum), Some(before), Some(now)) => Some(sum + now - before),
            _ => None,
        };
    }

    pub(crate) fn time_spent(&self) -> Spent {
        self.spent
    }
}

/// Seconds that this process has been on a processor.
pub(crate) fn process_cpu() -> Option<f64> {
    cpu_of(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// The most bytes of memory that this process has held at once; `None` where the system does not tell.
/// See `proc_pid_status(5)`, `VmHWM`.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn cpu_of(stat: &str) -> Option<f64> {
    // The name in brackets may hold spaces; what follows it begins with field 3.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_read_behind_the_name() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0";
        assert_eq!(cpu_of(stat), Some(3.0));
        assert_eq!(cpu_of("7"), None);
    }
}
