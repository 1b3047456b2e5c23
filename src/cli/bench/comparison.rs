//! Two runs against each other: faster, slower, or it cannot be told.

use std::path::Path;

use super::figures::{BenchReport, Workload};
use super::subjects::{BenchRow, BenchSubject};
use crate::cli::{CommandFailure, print_line};

/// Student's t for an interval of 95 % by degrees of freedom, from 1 to 10; then it is near 2.
/// From the tables of the distribution (two-sided, 0.05).
const T: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];

/// How the rate of one run stands to that of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    Faster(Interval),
    Slower(Interval),
    CannotTell(Interval),
    /// Fewer than two rounds in one of them.
    TooFew,
}

/// The ratio of the new rate to the old one, and where it lies with 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub ratio: f64,
    pub low: f64,
    pub high: f64,
}

/// # Errors
/// The file cannot be read, or holds no result.
pub(super) fn read(path: &Path) -> Result<BenchReport, CommandFailure> {
    let failed = |why: String| CommandFailure::usage(format!("--compare {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| failed(format!("no result of `millrace bench --json`: {error}")))
}

/// Prints the comparison of each subject; whether the program is slower.
///
/// # Errors
/// What was measured, or where, was not the same.
pub(super) fn print(before: &BenchReport, now: &BenchReport) -> Result<bool, CommandFailure> {
    if let Some(difference) = difference(before, now) {
        return Err(CommandFailure::again(format!("the two runs cannot be compared: {difference}")));
    }
    let mut slower = false;
    for subject in [BenchSubject::NullStore, BenchSubject::Program] {
        let (old, new) = (rates(before, subject), rates(now, subject));
        if old.is_empty() || new.is_empty() {
            continue;
        }
        let compared = compare(&old, &new);
        print_line(&format!("{}: {}", subject.title(&now.workload.store), sentence(compared)))?;
        slower |= matches!(compared, Comparison::Slower(_));
    }
    Ok(slower)
}

/// What keeps two runs from being compared. The version of the program may differ: that is what is compared.
fn difference(before: &BenchReport, now: &BenchReport) -> Option<String> {
    let (mut one, other) = (before.environment.clone(), &now.environment);
    one.millrace.clone_from(&other.millrace);
    one.revision.clone_from(&other.revision);
    if one != *other {
        return Some("they ran in different environments (see `environment` in the files)".to_owned());
    }
    let (one, other) = (&before.workload, &now.workload);
    let what = |load: &Workload| (load.system.clone(), load.scenario.clone(), load.records, load.partitions);
    let same = what(one) == what(other);
    (!same).then(|| "they did not read the same (see `workload` in the files)".to_owned())
}

fn rates(report: &BenchReport, subject: BenchSubject) -> Vec<f64> {
    report.rows(subject).map(BenchRow::rate).collect()
}

/// Welch's interval of the difference of the rates' logarithms.
pub(super) fn compare(before: &[f64], now: &[f64]) -> Comparison {
    let (Some((old, old_error)), Some((new, new_error))) = (mean(before), mean(now)) else { return Comparison::TooFew };
    let error = old_error + new_error;
    let parts = old_error.powi(2) / (before.len() - 1) as f64 + new_error.powi(2) / (now.len() - 1) as f64;
    let freedom = if parts > 0.0 { error.powi(2) / parts } else { 1.0 };
    // Rounded down: a wider interval.
    let t = T.get((freedom.max(1.0) as usize).saturating_sub(1)).copied().unwrap_or(2.2);
    let (middle, half) = (new - old, t * error.sqrt());
    let interval = Interval { ratio: middle.exp(), low: (middle - half).exp(), high: (middle + half).exp() };
    match interval {
        Interval { low, .. } if low > 1.0 => Comparison::Faster(interval),
        Interval { high, .. } if high < 1.0 => Comparison::Slower(interval),
        _ => Comparison::CannotTell(interval),
    }
}

/// Of the logarithms: their mean, and the square of its standard error.
fn mean(rates: &[f64]) -> Option<(f64, f64)> {
    let count = rates.len();
    if count < 2 {
        return None;
    }
    let logarithms = || rates.iter().map(|rate| rate.ln());
    let mean = logarithms().sum::<f64>() / count as f64;
    let variance = logarithms().map(|one| (one - mean).powi(2)).sum::<f64>() / (count - 1) as f64;
    Some((mean, variance / count as f64))
}

fn sentence(compared: Comparison) -> String {
    let within = |Interval { ratio, low, high }: Interval| format!("ratio {ratio:.3}, between {low:.3} and {high:.3}");
    match compared {
        Comparison::Faster(interval) => format!("faster ({})", within(interval)),
        Comparison::Slower(interval) => format!("slower ({})", within(interval)),
        Comparison::CannotTell(interval) => format!("cannot tell ({}); more --rounds narrow it", within(interval)),
        Comparison::TooFew => "cannot tell: both runs need two rounds at least".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::report_of;
    use super::*;

    #[test]
    fn three_answers() {
        let before = [100.0, 101.0, 99.0, 100.5];
        assert!(matches!(compare(&before, &[110.0, 111.0, 109.5, 110.2]), Comparison::Faster(_)));
        assert!(matches!(compare(&before, &[90.0, 91.0, 89.5, 90.2]), Comparison::Slower(_)));
        assert!(matches!(compare(&before, &[90.0, 112.0, 99.5, 100.2]), Comparison::CannotTell(_)));
        assert_eq!(compare(&before, &[100.0]), Comparison::TooFew);
        let Comparison::Faster(interval) = compare(&[100.0, 100.1], &[200.0, 200.2]) else { panic!("not faster") };
        assert!(interval.low < 2.0 && 2.0 < interval.high + 0.1 && (1.99..2.01).contains(&interval.ratio));
    }

    #[test]
    fn different_runs_are_not_compared() {
        let before = report_of(&[10, 11]);
        assert_eq!(difference(&before, &report_of(&[12, 13])), None);
        let mut other = report_of(&[12, 13]);
        other.environment.cores = 7;
        assert!(difference(&before, &other).unwrap().contains("environment"));
        let mut other = report_of(&[12, 13]);
        other.environment.millrace = "9".to_owned();
        assert_eq!(difference(&before, &other), None, "versions are what is compared");
        other.workload.records += 1;
        assert!(difference(&before, &other).unwrap().contains("read the same"));
    }
}
