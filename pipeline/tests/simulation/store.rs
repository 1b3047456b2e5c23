//! The store: versioned documents with tombstones, behind a network that loses, delays and breaks requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pipeline::sink::{Failure, FailureKind as Class, Reject, Sink, SinkLimits, Verdict};
use pipeline::{Leases, TopicPartition};
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::keyed::{self, Keyed};
use crate::model::{Shared, World};
use crate::world::{Documents, Kind, STORE_BYTES, SimWrite};

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
    fn astray(&mut self) -> Option<Class> {
        let Some(Sick::EverySecond(class)) = self.sick else { return None };
        self.turns += 1;
        self.turns.is_multiple_of(2).then_some(class)
    }

    fn shard_fails(&self, document: &str) -> bool {
        let shard = document.bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31) ^ u32::from(byte)) % 5;
        shard == 0 && matches!(self.sick, Some(Sick::Shard(until)) if until > Instant::now())
    }

    fn down(&self) -> Option<Class> {
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

/// What will happen to a request, drawn when it is sent.
enum Plan {
    Serve {
        retries: Vec<bool>,
    },
    Fail(Class, &'static str),
    /// Applied, some of it or all, and the answer is lost.
    Lost(Vec<bool>),
    /// Applied, and the answer has the wrong number of verdicts.
    Half,
}

/// The sink of one engine.
pub struct SimSink {
    pub world: Arc<World>,
    pub limits: SinkLimits,
    /// What waits on a ladder is sent after what was cut later.
    pub by_key: bool,
    pub leases: Arc<Leases>,
    pub max_in_flight: usize,
    pub running: AtomicUsize,
    /// Which batch the source cut each record into last, and the newest batch of each partition that was sent.
    pub cuts: Shared<BTreeMap<(TopicPartition, i64), u64>>,
    pub sent: Shared<BTreeMap<TopicPartition, u64>>,
    /// Partitions with a request on its way.
    pub busy: Shared<BTreeMap<TopicPartition, u32>>,
}

/// How long a client waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

struct Client<'a>(&'a SimSink, Vec<TopicPartition>);

impl Drop for Client<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        let mut busy = self.0.busy.lock().unwrap();
        self.1.iter().for_each(|at| *busy.get_mut(at).unwrap() -= 1);
    }
}

impl SimSink {
    /// What must hold whenever a request is sent.
    fn check(&self, writes: &[SimWrite]) -> Client<'_> {
        let world = &self.world;
        world.check(!self.leases.overslept(), || "sent by a process that slept through its session".into());
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        world.check(running <= self.max_in_flight, || format!("{running} batches in flight"));
        let (cuts, mut sent, mut busy) =
            (self.cuts.lock().unwrap(), self.sent.lock().unwrap(), self.busy.lock().unwrap());
        let mut partitions: Vec<TopicPartition> = writes.iter().map(|write| write.at.clone()).collect();
        partitions.sort();
        partitions.dedup();
        for at in &partitions {
            world.check(self.leases.epoch(at).is_some(), || format!("sent for {at}, which is not ours"));
            let others = busy.entry(at.clone()).or_default();
            world.check(!self.limits.ordered || *others == 0, || format!("two batches of {at} in flight"));
            *others += 1;
        }
        for write in writes.iter().filter(|_| self.limits.ordered && !self.by_key) {
            let cut = cuts.get(&(write.at.clone(), write.offset)).copied().unwrap_or(0);
            let newest = sent.entry(write.at.clone()).or_insert(cut);
            world.check(cut >= *newest, || format!("{}@{} after a later batch", write.at, write.offset));
            *newest = cut.max(*newest);
        }
        let mut documents: Vec<&String> = writes.iter().map(|write| &write.document).collect();
        documents.sort();
        let twice = documents.windows(2).any(|pair| pair[0] == pair[1]);
        let apart = self.limits.one_write_a_document || self.by_key;
        world.check(!(twice && apart), || "one document twice in a request".into());
        Client(self, partitions)
    }

    fn plan(&self, writes: &[SimWrite]) -> (Plan, Duration) {
        let mut store = self.world.store.lock().unwrap();
        store.requests += 1;
        let Store { rng, faults, .. } = &mut *store;
        let mut delay = Duration::from_millis(rng.random_range(1..20));
        let chance = |rng: &mut StdRng, p: f64| p > 0.0 && rng.random_bool(p);
        if chance(rng, faults.slow) {
            delay = Duration::from_millis(rng.random_range(500..faults.slow_ms));
            self.world.count("slow");
        }
        let some: Vec<bool> = writes.iter().map(|_| rng.random_bool(0.5)).collect();
        let luck = *faults;
        let retries: Vec<bool> = writes.iter().map(|_| chance(rng, luck.item_retry)).collect();
        let draws = [luck.unavailable, luck.lost_response, luck.half_response].map(|p| chance(rng, p));
        for write in writes {
            delay = store.delays.remove(&write.document).unwrap_or(delay);
        }
        if store.refuses_all || writes.iter().map(pipeline::sink::Write::bytes).sum::<usize>() > STORE_BYTES {
            self.world.count("refused");
            return (Plan::Fail(Class::TurnedAway, "too large"), delay);
        }
        if let Some(class) = store.astray() {
            self.world.count("astray");
            return match class {
                Class::Broken => (Plan::Lost(vec![false; writes.len()]), delay),
                class => (Plan::Fail(class, "502"), delay),
            };
        }
        if store.breaks_all {
            return (Plan::Lost(vec![false; writes.len()]), delay);
        }
        if store.busy_above.is_some_and(|most| writes.len() > most) {
            self.world.count("asked to wait");
            return (Plan::Fail(Class::Unavailable, "429"), delay);
        }
        if writes.iter().any(|write| write.kind == Kind::Suspect) {
            self.world.count("suspect");
            return (Plan::Lost(some), delay);
        }
        if draws[0] {
            return (Plan::Fail(Class::Unavailable, "503"), delay);
        }
        if draws[1] || draws[2] || delay > TIMEOUT {
            self.world.count(if draws[1] { "lost response" } else { "half a response" });
            return (if draws[2] { Plan::Half } else { Plan::Lost(vec![true; writes.len()]) }, delay);
        }
        (Plan::Serve { retries }, delay)
    }
}

fn take(world: &World, store: &mut Store, write: &SimWrite) -> Verdict {
    match &mut store.keyed {
        Some(keyed) => keyed::apply(world, keyed, write),
        None => store.apply(write),
    }
}

/// Goes on whether or not somebody waits for the answer.
async fn serve(world: Arc<World>, writes: Vec<SimWrite>, plan: Plan, delay: Duration) -> Result<Vec<Verdict>, Failure> {
    tokio::time::sleep(delay).await;
    let mut guard = world.store.lock().unwrap();
    let store = &mut *guard;
    store.active -= 1;
    if let Some(class) = store.down() {
        world.count("met an outage");
        return Err(Failure::new(class, "outage"));
    }
    let mut answer = Vec::new();
    match plan {
        Plan::Fail(class, why) => return Err(Failure::new(class, why)),
        Plan::Lost(applied) => {
            for (write, _) in writes.iter().zip(applied).filter(|(w, applied)| *applied && w.kind != Kind::Suspect) {
                take(&world, store, write);
            }
            return Err(Failure::broken("connection reset"));
        }
        Plan::Half => {
            answer.extend(writes.iter().map(|write| take(&world, store, write)));
            answer.pop();
            return Ok(answer);
        }
        Plan::Serve { retries } => {
            for (write, retry) in writes.iter().zip(retries) {
                let left = store.throttled.get_mut(&(write.at.clone(), write.offset)).filter(|left| **left > 0);
                let throttled = left.map(|left| *left -= 1).is_some();
                if retry || throttled {
                    world.count("item retried");
                    answer.push(Verdict::Retry(Failure::unavailable("429")));
                } else {
                    answer.push(take(&world, store, write));
                }
            }
        }
    }
    Ok(answer)
}

#[async_trait]
impl Sink<SimWrite> for SimSink {
    fn name(&self) -> &'static str {
        "store"
    }

    fn limits(&self) -> SinkLimits {
        self.limits
    }

    async fn write(&self, writes: &[&SimWrite]) -> Result<Vec<Verdict>, Failure> {
        let writes: Vec<SimWrite> = writes.iter().map(|write| (*write).clone()).collect();
        let _client = self.check(&writes);
        let (plan, delay) = self.plan(&writes);
        self.world.note(|| {
            let names = writes.iter().map(|w| format!("{}@{}={}v{}", w.at, w.offset, w.document, w.version));
            format!("request of {} for {delay:?}: {}", writes.len(), names.collect::<Vec<_>>().join(" "))
        });
        self.world.store.lock().unwrap().active += 1;
        let answer = tokio::spawn(serve(self.world.clone(), writes, plan, delay));
        match tokio::time::timeout(TIMEOUT, answer).await {
            Ok(answer) => answer.unwrap(),
            Err(_) => Err(Failure::broken("timed out")),
        }
    }

    async fn probe(&self) -> Result<(), Failure> {
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.world.count("probed");
        let mut store = self.world.store.lock().unwrap();
        let failed = store.down().or_else(|| store.astray());
        failed.map_or(Ok(()), |class| Err(Failure::new(class, "outage")))
    }

    async fn probe_of(&self, write: &SimWrite) -> Result<(), Failure> {
        self.probe().await?;
        match self.world.store.lock().unwrap().shard_fails(&write.document) {
            true => Err(Failure::broken("500 of the shard")),
            false => Ok(()),
        }
    }
}
