//! The random mix: a seed draws faults, how long each lasts and which overlap; the members work all the while.

use std::thread::sleep;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;
use testkit::services::services;

use crate::account::stream;
use crate::arena::{Arena, SESSION, flush_redis};
use crate::judge::{Judged, Report, committed_is_durable, happened, judge};
use crate::liar::Mode;

pub const NAME: &str = "nemesis";
/// Faults drawn for one seed.
const STEPS: usize = 14;

/// What is drawn, and how often compared with the others.
const FAULTS: [(Fault, u32); 22] = [
    (Fault::Kill, 4),
    (Fault::Stop, 2),
    (Fault::Freeze, 2),
    (Fault::Join, 3),
    (Fault::Reset, 1),
    (Fault::Broker(Harm::Kill), 1),
    (Fault::Broker(Harm::Freeze), 1),
    (Fault::Broker(Harm::Slow), 2),
    (Fault::Broker(Harm::Cut), 2),
    (Fault::Store("elasticsearch", Harm::Kill), 1),
    (Fault::Store("elasticsearch", Harm::Freeze), 2),
    (Fault::Store("redis", Harm::Kill), 1),
    (Fault::Store("redis", Harm::Slow), 2),
    (Fault::Store("redis", Harm::Cut), 1),
    (Fault::Store("postgres", Harm::Kill), 1),
    (Fault::Store("postgres", Harm::Cut), 2),
    (Fault::Flush, 2),
    (Fault::Lie(0), 2),
    (Fault::Lie(1), 2),
    (Fault::Lie(2), 4),
    (Fault::Index, 3),
    (Fault::Letters, 2),
];

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    Stop,
    Freeze,
    Join,
    /// Everybody leaves, and the group begins at the start of the log.
    Reset,
    Broker(Harm),
    Store(&'static str, Harm),
    Flush,
    /// 503, a page; half an answer; no answer.
    Lie(usize),
    /// Closed, or blocked.
    Index,
    Letters,
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    Kill,
    Freeze,
    Slow,
    Cut,
}

/// What is to be mended, and whether it must be before the next fault.
enum Open {
    Nothing,
    Links,
    Liar,
    Service(&'static str),
    Index(bool),
    Letters,
    Frozen,
}

/// Runs one seed.
pub fn run(seed: u64) -> Judged<Report> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut arena = Arena::new(NAME, None);
    arena.start();
    arena.members[0].await_ready();
    arena.forget_deletes();
    arena.liar.delay(Duration::from_millis(30));
    let mut open: Vec<Open> = Vec::new();
    for step in 0..STEPS as u64 {
        // The broker has to be there to take records.
        if !open.iter().any(|one| matches!(one, Open::Service("kafka"))) {
            arena.send(&stream(seed * 100 + step, 400));
        }
        let (fault, _) = FAULTS.choose_weighted(&mut rng, |(_, weight)| *weight).unwrap();
        // Neither what is committed nor what is held can be asked while their keepers are away.
        let seen = !open.iter().any(|one| matches!(one, Open::Service(_) | Open::Index(_)));
        open.push(begin(&mut arena, &mut rng, *fault, seen)?);
        sleep(Duration::from_millis(rng.random_range(300..2_500)));
        // Some faults go on into the next one.
        if rng.random_bool(0.65) {
            mend_all(&arena, &mut open);
        }
    }
    mend_all(&arena, &mut open);
    arena.heal();
    if arena.members.is_empty() {
        arena.start();
    }
    let report = judge(&mut arena)?;
    // Those that were made; answers that were lied about come on top.
    happened("enough faults", arena.done.values().sum::<u64>() >= STEPS as u64 / 2)?;
    Ok(report)
}

fn begin(arena: &mut Arena, rng: &mut StdRng, fault: Fault, seen: bool) -> Judged<Open> {
    let some = |arena: &Arena, rng: &mut StdRng| rng.random_range(0..arena.members.len());
    match fault {
        Fault::Kill => {
            let index = some(arena, rng);
            arena.members.kill(index);
            arena.note("kills");
            if arena.members.is_empty() {
                if seen {
                    committed_is_durable(arena)?;
                }
                arena.join();
            }
        }
        Fault::Stop => {
            let index = some(arena, rng);
            arena.join();
            arena.members.stop(index);
            arena.note("stops");
        }
        Fault::Freeze => {
            let index = some(arena, rng);
            arena.members[index].signal("STOP");
            arena.note("freezes");
            sleep(SESSION + Duration::from_secs(1));
            return Ok(Open::Frozen);
        }
        Fault::Join if arena.members.len() < 3 => {
            arena.join();
            arena.note("joins");
        }
        Fault::Join => {
            arena.members.stop(0);
            arena.note("stops");
        }
        Fault::Reset if !seen => {}
        Fault::Reset => {
            arena.members.stop_all();
            for (_, group) in arena.systems() {
                arena.world().reset_group(&group);
            }
            arena.note("resets");
            arena.join();
        }
        Fault::Broker(harm) => return Ok(harmed(arena, "kafka", harm)),
        Fault::Store(name, harm) => return Ok(harmed(arena, name, harm)),
        Fault::Flush => {
            flush_redis();
            arena.note("redis flushes");
        }
        Fault::Lie(kind) => {
            let mode = match kind {
                0 => Mode::Busy,
                1 => Mode::Page,
                _ if rng.random_bool(0.5) => Mode::Half,
                _ => Mode::Cut,
            };
            arena.liar.set(mode);
            arena.note("lies");
            return Ok(Open::Liar);
        }
        Fault::Index | Fault::Letters if !seen => {}
        Fault::Index => {
            let close = rng.random_bool(0.5);
            let done = match close {
                true => arena.ask("POST", &format!("{}/_close", arena.index()), None).0,
                false => {
                    let block = json!({"index.blocks.read_only_allow_delete": true});
                    arena.ask("PUT", &format!("{}/_settings", arena.index()), Some(&block)).0
                }
            };
            if done == 200 {
                arena.note(if close { "closed indices" } else { "flood blocks" });
                return Ok(Open::Index(close));
            }
        }
        Fault::Letters => {
            arena.block_letters(true);
            arena.note("topics not writable");
            return Ok(Open::Letters);
        }
    }
    Ok(Open::Nothing)
}

fn harmed(arena: &mut Arena, name: &'static str, harm: Harm) -> Open {
    let link = arena.links.to(name);
    let open = match (harm, link) {
        (Harm::Slow, Some(link)) => {
            link.slow(200);
            Open::Links
        }
        (Harm::Cut, Some(link)) => {
            link.cut();
            Open::Links
        }
        (Harm::Kill, _) => {
            services("kill", name);
            Open::Service(name)
        }
        _ => {
            services("pause", name);
            Open::Service(name)
        }
    };
    arena.note(match (name, harm) {
        ("kafka", Harm::Kill) => "broker kills",
        ("kafka", Harm::Freeze) => "broker freezes",
        (_, Harm::Kill) => "store kills",
        (_, Harm::Freeze) => "store freezes",
        (_, Harm::Slow) => "slow links",
        (_, Harm::Cut) => "cut links",
    });
    open
}

/// The services first: the rest is asked of them.
fn mend_all(arena: &Arena, open: &mut Vec<Open>) {
    open.sort_by_key(|one| !matches!(one, Open::Service(_)));
    open.drain(..).for_each(|one| mend(arena, &one));
}

fn mend(arena: &Arena, open: &Open) {
    match open {
        Open::Nothing => {}
        Open::Links => arena.links.heal(),
        Open::Liar => arena.liar.set(Mode::Honest),
        Open::Service(name) => services("start", name),
        Open::Index(true) => {
            arena.ask("POST", &format!("{}/_open", arena.index()), None);
        }
        Open::Index(false) => {
            let free = json!({"index.blocks.read_only_allow_delete": null});
            arena.ask("PUT", &format!("{}/_settings", arena.index()), Some(&free));
        }
        Open::Letters => arena.block_letters(false),
        Open::Frozen => arena.members.iter().for_each(|member| member.signal("CONT")),
    }
}
