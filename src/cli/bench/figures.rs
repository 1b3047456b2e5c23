//! What came out: medians and spread, as a table and as JSON.

use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::latency_table::LatencyMeasured;
use super::own_place::OwnPlace;
use super::spread::{Spread, group_digits};
use super::subjects::{BenchRow, BenchSubject, Measured, Verified};
use crate::cli::CommandFailure;
use crate::systems;

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Workload {
    #[serde(default = "transactions")]
    pub system: String,
    /// What it writes to.
    #[serde(default = "elasticsearch")]
    pub store: String,
    pub scenario: String,
    /// The topic, which is deleted by now; the indices and groups had names that begin with it.
    pub topic: String,
    /// Records of the topic.
    pub records: u64,
    /// Of their payloads.
    pub bytes: u64,
    pub partitions: i32,
    pub rounds: u32,
    pub seed: u64,
}

fn transactions() -> String {
    systems::transactions::NAME.to_owned()
}

fn elasticsearch() -> String {
    OwnPlace::Index.store().to_owned()
}

/// Everything that is known of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BenchReport {
    pub workload: Workload,
    pub environment: Environment,
    pub measured: Measured,
    /// Of live traffic; the rates above are empty then.
    #[serde(default)]
    pub latency: Option<LatencyMeasured>,
}

impl BenchReport {
    pub(super) fn rows(&self, subject: BenchSubject) -> impl Iterator<Item = &BenchRow> {
        self.measured.rows.iter().filter(move |row| row.subject == subject)
    }

    pub(super) fn rates(&self, subject: BenchSubject) -> Option<Spread> {
        Spread::of(self.rows(subject).map(BenchRow::rate))
    }

    /// The rate of one subject as a share of another's, of the same round.
    pub(super) fn ratio(&self, subject: BenchSubject, to: BenchSubject) -> Option<Spread> {
        let pair = |row: &BenchRow| {
            let other = self.rows(to).find(|other| other.round == row.round)?;
            Some(row.rate() / other.rate())
        };
        Spread::of(self.rows(subject).filter_map(pair))
    }

    /// Rows whose figures do not count, because what was written is not right.
    pub(super) fn invalid(&self) -> usize {
        let rates = self.measured.rows.iter().filter(|row| row.verified.is_some_and(|verified| !verified.is_clean()));
        rates.count() + self.latency.as_ref().map_or(0, LatencyMeasured::invalid)
    }

    pub(super) fn as_json(&self) -> Result<String, CommandFailure> {
        serde_json::to_string_pretty(self).map_err(|error| CommandFailure::internal(error.to_string()))
    }

    /// For a person.
    pub(super) fn lines(&self) -> Vec<String> {
        let Workload { system, scenario, records, bytes, partitions, rounds, .. } = &self.workload;
        let size = bytes / (*records).max(1);
        let mut lines = vec![
            format!(
                "{system}, {scenario}: {} records of {size} bytes, {partitions} partitions, {rounds} rounds",
                group_digits(*records as f64)
            ),
            String::new(),
        ];
        match &self.latency {
            Some(latency) => lines.extend(latency.lines()),
            None => lines.extend(self.rate_lines()),
        }
        lines.push(self.verdict());
        lines.push(String::new());
        lines.push(self.place());
        lines
    }

    fn rate_lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{:<42} {:>9} {:>19}  {:>9}  {:>7}",
            "SUBJECT", "RECORDS/S", "LEAST–MOST", "CPU S/M", "PEAK MB"
        )];
        lines.extend(BenchSubject::ALL.into_iter().filter_map(|subject| self.line(subject)));
        lines.push(String::new());
        let Measured { bare_request, bare_in_flight, .. } = self.measured;
        if self.rows(BenchSubject::BareWrites).next().is_some() {
            lines
                .push(format!("The ready-made writes went in requests of {bare_request}, {bare_in_flight} at a time."));
        }
        if let Some(ratio) = self.ratio(BenchSubject::Program, BenchSubject::BareWrites) {
            lines.push(format!(
                "millrace reaches {:.2} of what {} takes of ready-made writes ({:.2}–{:.2}).",
                ratio.median, self.workload.store, ratio.least, ratio.most
            ));
        }
        lines
    }

    fn line(&self, subject: BenchSubject) -> Option<String> {
        let rates = self.rates(subject)?;
        let cpu = Spread::of(self.rows(subject).filter_map(BenchRow::cpu_a_million));
        let memory = Spread::of(self.rows(subject).filter_map(|row| Some(row.peak_memory_bytes? as f64 / 1e6)));
        let shown = |spread: Option<Spread>, digits: usize| {
            spread.map_or_else(|| "–".to_owned(), |spread| format!("{:.digits$}", spread.median))
        };
        Some(format!(
            "{:<42} {:>9} {:>19}  {:>9}  {:>7}",
            subject.title(&self.workload.store),
            group_digits(rates.median),
            format!("{}–{}", group_digits(rates.least), group_digits(rates.most)),
            shown(cpu, 2),
            shown(memory, 0),
        ))
    }

    fn verdict(&self) -> String {
        let mut sum = Verified::default();
        let (mut runs, mut differing) = (0, 0);
        let rates = self.measured.rows.iter().filter_map(|row| row.verified);
        // All rows under live traffic are of one run of the program.
        let live = self.latency.iter().filter_map(|latency| latency.rows.iter().find_map(|row| row.verified));
        for verified in rates.chain(live) {
            runs += 1;
            differing += u32::from(!verified.is_clean());
            sum.missing += verified.missing;
            sum.stale += verified.stale;
            sum.twice += verified.twice;
            sum.other += verified.other;
        }
        let Verified { missing, stale, twice, other } = sum;
        let found = format!("missing {missing}, stale {stale}, twice {twice}, other findings {other}");
        match (runs, differing) {
            (0, _) => "No run wrote what could be verified.".to_owned(),
            (_, 0) => format!("Each of {runs} runs was verified: {found}."),
            _ => format!("NOT VALID: {differing} of {runs} runs left differences: {found}."),
        }
    }

    fn place(&self) -> String {
        let Environment { cpu, cores, store_version, redis, build, batch_size, max_in_flight, .. } = &self.environment;
        let store = &self.workload.store;
        let redis = if redis.is_empty() { "no Redis".to_owned() } else { format!("Redis {redis}") };
        format!(
            "{cpu}, {cores} cores; {store} {store_version}, {redis}; {build} build, batches of {batch_size}, \
             {max_in_flight} in flight"
        )
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn row(round: u32, subject: BenchSubject, rate: u64) -> BenchRow {
        let verified = (subject == BenchSubject::Program).then(Verified::default);
        BenchRow {
            round,
            subject,
            records: rate * 2,
            seconds: 2.0,
            cpu_seconds: Some(1.0),
            peak_memory_bytes: Some(200_000_000),
            verified,
        }
    }

    /// A run with these rates of the program; the store takes 20,000 writes a second.
    pub(in crate::cli::bench) fn report_of(rates: &[u64]) -> BenchReport {
        let mut rows = Vec::new();
        for (round, rate) in (0..).zip(rates) {
            rows.push(row(round, BenchSubject::BareWrites, 20_000));
            rows.push(row(round, BenchSubject::Program, *rate));
        }
        let workload = Workload {
            system: transactions(),
            store: elasticsearch(),
            scenario: "backlog".to_owned(),
            topic: "t".to_owned(),
            records: 200_000,
            bytes: 100_000_000,
            partitions: 6,
            rounds: rates.len() as u32,
            seed: 1,
        };
        let measured = Measured { bare_request: 1_000, bare_in_flight: 4, rows };
        BenchReport { workload, environment: Environment::default(), measured, latency: None }
    }

    #[test]
    fn medians_and_ratios_are_of_the_rounds() {
        let report = report_of(&[10_000, 18_000, 16_000]);
        let rates = report.rates(BenchSubject::Program).unwrap();
        assert_eq!((rates.median, rates.least, rates.most), (16_000.0, 10_000.0, 18_000.0));
        assert_eq!(report.ratio(BenchSubject::Program, BenchSubject::BareWrites).unwrap().median, 0.8);
        assert!(report.lines().iter().any(|line| line.contains("reaches 0.80")), "{:?}", report.lines());
        assert!(report.lines().iter().any(|line| line.starts_with("Each of 3 runs was verified")));
    }

    #[test]
    fn one_missing_document_makes_a_result_invalid() {
        let mut report = report_of(&[10_000]);
        assert_eq!(report.invalid(), 0);
        report.measured.rows[1].verified = Some(Verified { missing: 1, ..Verified::default() });
        assert_eq!(report.invalid(), 1);
        assert!(report.lines().iter().any(|line| line.starts_with("NOT VALID: 1 of 1 runs")), "{:?}", report.lines());
    }
}
