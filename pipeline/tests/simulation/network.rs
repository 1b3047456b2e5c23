//! The network before the store: it loses, delays and breaks requests. The sink of an engine, and what must hold of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pipeline::sink::{Failure, FailureKind as Class, Sink, SinkLimits, Verdict, Waiting};
use pipeline::{Leases, TopicPartition};
use rand::Rng;
use rand::rngs::StdRng;

use crate::keyed;
use crate::model::{Shared, World};
use crate::store::Store;
use crate::world::{Kind, STORE_BYTES, SimWrite};

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
    /// A request may hold several writes of one key, which are taken in order.
    pub orders_keys: bool,
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
        let apart = (self.limits.one_write_a_document || self.by_key) && !self.orders_keys;
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
        let bytes: usize = writes.iter().map(pipeline::sink::Write::bytes).sum();
        if store.refuses_all || bytes > STORE_BYTES && !self.orders_keys {
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

/// Takes writes, or says of one that it is too busy for it. In order, a later write of a key is left where an earlier one is not taken yet.
fn take_all<'w>(
    world: &World,
    store: &mut Store,
    writes: impl Iterator<Item = (&'w SimWrite, bool)>,
    in_order: bool,
) -> Vec<Verdict> {
    let mut held: BTreeMap<&str, Verdict> = BTreeMap::new();
    let mut answer = Vec::new();
    for (write, retry) in writes {
        let mut before: Vec<&Verdict> = write.keys().filter_map(|key| held.get(key)).collect();
        // What waits goes before what is only tried again.
        before.sort_by_key(|verdict| !matches!(verdict, Verdict::Behind));
        let behind = before.first().map(|verdict| (*verdict).clone());
        let left = store.throttled.get_mut(&(write.at.clone(), write.offset)).filter(|left| **left > 0);
        let throttled = left.map(|left| *left -= 1).is_some();
        let verdict = match behind {
            Some(verdict) => verdict,
            None if retry || throttled => {
                world.count("item retried");
                Verdict::Retry(Failure::unavailable("429"))
            }
            None => take(world, store, write),
        };
        let holds = match &verdict {
            Verdict::Later(_) | Verdict::Behind => Some(Verdict::Behind),
            Verdict::Retry(_) => Some(verdict.clone()),
            _ => None,
        };
        if let Some(verdict) = holds.filter(|_| in_order) {
            held.extend(write.keys().map(|key| (key, verdict.clone())));
        }
        answer.push(verdict);
    }
    answer
}

/// Goes on whether or not somebody waits for the answer.
async fn serve(
    world: Arc<World>,
    writes: Vec<SimWrite>,
    plan: Plan,
    delay: Duration,
    in_order: bool,
) -> Result<Vec<Verdict>, Failure> {
    tokio::time::sleep(delay).await;
    let mut guard = world.store.lock().unwrap();
    let store = &mut *guard;
    store.active -= 1;
    if let Some(class) = store.down() {
        world.count("met an outage");
        return Err(Failure::new(class, "outage"));
    }
    match plan {
        Plan::Fail(class, why) => Err(Failure::new(class, why)),
        Plan::Lost(applied) => {
            let sent = writes.iter().zip(applied).filter(|(w, applied)| *applied && w.kind != Kind::Suspect);
            take_all(&world, store, sent.map(|(write, _)| (write, false)), in_order);
            Err(Failure::broken("connection reset"))
        }
        Plan::Half => {
            let mut answer = take_all(&world, store, writes.iter().map(|write| (write, false)), in_order);
            answer.pop();
            Ok(answer)
        }
        Plan::Serve { retries } => Ok(take_all(&world, store, writes.iter().zip(retries), in_order)),
    }
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
        let answer = tokio::spawn(serve(self.world.clone(), writes, plan, delay, self.orders_keys));
        match tokio::time::timeout(TIMEOUT, answer).await {
            Ok(answer) => answer.unwrap(),
            Err(_) => Err(Failure::broken("timed out")),
        }
    }

    fn orders_keys(&self) -> bool {
        self.orders_keys
    }

    async fn write_in_order(&self, writes: &[&SimWrite], waiting: &dyn Waiting) -> Result<Vec<Verdict>, Failure> {
        let mut verdicts = self.write(writes).await?;
        for (place, verdict) in verdicts.iter_mut().enumerate() {
            if let Verdict::Conflict(why) = verdict {
                let may = waiting.conflict_may_wait(place, &why.class, &|_| true);
                *verdict = if may { Verdict::Later(why.clone()) } else { Verdict::Reject(why.clone()) };
            } else if let Verdict::Later(why) = verdict
                && !waiting.may_wait(place, &why.class)
            {
                *verdict = Verdict::Reject(why.clone());
            }
        }
        Ok(verdicts)
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
