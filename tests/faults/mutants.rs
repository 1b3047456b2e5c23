//! The proof of the proof: each bug that can be switched on is found by a scenario that finds nothing without it, and by an
//! invariant that says what is wrong.

use std::collections::BTreeSet;

use pipeline::mutants::{Mutant, on};

use crate::family;
use crate::judge::{Judged, Report, attempt};
use crate::scenarios;

/// The scenario that has to find a bug, and the invariants that may. None: the simulation finds it
/// (`cargo test -p pipeline --features mutants --test simulation mutants`).
fn finder(mutant: Mutant) -> Option<(&'static str, &'static [&'static str])> {
    const LETTER: &[&str] = &["what is dead has its letter"];
    const SOUND: &[&str] = &["nothing sound is dead-lettered"];
    const DURABLE: &[&str] = &["what is committed is durable"];
    const SHOWN: &[&str] = &[family::TRANSACTIONS, family::OBJECTS];
    Some(match mutant {
        Mutant::CommitBeforeWrite => ("kills", DURABLE),
        Mutant::RememberBeforeSuccess | Mutant::DeadRemembered => ("stream", LETTER),
        Mutant::SharedDedupe => ("audit-refuses", LETTER),
        Mutant::HighestIgnored => ("middle", &["nothing is lost", "the newest version wins"]),
        Mutant::BusyCounted => ("busy-writes", SOUND),
        Mutant::VersionsLeftOff => ("stream", &["the newest version wins", "nothing is resurrected"]),
        Mutant::EqualRefused => ("stream", &["the later of equals wins"]),
        Mutant::TombstonesLeftOff => ("stream", &["nothing is resurrected"]),
        Mutant::LateSettle => ("partition-returns", DURABLE),
        Mutant::NoHalving => ("too-large", SOUND),
        Mutant::LettersNotAwaited => ("letters", LETTER),
        Mutant::FollowUpSkipped => ("siblings-repair", SHOWN),
        Mutant::PushedOnce => ("siblings-late-push", SHOWN),
        Mutant::GapIgnored => ("retention-running", &["a loss is told"]),
        Mutant::LeasesIgnored | Mutant::Oversleeping => ("freeze", &["the later of equals wins"]),
        Mutant::VerifyBlind => ("altered", &[scenarios::PLANTED]),
        Mutant::ValueLost => ("stream", &["no value vanishes"]),
        Mutant::DrainSkipped => ("handover", &["a handover redelivers nothing"]),
        Mutant::PurgeHorizonIgnored => ("purged", &["nothing is resurrected"]),
        Mutant::GiveBackSkipped => ("siblings-refused-object", &["what is refused is given back"]),
        Mutant::CacheUnconditional => ("siblings-late-rating", &[family::RATINGS]),
        Mutant::EqualVersionsRace | Mutant::BreakerOff | Mutant::AttemptsUnpaired => return None,
        Mutant::ParkedOvertaken | Mutant::ParkedPassed => return None,
        // The tests of the system `database` find these: `cargo test --features mutants --test database mutants`.
        Mutant::CachedBeforeCommit | Mutant::MarkedApart | Mutant::ResultUntold => return None,
        // And those of `backfill` these: `cargo test --features mutants --test backfill mutants`.
        Mutant::CheckpointBeforeWrite | Mutant::ResumeByCount | Mutant::BackfillEqual => return None,
        // And those of the reactions these: `cargo test --features mutants --test siblings planted`.
        Mutant::EffectApart | Mutant::RelayByCursor => return None,
    })
}

fn trial(scenario: &str, mutant: Option<Mutant>) -> Judged<Report> {
    let scenario = scenarios::ALL.iter().find(|one| one.name == scenario).unwrap();
    attempt(|| (scenario.run)(mutant))
}

/// Switches them on one by one; returns whether each was found, and nothing where there was nothing to find.
pub fn run(only: &[String]) -> bool {
    if !cfg!(feature = "mutants") {
        eprintln!("this build has no bugs to switch on: build with --features mutants");
        return false;
    }
    assert!(!Mutant::ALL.iter().copied().any(on), "MILLRACE_MUTANT is for the members alone");
    if let Some(unknown) = only.iter().find(|name| !Mutant::ALL.iter().any(|mutant| mutant.name() == *name)) {
        eprintln!("there is no bug {unknown}; --list names them");
        return false;
    }
    let chosen: Vec<Mutant> = Mutant::ALL
        .iter()
        .copied()
        .filter(|mutant| finder(*mutant).is_some())
        .filter(|mutant| only.is_empty() || only.iter().any(|name| name == mutant.name()))
        .collect();
    let mut well = true;
    for scenario in chosen.iter().filter_map(|mutant| Some(finder(*mutant)?.0)).collect::<BTreeSet<_>>() {
        match trial(scenario, None) {
            Ok(_) => println!("{:<24} nothing found by {scenario}", "no bug"),
            Err(violation) => {
                well = false;
                println!("{:<24} FOUND by {scenario}: {}: {}", "no bug", violation.invariant, violation.what);
            }
        }
    }
    let mut found = 0;
    for mutant in &chosen {
        let Some((scenario, invariants)) = finder(*mutant) else { continue };
        match trial(scenario, Some(*mutant)) {
            Err(violation) if invariants.contains(&violation.invariant) => {
                found += 1;
                println!("{:<24} found by {scenario}: {}: {}", mutant.name(), violation.invariant, violation.what);
            }
            Err(violation) => {
                let (invariant, what) = (violation.invariant, violation.what);
                println!("{:<24} NOT FOUND by {scenario}, which ended otherwise: {invariant}: {what}", mutant.name());
            }
            Ok(_) => println!("{:<24} NOT FOUND by {scenario}", mutant.name()),
        }
    }
    println!("\n{found} of {} bugs found", chosen.len());
    well && found == chosen.len()
}
