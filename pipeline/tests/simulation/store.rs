//! The store: versioned documents with tombstones, and how it and the network before it may fail.

use std::collections::BTreeMap;
use std::time::Duration;

use pipeline::TopicPartition;
use pipeline::sink::{Failure, FailureKind as Class, Reject, Verdict};
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::keyed::Keyed;
use crate::world::{Documents, Kind, SimWrite};

/// How likely each fault of a request is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub slow: f64,
    pub slow_ms: u64,
    pub unavailable: f64,
    pub lost_response: f64,
    pub half_response: f64,
    pub item_retry: f64,
}

/// How a part of the store is sick, whatever a write holds.
#[derive(Clone, Copy, Debug)]
pub enum Sick {
    /// Every second request fails so.
    EverySecond(Class),
    /// One shard of five fails each of its items, until then.
    Shard(Instant),
}

pub struct Store {
    pub documents: Documents,
    pub rng: StdRng,
    pub faults: Faults,
    /// Every request fails so until then.
    pub outage: Option<(Class, Instant)>,
    /// Requests that may still land, whether or not somebody waits for the answer.
    pub active: usize,
    /// For directed tests: part of the store is sick.
    pub sick: Option<Sick>,
    turns: u64,
    /// No two living documents have the same body.
    pub unique: bool,
    /// Writes that are answered 429 so many times more.
    pub throttled: BTreeMap<(TopicPartition, i64), u32>,
    /// For directed tests: documents whose next request takes so long before it is applied.
    pub delays: BTreeMap<String, Duration>,
    /// For directed tests: everything is rejected, or refused as a whole.
    pub rejects_all: bool,
    pub refuses_all: bool,
    /// Larger requests are asked to wait.
    pub busy_above: Option<usize>,
    /// Every write is cut off, and every probe passes.
    pub breaks_all: bool,
    pub requests: u64,
    /// Where the store keeps no versions, and refuses some keys for a time.
    pub keyed: Option<Keyed>,
}

impl Store {
    pub fn new(rng: StdRng, faults: Faults) -> Self {
        Self {
            documents: Documents::new(),
            rng,
            faults,
            outage: None,
            active: 0,
            sick: None,
            turns: 0,
            unique: false,
            throttled: BTreeMap::new(),
            delays: BTreeMap::new(),
            rejects_all: false,
            refuses_all: false,
            busy_above: None,
            breaks_all: false,
            requests: 0,
            keyed: None,
        }
    }

    /// Whether this request goes to the sick side.
    pub fn astray(&mut self) -> Option<Class> {
        let Some(Sick::EverySecond(class)) = self.sick else { return None };
        self.turns += 1;
        self.turns.is_multiple_of(2).then_some(class)
    }

    pub fn shard_fails(&self, document: &str) -> bool {
        let shard = document.bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31) ^ u32::from(byte)) % 5;
        shard == 0 && matches!(self.sick, Some(Sick::Shard(until)) if until > Instant::now())
    }

    pub fn down(&self) -> Option<Class> {
        self.outage.filter(|(_, until)| *until > Instant::now()).map(|(class, _)| class)
    }

    /// Log order: an equal version is a later one.
    pub fn apply(&mut self, write: &SimWrite) -> Verdict {
        if self.rejects_all {
            return Verdict::Reject(Reject::new("mapping", "everything is rejected"));
        }
        match write.kind {
            Kind::Bad => return Verdict::Reject(Reject::new("bad", "the store rejects it")),
            Kind::Good | Kind::Suspect | Kind::Big | Kind::Unfit => {}
        }
        if self.shard_fails(&write.document) {
            return Verdict::Retry(Failure::broken("500 of the shard"));
        }
        let other = |(document, (_, body)): (&String, &(i64, Option<String>))| {
            *document != write.document && body.is_some() && *body == write.body
        };
        if self.unique && self.documents.iter().any(other) {
            return Verdict::Conflict(Reject::new("duplicate_key", "another has it"));
        }
        match self.documents.get(&write.document) {
            Some((version, _)) if *version > write.version => Verdict::Superseded,
            _ => {
                self.documents.insert(write.document.clone(), (write.version, write.body.clone()));
                Verdict::Applied
            }
        }
    }
}
