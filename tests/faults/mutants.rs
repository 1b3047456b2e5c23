//! The proof of the proof: each bug that can be switched on is found by a scenario that finds nothing without it.

use pipeline::mutants::{Mutant, on};

use crate::judge::attempt;
use crate::scenarios;

/// The scenario that has to find a bug.
fn finder(mutant: Mutant) -> &'static str {
    match mutant {
        Mutant::CommitBeforeWrite => "kills",
        Mutant::RememberBeforeSuccess | Mutant::DeadRemembered => "stream",
        Mutant::SharedDedupe => "audit-refuses",
        Mutant::HighestIgnored => "middle",
        Mutant::BusyCounted => "busy",
        Mutant::VersionsLeftOff | Mutant::EqualRefused | Mutant::TombstonesLeftOff => "stream",
        Mutant::LateSettle => "partition-returns",
        Mutant::NoHalving => "too-large",
        Mutant::LettersNotAwaited => "letters",
    }
}

/// Switches them on one by one; returns whether each was found.
pub fn run(only: &[String]) -> bool {
    if !cfg!(feature = "mutants") {
        eprintln!("this build has no bugs to switch on: build with --features mutants");
        return false;
    }
    assert!(!Mutant::ALL.into_iter().any(on), "MILLRACE_MUTANT is for the members alone");
    let chosen: Vec<Mutant> = Mutant::ALL
        .into_iter()
        .filter(|mutant| only.is_empty() || only.iter().any(|name| name == mutant.name()))
        .collect();
    let mut found = 0;
    for mutant in &chosen {
        let name = finder(*mutant);
        let scenario = scenarios::ALL.iter().find(|one| one.name == name).unwrap();
        match attempt(|| (scenario.run)(Some(*mutant))) {
            Ok(_) => println!("{:<24} NOT FOUND by {name}", mutant.name()),
            // A trial that could not be run has found nothing.
            Err(violation) if violation.invariant == "the trial runs" => {
                println!("{:<24} NOT FOUND by {name}, which broke: {}", mutant.name(), violation.what);
            }
            Err(violation) => {
                found += 1;
                println!("{:<24} found by {name}: {}: {}", mutant.name(), violation.invariant, violation.what);
            }
        }
    }
    println!("\n{found} of {} bugs found", chosen.len());
    found == chosen.len()
}
