//! The random mix for the sibling systems: a seed draws faults, how long each lasts and which overlap.

use std::thread::sleep;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use testkit::double;
use testkit::services::services;

use super::{Family, SYSTEMS, judge};
use crate::arena::{SESSION, flush_redis};
use crate::judge::{Judged, Report, happened};

pub const NAME: &str = "siblings-nemesis";
/// Faults drawn for one seed.
const STEPS: usize = 12;
/// Creates in each topic's share of a step.
const SHARE: u64 = 60;

/// What is drawn, and how often compared with the others. MongoDB is never killed: its stand-in forgets acknowledged writes.
const FAULTS: [(Fault, u32); 16] = [
    (Fault::Kill, 6),
    (Fault::Stop, 2),
    (Fault::Freeze, 2),
    (Fault::Join, 3),
    (Fault::Reset, 2),
    (Fault::Pause("kafka"), 1),
    (Fault::Pause("mongodb"), 2),
    (Fault::Cut("mongodb"), 2),
    (Fault::Slow("mongodb"), 2),
    (Fault::Slow("kafka"), 1),
    (Fault::KillRedis, 1),
    (Fault::Flush, 1),
    (Fault::Algolia("Algolia asks to wait or fails", &STATUSES), 3),
    (Fault::Algolia("Algolia is cut off", &[double::Fault::Cut]), 1),
    (Fault::Algolia("Algolia's answers are lost or garbled", &[double::Fault::Lost, double::Fault::Garbled]), 3),
    (Fault::Algolia("Algolia is slow", &[double::Fault::Slow(Duration::from_millis(700))]), 3),
];
const STATUSES: [double::Fault; 3] =
    [double::Fault::Status(429), double::Fault::Status(500), double::Fault::Status(503)];

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    Stop,
    Freeze,
    Join,
    /// Everybody leaves, and one group begins at the start of its log.
    Reset,
    Pause(&'static str),
    Cut(&'static str),
    Slow(&'static str),
    KillRedis,
    Flush,
    Algolia(&'static str, &'static [double::Fault]),
}

/// What is to be mended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Links,
    Algolia,
    Service(&'static str),
    Frozen,
}

/// Runs one seed.
pub fn run(seed: u64) -> Judged<Report> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut family = Family::new(NAME, None);
    family.start();
    family.join();
    family.members[0].await_ready();
    let mut open: Vec<Open> = Vec::new();
    for step in 0..STEPS as u64 {
        // The broker has to be there to take records, and to say what became of a group.
        let broker = !open.contains(&Open::Service("kafka"));
        if broker {
            family.send(seed * 100 + step, SHARE);
        }
        let (fault, _) = FAULTS.choose_weighted(&mut rng, |(_, weight)| *weight).unwrap();
        open.push(begin(&mut family, &mut rng, *fault, broker));
        sleep(Duration::from_millis(rng.random_range(300..2_500)));
        // Some faults go on into the next one.
        if rng.random_bool(0.65) {
            mend(&family, &mut open);
        }
    }
    // Whatever was drawn, somebody dies in the midst of it.
    begin(&mut family, &mut rng, Fault::Kill, true);
    mend(&family, &mut open);
    family.heal();
    let report = judge(&mut family)?;
    happened("enough faults", family.done.values().sum::<u64>() >= STEPS as u64 / 2)?;
    Ok(report)
}

fn begin(family: &mut Family, rng: &mut StdRng, fault: Fault, broker: bool) -> Open {
    let some = rng.random_range(0..family.members.len());
    let (what, open) = match fault {
        Fault::Kill => {
            family.members.kill(some);
            family.join();
            ("kills", Open::Nothing)
        }
        Fault::Stop => {
            family.join();
            family.members.stop(some);
            ("stops", Open::Nothing)
        }
        Fault::Freeze => {
            family.members[some].signal("STOP");
            sleep(SESSION + Duration::from_secs(1));
            ("freezes", Open::Frozen)
        }
        Fault::Join if family.members.len() < 3 => {
            family.join();
            ("joins", Open::Nothing)
        }
        Fault::Join => {
            family.members.stop(some);
            ("stops", Open::Nothing)
        }
        Fault::Reset if !broker => return Open::Nothing,
        Fault::Reset => {
            family.reset(SYSTEMS.choose(rng).unwrap());
            family.join();
            ("resets", Open::Nothing)
        }
        Fault::Pause(name) => {
            services("pause", name);
            (if name == "kafka" { "broker freezes" } else { "store freezes" }, Open::Service(name))
        }
        Fault::Cut(name) => {
            family.links.to(name).unwrap().cut();
            ("cut links", Open::Links)
        }
        Fault::Slow(name) => {
            family.links.to(name).unwrap().slow(200);
            ("slow links", Open::Links)
        }
        Fault::KillRedis => {
            services("kill", "redis");
            ("store kills", Open::Service("redis"))
        }
        Fault::Flush => {
            flush_redis();
            family.forgotten = true;
            ("redis flushes", Open::Nothing)
        }
        Fault::Algolia(what, faults) => {
            family.siblings.algolia.fail(*faults.choose(rng).unwrap());
            (what, Open::Algolia)
        }
    };
    family.note(what);
    open
}

/// The services first: the rest is asked of them.
fn mend(family: &Family, open: &mut Vec<Open>) {
    open.sort_by_key(|one| !matches!(one, Open::Service(_)));
    for one in open.drain(..) {
        match one {
            Open::Nothing => {}
            Open::Links => family.links.heal(),
            Open::Algolia => family.siblings.algolia.heal(),
            Open::Service(name) => services("start", name),
            Open::Frozen => family.members.iter().for_each(|member| member.signal("CONT")),
        }
    }
}
