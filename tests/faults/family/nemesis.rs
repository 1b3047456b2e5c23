//! The random mix of the sibling systems.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use testkit::double;

use super::{Family, SYSTEMS, judge};
use crate::crew::Crew;
use crate::judge::{Judged, Report};
use crate::links::Links;
use crate::mix::{Away, Card, Fault, Ground, Strain, play};

pub const NAME: &str = "siblings-nemesis";
/// Creates in each topic's share of a step.
const SHARE: u64 = 60;

/// What is done to Algolia: one of these.
type Algolia = &'static [double::Fault];

const fn card(what: &'static str, fault: Fault<Algolia>) -> Card<Algolia> {
    Card { what, fault }
}

/// MongoDB is never killed: its stand-in forgets acknowledged writes.
const CARDS: &[Card<Algolia>] = &[
    card("kills", Fault::Kill),
    card("more kills", Fault::Kill),
    card("stops", Fault::Stop),
    card("freezes", Fault::Freeze),
    card("joins", Fault::Join),
    card("resets", Fault::Reset),
    card("broker freezes", Fault::Service(&["kafka"], Away::Paused)),
    card("broker slow", Fault::Link("kafka", Strain::Slow)),
    card("database freezes", Fault::Service(&["mongodb"], Away::Paused)),
    card("database cut off", Fault::Link("mongodb", Strain::Cut)),
    card("database slow", Fault::Link("mongodb", Strain::Slow)),
    card("redis kills", Fault::Service(&["redis"], Away::Killed)),
    card("redis flushes", Fault::Flush),
    card("Algolia asks to wait or fails", Fault::Own(&STATUSES)),
    card("Algolia is cut off", Fault::Own(&[double::Fault::Cut])),
    card("Algolia's answers are lost", Fault::Own(&[double::Fault::Lost])),
    card("Algolia's answers are garbled", Fault::Own(&[double::Fault::Garbled])),
    card("Algolia is slow", Fault::Own(&[double::Fault::Slow(Duration::from_millis(700))])),
];
const STATUSES: [double::Fault; 3] =
    [double::Fault::Status(429), double::Fault::Status(500), double::Fault::Status(503)];

/// Runs one seed.
pub fn run(seed: u64) -> Judged<Report> {
    let mut family = Family::new(NAME, None);
    family.start();
    family.join();
    family.members[0].await_ready();
    play(&mut family, CARDS, seed)?;
    family.heal();
    judge(&mut family)
}

impl Ground for Family {
    type Own = Algolia;

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
        Self::send(self, seed, SHARE);
    }

    fn reset(&mut self, rng: &mut StdRng) {
        Self::reset(self, SYSTEMS.choose(rng).unwrap());
    }

    fn note(&mut self, what: &'static str) {
        // Redis was made to forget.
        self.forgotten |= what == "redis flushes";
        Self::note(self, what);
    }

    fn times(&self, what: &str) -> u64 {
        self.done.get(what).copied().unwrap_or_default()
    }

    fn begin(&mut self, own: Algolia, rng: &mut StdRng) {
        self.siblings.algolia.fail(*own.choose(rng).unwrap());
    }

    fn mend(&mut self, _: Algolia) {
        self.siblings.algolia.heal();
    }

    /// Whatever comes to it meanwhile meets the fault.
    fn felt(&self, _: Algolia) -> Option<u64> {
        Some(self.siblings.algolia.requests("batch") as u64)
    }

    fn stands_alone(&self, _: Algolia) -> bool {
        false
    }

    fn coordinator(&self) -> Option<&'static str> {
        None
    }
}
