//! The judge of the sibling systems: what must hold when the faults are over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use pipeline::Record;
use testkit::choices::one_a_topic;
use testkit::model::{assert_people, assert_projected, assert_rated, assert_shown, people};

use super::{Family, SYSTEMS};
use crate::judge::{Judged, Report, conserved, said, verify, violated};
use crate::letters::{complete, exact, log_of};

/// How long the backlog may take once nothing is in the way.
const DRAIN: Duration = Duration::from_secs(120);

pub const TRANSACTIONS: &str = "transactions equal the model";
const PEOPLE: &str = "users equal the model";
pub const RATINGS: &str = "ratings equal the model";
pub const OBJECTS: &str = "objects equal the model";

/// What is demanded of every trial of the sibling systems; scenarios demand more.
pub const INVARIANTS: [&str; 10] = [
    "drained in time",
    "records are conserved",
    "letters are exact",
    "what is dead has its letter",
    "nothing sound is dead-lettered",
    TRANSACTIONS,
    PEOPLE,
    RATINGS,
    OBJECTS,
    "verify finds nothing",
];

/// Everything that must hold at the end. Members are stopped on the way.
pub fn judge(family: &mut Family) -> Judged<Report> {
    drained(family)?;
    family.members.stop_all();
    let mut report =
        Report { rebalances: family.members.rebalances(), faults: family.done.clone(), ..Report::default() };
    for reader in one_a_topic(&SYSTEMS) {
        let log = log_of(&family.siblings.world, &family.siblings.topic(reader));
        let readers: Vec<(&str, String)> = SYSTEMS
            .iter()
            .copied()
            .filter(|system| family.siblings.topic(system) == family.siblings.topic(reader))
            .map(|system| (system, family.siblings.group(system)))
            .collect();
        let letters = family.siblings.world.letters_of(&family.siblings.topic(reader));
        let found = exact(&log, letters, &readers, false)?;
        for (system, _) in readers {
            let due = |record: &Record| family.is_due(system, record.payload.as_deref());
            let name = |record: &Record| if due(record) { "poison" } else { "sound" };
            complete(&log, &found, system, due, name, true)?;
            let sums = family.members.sums().get(system).copied().unwrap_or_default();
            conserved(system, sums, log.len() as u64, false)?;
            report.redelivered += (sums.records - sums.abandoned).saturating_sub(log.len() as u64);
        }
        report.letters += found.values().sum::<u64>();
        report.records += log.len() as u64;
    }
    let (siblings, expected) = (&family.siblings, family.expected());
    holds(TRANSACTIONS, || assert_projected(siblings, &expected.transactions))?;
    holds(PEOPLE, || assert_people(siblings, &people(siblings), &expected.people))?;
    holds(RATINGS, || assert_rated(siblings, &expected.reviews, family.forgotten))?;
    holds(OBJECTS, || assert_shown(siblings, &expected.reviews))?;
    SYSTEMS.iter().try_for_each(|system| verify(&siblings.world, system, false, 0))?;
    Ok(report)
}

/// An assertion that is shared with other tests, as an invariant.
fn holds(invariant: &'static str, assert: impl FnOnce()) -> Judged {
    let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    catch_unwind(AssertUnwindSafe(assert)).or_else(|panic| violated(invariant, one_line(said(&*panic))))
}

/// Liveness: the groups commit the ends of their logs within a stated time.
pub fn drained(family: &Family) -> Judged {
    let deadline = Instant::now() + DRAIN;
    for system in SYSTEMS.iter() {
        while family.lag(system) != 0 {
            if Instant::now() > deadline {
                let why: Vec<String> = family.members.iter().map(|member| member.ready().1).collect();
                let lag = family.lag(system);
                return violated("drained in time", format!("{system} has {lag} records to go; {}", why.join("; ")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}
