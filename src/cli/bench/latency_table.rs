//! What came out of live traffic: a row for each load of each round, and the table of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::capacity::TriedRate;
use super::child::Busy;
use super::latency::LatencyDistribution;
use super::own_place::OwnPlace;
use super::spread::{Spread, group_digits};
use super::subjects::{BenchSubject, Verified};

/// What live traffic is written to.
pub(super) const LIVE_STORE: &str = OwnPlace::Index.store();

/// What a burst came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct BurstFigures {
    /// Records a second while it lasts.
    pub rate: f64,
    pub seconds: f64,
    /// Records: the most that were open before it, and behind it.
    pub lag_before: u64,
    pub most_lag: u64,
    /// From the end of the burst until no more were open than before it; none: not within five minutes.
    pub recovered_seconds: Option<f64>,
}

/// One load in one round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LatencyRow {
    pub round: u32,
    pub subject: BenchSubject,
    /// Of the capacity.
    pub share: f64,
    /// Records a second.
    pub rate: f64,
    pub seconds: f64,
    /// From when a record was to be sent until it was acknowledged by the store.
    pub latency: LatencyDistribution,
    /// From when a record was to be sent until the brokers had acknowledged it.
    pub publishing: Option<LatencyDistribution>,
    /// Records that are not finished.
    pub unfinished: u64,
    pub burst: Option<BurstFigures>,
    /// Of what was written to Elasticsearch by the program in all its rows.
    pub verified: Option<Verified>,
}

impl LatencyRow {
    pub(super) fn new(round: u32, subject: BenchSubject, share: f64, rate: f64, time: Duration) -> Self {
        Self {
            round,
            subject,
            share,
            rate,
            seconds: time.as_secs_f64(),
            latency: LatencyDistribution::default(),
            publishing: None,
            unfinished: 0,
            burst: None,
            verified: None,
        }
    }

    pub(super) fn is_valid(&self) -> bool {
        self.unfinished == 0 && self.verified.is_none_or(Verified::is_clean)
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LatencyMeasured {
    /// Records a second that the program takes without a growing lag.
    pub capacity: f64,
    /// Records a second of the backlog, where the search began.
    pub backlog_rate: Option<f64>,
    pub tried: Vec<TriedRate>,
    /// Of the program's process.
    pub peak_memory_bytes: Option<u64>,
    pub rows: Vec<LatencyRow>,
}

const HEAD: [&str; 7] = ["SUBJECT", "LOAD", "RECORDS/S", "P50 MS", "P99 MS", "MAX MS", "PUBLISHED P99"];

impl LatencyMeasured {
    pub(super) fn new(
        capacity: f64,
        backlog_rate: Option<f64>,
        tried: Vec<TriedRate>,
        mut rows: Vec<LatencyRow>,
        verified: Verified,
        busy: Option<&Busy>,
    ) -> Self {
        rows.iter_mut()
            .filter(|row| row.subject == BenchSubject::Program)
            .for_each(|row| row.verified = Some(verified));
        let peak_memory_bytes = busy.and_then(|busy| busy.process_peak_memory_bytes);
        Self { capacity, backlog_rate, tried, peak_memory_bytes, rows }
    }

    pub(super) fn invalid(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_valid()).count()
    }

    /// The rows of each load of each subject, in the order in which they were measured first.
    pub(super) fn loads(&self) -> Vec<Vec<&LatencyRow>> {
        let mut loads: Vec<Vec<&LatencyRow>> = Vec::new();
        for row in &self.rows {
            let same = |load: &&mut Vec<&LatencyRow>| {
                load.first().is_some_and(|first| (first.subject, first.share) == (row.subject, row.share))
            };
            match loads.iter_mut().find(same) {
                Some(load) => load.push(row),
                None => loads.push(vec![row]),
            }
        }
        loads
    }

    /// For a person.
    pub(super) fn lines(&self) -> Vec<String> {
        let tried = self.tried.len();
        let mut lines = vec![
            format!("Capacity: {} records/s ({tried} rates were tried).", group_digits(self.capacity)),
            String::new(),
            columns(&HEAD.map(str::to_owned)),
        ];
        lines.extend(self.loads().into_iter().filter_map(|load| line(&load)));
        lines.push(String::new());
        lines.extend(self.rows.iter().filter_map(|row| Some(burst_line(row.round, row.burst.as_ref()?))));
        let open: u64 = self.rows.iter().map(|row| row.unfinished).sum();
        if open > 0 {
            lines.push(format!("NOT VALID: {open} records were not finished."));
        }
        lines
    }
}

fn columns(cells: &[String; 7]) -> String {
    let [subject, load, rate, p50, p99, most, published] = cells;
    format!("{subject:<38} {load:>5} {rate:>10} {p50:>9} {p99:>9} {most:>9} {published:>14}")
}

/// The medians of the rounds.
fn line(load: &[&LatencyRow]) -> Option<String> {
    let first = load.first()?;
    let shown = |of: fn(&LatencyDistribution) -> f64, from: fn(&LatencyRow) -> Option<&LatencyDistribution>| {
        let middle = Spread::of(load.iter().filter_map(|row| from(row)).map(of));
        middle.map_or_else(|| "–".to_owned(), |middle| format!("{:.1}", middle.median))
    };
    let mark = if load.iter().all(|row| row.is_valid()) { "" } else { " NOT VALID" };
    let name = if first.burst.is_some() { "burst".to_owned() } else { format!("{:.0} %", first.share * 100.0) };
    let cells = [
        first.subject.title(LIVE_STORE),
        name,
        group_digits(first.rate),
        shown(|times| times.p50_ms, to_store),
        shown(|times| times.p99_ms, to_store),
        shown(|times| times.max_ms, to_store),
        shown(|times| times.p99_ms, to_kafka),
    ];
    Some(columns(&cells) + mark)
}

fn to_store(row: &LatencyRow) -> Option<&LatencyDistribution> {
    Some(&row.latency)
}

fn to_kafka(row: &LatencyRow) -> Option<&LatencyDistribution> {
    row.publishing.as_ref()
}

fn burst_line(round: u32, burst: &BurstFigures) -> String {
    let BurstFigures { rate, seconds, lag_before, most_lag, recovered_seconds } = *burst;
    let recovered = match recovered_seconds {
        Some(seconds) => format!("as few again {seconds:.1} s after its end"),
        None => "not as few again within five minutes".to_owned(),
    };
    format!(
        "Round {}: {} records/s for {seconds:.1} s; open before it at most {}, then {}; {recovered}.",
        round + 1,
        group_digits(rate),
        group_digits(lag_before as f64),
        group_digits(most_lag as f64),
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn row(round: u32, subject: BenchSubject, share: f64, p99_ms: f64) -> LatencyRow {
        let latency = LatencyDistribution {
            records: 10,
            p50_ms: p99_ms / 2.0,
            p99_ms,
            max_ms: p99_ms * 2.0,
            ..Default::default()
        };
        let row = LatencyRow::new(round, subject, share, 10_000.0 * share, Duration::from_secs(10));
        LatencyRow { latency, ..row }
    }

    pub(in crate::cli::bench) fn measured(verified: Verified) -> LatencyMeasured {
        let mut rows = Vec::new();
        for (round, more) in [(0, 0.0), (1, 20.0)] {
            rows.push(row(round, BenchSubject::Program, 0.5, 100.0 + more));
            rows.push(row(round, BenchSubject::BareWrites, 0.5, 60.0 + more));
        }
        LatencyMeasured::new(10_000.0, Some(12_000.0), Vec::new(), rows, verified, None)
    }

    #[test]
    fn a_line_has_the_medians_of_the_rounds_of_a_load() {
        let lines = measured(Verified::default()).lines();
        let line = |name: &str| {
            let line = lines.iter().find(|line| line.starts_with(name)).unwrap();
            line.trim_start_matches(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines[0], "Capacity: 10,000 records/s (0 rates were tried).");
        assert_eq!(line(&BenchSubject::Program.title(LIVE_STORE)), ["50", "%", "5,000", "55.0", "110.0", "220.0", "–"]);
        assert_eq!(
            line(&BenchSubject::BareWrites.title(LIVE_STORE)),
            ["50", "%", "5,000", "35.0", "70.0", "140.0", "–"]
        );
    }

    #[test]
    fn a_finding_or_an_open_record_makes_rows_of_the_program_invalid() {
        let mut latency = measured(Verified { stale: 1, ..Verified::default() });
        assert_eq!(latency.invalid(), 2, "the program's, not those of the ready-made writes");
        assert!(latency.lines().iter().any(|line| line.ends_with(" NOT VALID")));
        latency = measured(Verified::default());
        assert_eq!(latency.invalid(), 0);
        latency.rows[0].unfinished = 3;
        assert_eq!(latency.invalid(), 1);
        assert!(latency.lines().contains(&"NOT VALID: 3 records were not finished.".to_owned()));
    }

    #[test]
    fn a_burst_is_told_in_a_sentence() {
        let burst = BurstFigures {
            rate: 25_000.0,
            seconds: 2.0,
            lag_before: 900,
            most_lag: 31_000,
            recovered_seconds: Some(2.25),
        };
        let said = burst_line(0, &burst);
        let whole = "Round 1: 25,000 records/s for 2.0 s; open before it at most 900, then 31,000; as few again 2.2 s after its end.";
        assert_eq!(said, whole);
        assert!(burst_line(0, &BurstFigures { recovered_seconds: None, ..burst }).ends_with("within five minutes."));
    }
}
