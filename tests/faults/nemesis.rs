//! The random mix of transactions and their audit, on single services and on clusters.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::account::stream;
use crate::arena::Arena;
use crate::cluster::{self, BROKERS, NODES};
use crate::crew::Crew;
use crate::filed;
use crate::judge::{Judged, Report, committed_is_durable, judge};
use crate::liar::Mode;
use crate::links::Links;
use crate::mix::{Away, Card, Fault, Ground, Strain, play};

pub const NAME: &str = "nemesis";
/// Records of a step.
const SHARE: u64 = 400;
/// Held back before each bulk request, so that there is something in flight.
const DELAY: Duration = Duration::from_millis(30);
/// How late a slow node answers.
const LATE: Duration = Duration::from_secs(3);

/// What an arena knows besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// All ways lie; what they say that they did.
    Lie(Lie, &'static str),
    /// One way does.
    Sick(Lie, &'static str),
    Closed,
    Flooded,
    Letters,
    Backfill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    Busy,
    Page,
    Half,
    Cut,
    Status(u16),
    Slow,
    Items(u16),
}

impl Lie {
    fn mode(self) -> Mode {
        match self {
            Self::Busy => Mode::Busy,
            Self::Page => Mode::Page,
            Self::Half => Mode::Half,
            Self::Cut => Mode::Cut,
            Self::Status(status) => Mode::Status(status),
            Self::Slow => Mode::Slow,
            Self::Items(status) => Mode::Items { status, kind: "cluster_block_exception", one_in: 1 },
        }
    }
}

const fn card(what: &'static str, fault: Fault<Own>) -> Card<Own> {
    Card { what, fault }
}

const fn lie(what: &'static str, lie: Lie, told: &'static str) -> Card<Own> {
    card(what, Fault::Own(Own::Lie(lie, told)))
}

const fn sick(what: &'static str, lie: Lie, told: &'static str) -> Card<Own> {
    card(what, Fault::Own(Own::Sick(lie, told)))
}

/// On single services and on clusters.
const CARDS: &[Card<Own>] = &[
    card("kills", Fault::Kill),
    card("more kills", Fault::Kill),
    card("stops", Fault::Stop),
    card("freezes", Fault::Freeze),
    card("joins", Fault::Join),
    card("more joins", Fault::Join),
    card("resets", Fault::Reset),
    card("broker slow", Fault::Link("kafka", Strain::Slow)),
    card("broker cut off", Fault::Link("kafka", Strain::Cut)),
    card("redis kills", Fault::Service(&["redis"], Away::Killed)),
    card("redis slow", Fault::Link("redis", Strain::Slow)),
    card("redis cut off", Fault::Link("redis", Strain::Cut)),
    card("postgres kills", Fault::Service(&["postgres"], Away::Killed)),
    card("postgres cut off", Fault::Link("postgres", Strain::Cut)),
    card("redis flushes", Fault::Flush),
    lie("answers of 503", Lie::Busy, "503"),
    lie("pages for answers", Lie::Page, "page"),
    lie("half answers", Lie::Half, "half"),
    lie("answers cut", Lie::Cut, "cut"),
    card("closed indices", Fault::Own(Own::Closed)),
    card("flood blocks", Fault::Own(Own::Flooded)),
    card("topics not writable", Fault::Own(Own::Letters)),
    card("backfills killed", Fault::Own(Own::Backfill)),
];

const SINGLE: &[Card<Own>] = &[
    card("broker kills", Fault::Service(&["kafka"], Away::Killed)),
    card("broker freezes", Fault::Service(&["kafka"], Away::Paused)),
    card("store kills", Fault::Service(&["elasticsearch"], Away::Killed)),
    card("store freezes", Fault::Service(&["elasticsearch"], Away::Paused)),
];

const CLUSTER: &[Card<Own>] = &[
    card("brokers killed", Fault::Service(BROKERS, Away::Killed)),
    card("brokers frozen", Fault::Service(BROKERS, Away::Paused)),
    card("coordinators moved", Fault::Coordinator),
    card("one broker cut off", Fault::Link("kafka", Strain::CutOne)),
    card("nodes killed", Fault::Service(NODES, Away::Killed)),
    card("nodes frozen", Fault::Service(NODES, Away::Paused)),
    sick("nodes that cut", Lie::Cut, "cut"),
    sick("nodes that answer 500", Lie::Status(500), "status"),
    sick("nodes that answer 502", Lie::Status(502), "status"),
    sick("slow nodes", Lie::Slow, "slow"),
    sick("read-only nodes", Lie::Items(403), "items"),
    sick("full nodes", Lie::Items(429), "items"),
];

/// Runs one seed.
pub fn run(seed: u64) -> Judged<Report> {
    let mut arena = Arena::new(NAME, None);
    // Of the seeds one in three each: as it is by default, and two other ways to be a member.
    match seed % 3 {
        0 => {
            arena.with_properties("\"group.instance.id\" = 'member-{place}'");
            arena.note("static membership");
        }
        2 => {
            arena.with_properties("\"partition.assignment.strategy\" = 'cooperative-sticky'");
            arena.note("cooperative assignment");
        }
        _ => {}
    }
    arena.start();
    arena.members[0].await_ready();
    arena.forget_deletes();
    arena.liar.delay(DELAY);
    play(&mut arena, &[CARDS, if cluster::is_on() { CLUSTER } else { SINGLE }].concat(), seed)?;
    arena.heal();
    judge(&mut arena)
}

impl Ground for Arena {
    type Own = Own;

    fn crew(&mut self) -> &mut Crew {
        &mut self.members
    }

    fn links(&self) -> &Links {
        &self.links
    }

    fn join(&mut self) {
        Self::join(self);
    }

    fn send(&mut self, seed: u64) {
        Self::send(self, &stream(seed, SHARE));
    }

    fn reset(&mut self, _: &mut StdRng) {
        self.systems().iter().for_each(|(_, group)| self.world().reset_group(group));
    }

    fn note(&mut self, what: &'static str) {
        Self::note(self, what);
    }

    fn times(&self, what: &str) -> u64 {
        self.done.get(what).copied().unwrap_or_default()
    }

    fn begin(&mut self, own: Own, rng: &mut StdRng) {
        match own {
            Own::Lie(lie, _) => self.liar.set(lie.mode()),
            Own::Sick(lie, _) => {
                let way = &self.liar.ways[rng.random_range(0..self.liar.ways.len())];
                way.set(lie.mode());
                if lie == Lie::Slow {
                    way.delay(LATE);
                }
            }
            Own::Closed => assert_eq!(self.ask("POST", &format!("{}/_close", self.index()), None).0, 200),
            Own::Flooded => self.settings(&json!({"index.blocks.read_only_allow_delete": true})),
            Own::Letters => self.block_letters(true),
            Own::Backfill => filed::begin(self, rng),
        }
    }

    fn mend(&mut self, own: Own) {
        match own {
            Own::Lie(..) | Own::Sick(..) => {
                self.liar.set(Mode::Honest);
                self.liar.delay(DELAY);
            }
            Own::Closed => assert_eq!(self.ask("POST", &format!("{}/_open", self.index()), None).0, 200),
            Own::Flooded => self.settings(&json!({"index.blocks.read_only_allow_delete": null})),
            Own::Letters => self.block_letters(false),
            Own::Backfill => filed::finish(self),
        }
    }

    fn felt(&self, own: Own) -> Option<u64> {
        match own {
            Own::Lie(_, told) | Own::Sick(_, told) => Some(self.liar.told().get(told).copied().unwrap_or_default()),
            Own::Closed | Own::Flooded | Own::Letters | Own::Backfill => None,
        }
    }

    fn stands_alone(&self, own: Own) -> bool {
        matches!(own, Own::Closed | Own::Flooded)
    }

    fn coordinator(&self) -> Option<&'static str> {
        cluster::coordinator(self.world(), &self.world().name)
    }

    fn all_dead(&mut self) -> Judged {
        committed_is_durable(self)
    }
}
