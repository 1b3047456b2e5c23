//! The engine of the random mixes: a seed shuffles a deck with every kind of fault in it, and draws how long each lasts and
//! which overlap; members work all the while. Each kind has to have happened in the end.

use std::thread::sleep;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use testkit::services::{eventually, services};

use crate::arena::{SESSION, flush_redis};
use crate::crew::Crew;
use crate::judge::{Judged, happened};
use crate::links::Links;

/// How often it is asked whether a fault was felt before more records are sent: about five seconds.
const ASKS_A_SHARE: u64 = 100;
/// Members at one time.
const MEMBERS: usize = 3;

/// A kind of fault, and what the report calls it.
#[derive(Clone, Copy, Debug)]
pub struct Card<O> {
    pub what: &'static str,
    pub fault: Fault<O>,
}

#[derive(Clone, Copy, Debug)]
pub enum Fault<O> {
    Kill,
    Stop,
    Freeze,
    Join,
    /// Everybody leaves, and a group begins at the start of its log.
    Reset,
    /// One of these services is away: killed, or paused.
    Service(&'static [&'static str], Away),
    Link(&'static str, Strain),
    /// The broker that coordinates the group is stopped.
    Coordinator,
    Flush,
    /// What only this ground knows.
    Own(O),
}

#[derive(Clone, Copy, Debug)]
pub enum Away {
    Killed,
    Paused,
}

#[derive(Clone, Copy, Debug)]
pub enum Strain {
    Slow,
    Cut,
    /// One way of several.
    CutOne,
}

/// What is to be mended.
#[derive(Clone, Copy)]
enum Open<O> {
    Nothing,
    Links,
    Service(&'static str),
    Frozen,
    /// With how often it had been felt before, and what it is called.
    Own(O, u64, &'static str),
}

/// Where a mix takes place.
pub trait Ground {
    /// Faults of its own.
    type Own: Copy;

    fn crew(&mut self) -> &mut Crew;
    fn links(&self) -> &Links;
    fn join(&mut self);
    /// Sends one step's share of records.
    fn send(&mut self, seed: u64);
    /// Everybody has left: a group, or each, begins anew.
    fn reset(&mut self, rng: &mut StdRng);
    fn note(&mut self, what: &'static str);
    fn times(&self, what: &str) -> u64;
    fn begin(&mut self, own: Self::Own, rng: &mut StdRng);
    fn mend(&mut self, own: Self::Own);
    /// How often a fault of its own was felt up to now, of those that have to be felt.
    fn felt(&self, own: Self::Own) -> Option<u64>;
    /// Whether a fault of its own changes what the others ask for, and stands alone therefore.
    fn stands_alone(&self, own: Self::Own) -> bool;
    /// The service that coordinates the group.
    fn coordinator(&self) -> Option<&'static str>;
    /// Everybody was killed; the stores and the broker can be asked.
    fn all_dead(&mut self) -> Judged {
        Ok(())
    }
}

struct Mix<'a, G: Ground> {
    ground: &'a mut G,
    rng: StdRng,
    open: Vec<Open<G::Own>>,
}

/// Deals every card once, in an order that the seed decides, and once more alone what was not felt.
pub fn play<G: Ground>(ground: &mut G, cards: &[Card<G::Own>], seed: u64) -> Judged {
    let mut deck: Vec<Card<G::Own>> = cards.to_vec();
    let mut mix = Mix { ground, rng: StdRng::seed_from_u64(seed), open: Vec::new() };
    deck.shuffle(&mut mix.rng);
    for (step, card) in (0..).zip(&deck) {
        mix.deal(*card, seed * 1_000 + step)?;
        sleep(Duration::from_millis(mix.rng.random_range(300..2_500)));
        // Some faults go on into the next one.
        if mix.rng.random_bool(0.65) {
            mix.mend_all();
        }
    }
    mix.mend_all();
    let unfelt: Vec<_> = cards.iter().filter(|card| mix.ground.times(card.what) == 0).collect();
    for (step, card) in (500..).zip(unfelt) {
        mix.deal(*card, seed * 1_000 + step)?;
        mix.await_felt((seed * 1_000 + step) * 1_000);
        mix.mend_all();
    }
    cards.iter().try_for_each(|card| happened(card.what, mix.ground.times(card.what) > 0))
}

impl<G: Ground> Mix<'_, G> {
    fn deal(&mut self, card: Card<G::Own>, seed: u64) -> Judged {
        if !self.fits(card.fault) {
            self.mend_all();
        }
        // Without the one broker nobody takes records.
        if !self.is_away("kafka") {
            self.ground.send(seed);
        }
        let open = self.begin(card)?;
        self.open.push(open);
        Ok(())
    }

    fn is_away(&self, name: &str) -> bool {
        self.open.iter().any(|one| matches!(one, Open::Service(away) if *away == name))
    }

    /// Neither what is committed nor what is held can be asked while their keepers are away.
    fn can_be_asked(&self) -> bool {
        !self.open.iter().any(|one| match one {
            Open::Service(_) => true,
            Open::Own(own, ..) => self.ground.stands_alone(*own),
            _ => false,
        })
    }

    /// Whether a fault can begin upon those that go on: of one cluster no two servers are away.
    fn fits(&self, fault: Fault<G::Own>) -> bool {
        match fault {
            Fault::Service(names, _) => !names.iter().any(|name| self.is_away(name)),
            Fault::Reset | Fault::Coordinator => self.can_be_asked(),
            Fault::Own(own) => {
                let alone = !self.open.iter().any(|one| matches!(one, Open::Own(..)));
                alone && (self.ground.felt(own).is_some() || self.can_be_asked())
            }
            _ => true,
        }
    }

    fn some_member(&mut self) -> usize {
        let count = self.ground.crew().len();
        self.rng.random_range(0..count)
    }

    fn begin(&mut self, card: Card<G::Own>) -> Judged<Open<G::Own>> {
        let open = match card.fault {
            Fault::Kill => {
                self.kill()?;
                Open::Nothing
            }
            Fault::Stop => {
                let some = self.some_member();
                self.ground.join();
                self.ground.crew().stop(some);
                Open::Nothing
            }
            Fault::Freeze => {
                let some = self.some_member();
                self.ground.crew()[some].signal("STOP");
                sleep(SESSION + Duration::from_secs(1));
                Open::Frozen
            }
            Fault::Join => {
                if self.ground.crew().len() >= MEMBERS {
                    self.ground.crew().stop(0);
                }
                self.ground.join();
                Open::Nothing
            }
            Fault::Reset => {
                self.ground.crew().stop_all();
                self.ground.reset(&mut self.rng);
                self.ground.join();
                Open::Nothing
            }
            Fault::Service(names, away) => {
                let name = *names.choose(&mut self.rng).unwrap();
                services(if matches!(away, Away::Killed) { "kill" } else { "pause" }, name);
                Open::Service(name)
            }
            Fault::Link(name, strain) => {
                self.strain(name, strain);
                Open::Links
            }
            Fault::Coordinator => Open::Service(self.move_coordinator()),
            Fault::Flush => {
                flush_redis();
                Open::Nothing
            }
            Fault::Own(own) => {
                let before = self.ground.felt(own);
                self.ground.begin(own, &mut self.rng);
                let open = Open::Own(own, before.unwrap_or_default(), card.what);
                if before.is_some() {
                    // It is noted when it was felt.
                    return Ok(open);
                }
                open
            }
        };
        self.ground.note(card.what);
        Ok(open)
    }

    fn kill(&mut self) -> Judged {
        let some = self.some_member();
        self.ground.crew().kill(some);
        if self.ground.crew().is_empty() {
            if self.can_be_asked() {
                self.ground.all_dead()?;
            }
            self.ground.join();
        }
        Ok(())
    }

    fn strain(&mut self, name: &str, strain: Strain) {
        let place = self.rng.random_range(0..MEMBERS);
        let link = self.ground.links().to(name).unwrap();
        match strain {
            Strain::Slow => link.slow(200),
            Strain::Cut => link.cut(),
            Strain::CutOne => link.cut_one(place),
        }
    }

    fn move_coordinator(&mut self) -> &'static str {
        let name = eventually("a coordinator", || self.ground.coordinator());
        services("down", name);
        eventually("another coordinator", || self.ground.coordinator().filter(|other| *other != name));
        name
    }

    /// The services first, then the links: the rest is asked of them.
    fn mend_all(&mut self) {
        let mut open = std::mem::take(&mut self.open);
        open.sort_by_key(|one| match one {
            Open::Service(_) => 0,
            Open::Links => 1,
            Open::Nothing | Open::Frozen | Open::Own(..) => 2,
        });
        for one in open {
            match one {
                Open::Nothing => {}
                Open::Links => self.ground.links().heal(),
                Open::Service(name) => services("start", name),
                Open::Frozen => self.ground.crew().iter().for_each(|member| member.signal("CONT")),
                Open::Own(own, before, what) => {
                    if self.ground.felt(own).is_some_and(|felt| felt > before) {
                        self.ground.note(what);
                    }
                    self.ground.mend(own);
                }
            }
        }
    }

    /// Waits until what was begun is felt. A fault that only some requests meet needs requests: where they end before it is met,
    /// more records are sent. `seed` is the first of theirs.
    fn await_felt(&mut self, seed: u64) {
        let begun: Vec<_> = self
            .open
            .iter()
            .filter_map(|one| if let Open::Own(own, before, what) = one { Some((*own, *before, *what)) } else { None })
            .collect();
        for (own, before, what) in begun {
            let mut asked = 0;
            eventually(what, || {
                asked += 1;
                if asked % ASKS_A_SHARE == 0 {
                    self.ground.send(seed + asked);
                }
                self.ground.felt(own).is_none_or(|felt| felt > before).then_some(())
            });
        }
    }
}
