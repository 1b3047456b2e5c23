//! What outlives a process: log, committed offsets, store, marks and dead letters; and the checks at each commit.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pipeline::dead_letters::{DeadLetter, DeadLetters};
use pipeline::dedupe::{Known, Mark, MarkStore, Marks};
use pipeline::sink::Failure;
use pipeline::{Epoch, Header, TopicPartition};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use crate::store::{Faults, Store};
use crate::world::{Event, Log, What};

pub type Shared<T> = Arc<Mutex<T>>;

/// A dead letter as the broker has it.
pub struct Kept {
    pub class: String,
    pub key: Option<Bytes>,
    pub payload: Option<Bytes>,
    pub headers: Vec<Header>,
    pub attempts: u32,
}

#[derive(Default)]
pub struct Letters {
    pub kept: BTreeMap<(TopicPartition, i64), Kept>,
    /// Not there, or refusing, until then.
    pub outage: Option<Instant>,
}

#[derive(Default)]
pub struct MarkBook {
    pub marks: BTreeMap<TopicPartition, BTreeMap<Mark, i64>>,
    pub highest: BTreeMap<TopicPartition, i64>,
    pub outage: Option<Instant>,
}

#[derive(Default)]
pub struct Broker {
    pub committed: BTreeMap<TopicPartition, i64>,
    /// Below this the store was wiped and the group does not read again.
    pub floor: BTreeMap<TopicPartition, i64>,
    /// The highest offset marked when the floor was set.
    pub seen: BTreeMap<TopicPartition, i64>,
    last: BTreeMap<TopicPartition, (u64, Epoch, i64)>,
}

pub struct World {
    pub log: Mutex<Log>,
    pub store: Mutex<Store>,
    pub marks: Mutex<MarkBook>,
    pub letters: Mutex<Letters>,
    pub broker: Mutex<Broker>,
    pub rng: Mutex<StdRng>,
    pub counts: Mutex<BTreeMap<&'static str, u64>>,
    pub violations: Mutex<Vec<String>>,
    begun: Instant,
    trace: bool,
    digest: Mutex<DefaultHasher>,
}

impl World {
    pub fn new(seed: u64, log: Log, faults: Faults, trace: bool) -> Arc<Self> {
        let broker =
            Broker { committed: log.partitions.keys().map(|at| (at.clone(), 0)).collect(), ..Broker::default() };
        Arc::new(Self {
            log: Mutex::new(log),
            store: Mutex::new(Store::new(StdRng::seed_from_u64(seed ^ 0x5707e), faults)),
            marks: Mutex::default(),
            letters: Mutex::default(),
            broker: Mutex::new(broker),
            rng: Mutex::new(StdRng::seed_from_u64(seed ^ 0xfa17)),
            counts: Mutex::default(),
            violations: Mutex::default(),
            begun: Instant::now(),
            trace,
            digest: Mutex::default(),
        })
    }

    pub fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
        (what, self.begun.elapsed()).hash(&mut *self.digest.lock().unwrap());
    }

    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.log.lock().unwrap().partitions.keys().cloned().collect()
    }

    pub fn note(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>9.3}s {}", self.begun.elapsed().as_secs_f64(), what());
        }
    }

    pub fn check(&self, holds: bool, else_say: impl FnOnce() -> String) {
        if !holds {
            let said = format!("at {:?}: {}", self.begun.elapsed(), else_say());
            self.note(|| format!("VIOLATION {said}"));
            self.violations.lock().unwrap().push(said);
        }
    }

    /// The same for two runs of one seed.
    pub fn digest(&self) -> u64 {
        self.digest.lock().unwrap().finish()
    }

    pub fn chance(&self, p: f64) -> bool {
        self.rng.lock().unwrap().random_bool(p)
    }

    pub fn between(&self, low: u64, high: u64) -> u64 {
        self.rng.lock().unwrap().random_range(low..high)
    }

    /// A commit by the group's live member: everything below has to be finished for good.
    pub fn commit(&self, run: u64, at: &TopicPartition, epoch: Epoch, next: i64) {
        let mut broker = self.broker.lock().unwrap();
        let before = broker.last.get(at).filter(|(r, e, _)| (*r, *e) == (run, epoch)).map_or(0, |(_, _, next)| *next);
        self.check(next >= before, || format!("commit of {at} went back from {before} to {next}"));
        let committed = broker.committed.get(at).copied().unwrap_or(0);
        if committed == next {
            return;
        }
        self.check(next > committed, || format!("commit of {at} went back from {committed} to {next}"));
        self.check_finished(&broker, at, committed, next);
        (at, next, self.begun.elapsed()).hash(&mut *self.digest.lock().unwrap());
        self.note(|| format!("commit {at} {next}"));
        broker.last.insert(at.clone(), (run, epoch, next));
        broker.committed.insert(at.clone(), next);
    }

    /// Whether a record may be skipped as a copy of one that was wiped and is not read again: its offset is first seen.
    pub fn excused(broker: &Broker, log: &Log, event: &Event) -> bool {
        let record = &event.record;
        let (floor, seen) = (broker.floor.get(&record.at), broker.seen.get(&record.at).copied().unwrap_or(-1));
        let Some(floor) = floor.filter(|_| record.offset > seen) else { return false };
        let below = log.partitions[&record.at].events.iter().take_while(|e| e.record.offset < *floor);
        below.into_iter().any(|earlier| earlier.record.payload == record.payload)
    }

    /// Each record of the range is in the store, or superseded there, or a dead letter, or nobody's.
    fn check_finished(&self, broker: &Broker, at: &TopicPartition, from: i64, to: i64) {
        let log = self.log.lock().unwrap();
        let store = self.store.lock().unwrap();
        let letters = self.letters.lock().unwrap();
        let partition = &log.partitions[at];
        self.check(to <= partition.end, || format!("commit of {at} to {to}, past the log end {}", partition.end));
        for event in partition.events.iter().filter(|e| (from..to).contains(&e.record.offset)) {
            let offset = event.record.offset;
            let done = match &event.what {
                What::Ignored => true,
                _ if letters.kept.contains_key(&(at.clone(), offset)) => true,
                _ if event.dead().is_some() => false,
                What::Poison => false,
                What::Write(_) if store.keyed.is_some() => {
                    store.keyed.as_ref().unwrap().finished(partition, &letters, event)
                }
                What::Write(write) => {
                    let holds = store.documents.get(&write.document).is_some_and(|(v, _)| *v >= write.version);
                    holds || Self::excused(broker, &log, event)
                }
            };
            self.check(done, || {
                format!("{at}@{offset} committed ({from} to {to}) before it was finished: {:?}", event.what)
            });
        }
    }

    pub fn committed(&self, at: &TopicPartition) -> i64 {
        self.broker.lock().unwrap().committed[at]
    }

    pub fn drained(&self) -> bool {
        let (log, broker) = (self.log.lock().unwrap(), self.broker.lock().unwrap());
        log.partitions.iter().all(|(at, partition)| broker.committed[at] == partition.end)
    }

    async fn lag(&self, slow: f64) {
        let ms = if self.chance(slow) { self.between(200, 4_000) } else { self.between(0, 4) };
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

fn until(outage: Option<Instant>) -> bool {
    outage.is_some_and(|until| until > Instant::now())
}

/// The world as a mark store.
pub struct SimMarks(pub Arc<World>);

#[async_trait]
impl MarkStore for SimMarks {
    async fn read(&self, asked: &[Marks]) -> Result<Vec<Known>, String> {
        self.0.lag(0.02).await;
        let book = self.0.marks.lock().unwrap();
        if until(book.outage) {
            self.0.count("marks unread");
            return Err("no marks".to_owned());
        }
        let known = |marks: &Marks| Known {
            highest: book.highest.get(&marks.at).copied(),
            offsets: {
                let made = book.marks.get(&marks.at);
                marks.marks.iter().map(|(mark, _)| made.and_then(|made| made.get(mark)).copied()).collect()
            },
        };
        Ok(asked.iter().map(known).collect())
    }

    async fn write(&self, made: &[Marks]) -> Result<(), String> {
        self.0.lag(0.02).await;
        let mut book = self.0.marks.lock().unwrap();
        if until(book.outage) {
            return Err("no marks".to_owned());
        }
        for Marks { at, marks } in made {
            for (mark, offset) in marks {
                let lowest = book.marks.entry(at.clone()).or_default().entry(*mark).or_insert(*offset);
                *lowest = (*lowest).min(*offset);
                let highest = book.highest.entry(at.clone()).or_insert(*offset);
                *highest = (*highest).max(*offset);
            }
        }
        Ok(())
    }
}

/// The world as a dead-letter topic.
pub struct SimLetters(pub Arc<World>);

#[async_trait]
impl DeadLetters for SimLetters {
    async fn send(&self, letters: &[DeadLetter<'_>]) -> Vec<Result<(), Failure>> {
        self.0.lag(0.05).await;
        let down = until(self.0.letters.lock().unwrap().outage);
        let mut answers = Vec::new();
        for letter in letters {
            // An unavailable broker may have the letter all the same.
            if down {
                self.0.count("letter refused");
            }
            if !down || self.0.chance(0.2) {
                crate::keyed::check_letter(&self.0, letter);
                keep(&mut self.0.letters.lock().unwrap(), letter);
            }
            answers.push(if down { Err(Failure::unavailable("no broker")) } else { Ok(()) });
        }
        answers
    }
}

fn keep(letters: &mut Letters, letter: &DeadLetter<'_>) {
    let record = letter.record;
    let kept = Kept {
        class: letter.reject.class.to_string(),
        key: record.key.clone(),
        payload: record.payload.clone(),
        headers: letter.headers(),
        attempts: letter.attempts,
    };
    letters.kept.insert((record.at.clone(), record.offset), kept);
}
