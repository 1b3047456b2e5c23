//! The table at the end.

use crate::family;
use crate::judge::{INVARIANTS, Judged, Report};

/// Trials and what they came to.
#[derive(Default)]
pub struct Table(Vec<(String, Judged<Report>)>);

impl Table {
    /// Takes a trial in, and says at once how it went.
    pub fn add(&mut self, name: &str, judged: Judged<Report>) {
        println!("{}", line(name, &judged));
        self.0.push((name.to_owned(), judged));
    }

    pub fn all_well(&self) -> bool {
        self.0.iter().all(|(_, judged)| judged.is_ok())
    }

    pub fn print(&self) {
        let well: Vec<&Report> = self.0.iter().filter_map(|(_, judged)| judged.as_ref().ok()).collect();
        println!();
        for (name, judged) in self.0.iter().filter(|(_, judged)| judged.is_err()) {
            println!("{}", line(name, judged));
        }
        let sum = |of: fn(&Report) -> u64| well.iter().map(|report| of(report)).sum::<u64>();
        println!("In each that is well there held: {}.", INVARIANTS.join(", "));
        println!("In each of the siblings instead: {}.", family::INVARIANTS.join(", "));
        println!(
            "{} of {} trials well: {} records, {} redelivered, {} rebalances, {} dead letters, {} faults, {} s",
            well.len(),
            self.0.len(),
            sum(|report| report.records),
            sum(|report| report.redelivered),
            sum(|report| report.rebalances),
            sum(|report| report.letters),
            sum(|report| report.faults.values().sum()),
            sum(|report| report.seconds),
        );
    }
}

fn line(name: &str, judged: &Judged<Report>) -> String {
    match judged {
        Ok(report) => {
            let Report { records, redelivered, rebalances, letters, seconds, faults } = report;
            let faults: Vec<String> = faults.iter().map(|(what, count)| format!("{count} {what}")).collect();
            format!(
                "{name:<28} well   {records:>6} records {redelivered:>6} redelivered {rebalances:>3} rebalances {letters:>4} letters {seconds:>4} s  {}",
                faults.join(", ")
            )
        }
        Err(violation) => format!("{name:<28} FAILED {}: {}", violation.invariant, violation.what),
    }
}
