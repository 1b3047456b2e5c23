//! The retry loop: writes go to the store until each has a fate.
//!
//! It owns the judgement of failures: an outage is waited out, a refused request is halved until the offender stands
//! alone, and only a write that failed alone while others succeeded uses up attempts. It guarantees that an outage
//! rejects nothing and that nothing is sent for a partition that was taken away.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use crate::batcher::Span;
use crate::breaker::{Breaker, WINDOW};
use crate::leases::Leases;
use crate::ledger::Seq;
use crate::mutants::{self, Mutant};
use crate::sink::{Failure, Kind, Reject, Sink, Verdict, Write};
use crate::status::Status;

/// Times in a row that a request is asked to wait, until it is halved.
const WAITS: u32 = 5;

/// How failures are tried again.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Retries after the first try, for a write that fails alone while others succeed.
    pub attempts: u32,
    /// The first pause; it doubles up to `max_delay`, and each is drawn from its upper half.
    pub delay: Duration,
    pub max_delay: Duration,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Applied,
    Superseded,
    Rejected {
        reject: Reject,
        /// Times that the write was tried.
        attempts: u32,
    },
    /// Its partition was taken away.
    Abandoned,
}

/// A write, and which of the batch's spans its record belongs to.
pub(crate) struct Pending<W> {
    pub write: W,
    pub span: usize,
}

/// Writes that travel in one request.
#[derive(Debug, Default)]
struct Group {
    /// Indices of the writes.
    items: Vec<usize>,
    /// Failures in a row, for the pause.
    failures: u32,
    /// Times in a row that it was asked to wait.
    waits: u32,
    /// Times that the request broke.
    broken: u32,
    /// Times that the single write failed while others succeeded.
    attempts: u32,
    /// The store's successes, and its failures, as of the last failure of this group.
    successes: u64,
    troubles: u64,
    not_before: Option<Instant>,
}

/// Writes to one store; shared by the batches in flight.
pub(crate) struct Writer<W: Write> {
    sink: Arc<dyn Sink<W>>,
    policy: RetryPolicy,
    status: Arc<Status>,
    breaker: Mutex<Breaker>,
    /// Requests in which at least one write was settled.
    successes: AtomicU64,
    /// Requests that failed, whatever the reason, but for suspects: writes that failed alone more than once.
    troubles: AtomicU64,
    /// Suspects that were given up on since the last success.
    blamed: AtomicU64,
    /// As many may be: when every batch in flight waits for a suspect, nothing else can succeed.
    slots: u64,
    jitter: Mutex<StdRng>,
}

impl<W: Write> Writer<W> {
    /// `slots` is how many batches are in flight at most.
    pub(crate) fn new(
        sink: Arc<dyn Sink<W>>,
        policy: RetryPolicy,
        status: Arc<Status>,
        slots: NonZeroUsize,
        seed: u64,
    ) -> Self {
        Self {
            sink,
            policy,
            status,
            breaker: Mutex::default(),
            successes: AtomicU64::new(0),
            troubles: AtomicU64::new(0),
            blamed: AtomicU64::new(0),
            slots: slots.get() as u64,
            jitter: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    pub(crate) fn sink(&self) -> &dyn Sink<W> {
        &*self.sink
    }

    /// Whether the breaker keeps from the dead letters what the store rejects.
    pub(crate) fn is_open(&self) -> bool {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner).is_open()
    }

    /// Lets an open breaker dead-letter what the store rejects. Returns whether it was open.
    pub(crate) fn proceed(&self) -> bool {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner).proceed()
    }

    /// Writes until each write has a fate; gives the fates in the order of the writes.
    pub(crate) async fn write(&self, seq: Seq, leases: &Leases, spans: &[Span], writes: &[Pending<W>]) -> Vec<Fate> {
        let mut fates: Vec<Option<Fate>> = vec![None; writes.len()];
        let mut queue = self.requests(writes);
        while let Some(mut group) = queue.pop_front() {
            if let Some(pause) = group.not_before.map(|at| at.saturating_duration_since(Instant::now())) {
                leases.sleep(pause).await;
            }
            if !leases.confirm(spans).await {
                abandon(&mut group, leases, spans, writes, &mut fates);
            }
            if group.items.is_empty() {
                continue;
            }
            let request: Vec<&W> = group.items.iter().filter_map(|&item| writes.get(item)).map(|p| &p.write).collect();
            let failure = match self.sink.write(&request).await {
                Ok(verdicts) if verdicts.len() == request.len() => self.settle(&mut group, verdicts, &mut fates),
                Ok(verdicts) => {
                    Some(Failure::broken(format!("{} verdicts for {} writes", verdicts.len(), request.len())))
                }
                Err(failure) => Some(failure),
            };
            match failure {
                None => self.status.clear_by(seq.0, self.sink.name()),
                Some(failure) => self.again(seq, group, failure, &mut queue, &mut fates).await,
            }
        }
        self.status.clear_by(seq.0, self.sink.name());
        // Every group leaves the queue only when its items have fates, so nothing is left to default.
        fates.into_iter().map(|fate| fate.unwrap_or(Fate::Abandoned)).collect()
    }

    /// Splits the writes into requests by the store's limits.
    fn requests(&self, writes: &[Pending<W>]) -> VecDeque<Group> {
        let limits = self.sink.limits();
        let mut queue = VecDeque::new();
        let mut group = Group::default();
        let mut bytes = 0;
        for (item, pending) in writes.iter().enumerate() {
            let size = pending.write.bytes();
            let full = group.items.len() >= limits.items || bytes + size > limits.bytes;
            if full && !group.items.is_empty() {
                queue.push_back(std::mem::take(&mut group));
                bytes = 0;
            }
            group.items.push(item);
            bytes += size;
        }
        if !group.items.is_empty() {
            queue.push_back(group);
        }
        queue
    }

    /// Takes the verdicts in; what has to be tried again stays in the group. Returns why, when anything stays.
    fn settle(&self, group: &mut Group, verdicts: Vec<Verdict>, fates: &mut [Option<Fate>]) -> Option<Failure> {
        let open = {
            let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
            for verdict in verdicts.iter().filter(|verdict| !matches!(verdict, Verdict::Retry(_))) {
                breaker.note(matches!(verdict, Verdict::Reject(_)));
            }
            breaker.is_open()
        };
        let tries = group.attempts + 1;
        let mut worst: Option<Failure> = None;
        let mut again = Vec::new();
        let mut settled = false;
        for (item, verdict) in group.items.drain(..).zip(verdicts) {
            let fate = match verdict {
                Verdict::Applied => Fate::Applied,
                Verdict::Superseded => Fate::Superseded,
                Verdict::Reject(reject) if !open => Fate::Rejected { reject, attempts: tries },
                Verdict::Reject(reject) => {
                    worst = Some(self.breaker_failure(&reject));
                    again.push(item);
                    continue;
                }
                Verdict::Retry(failure) => {
                    // The one that says most about the store speaks for the group.
                    if worst.as_ref().is_none_or(|worst| worst.kind == Kind::Broken) {
                        worst = Some(failure);
                    }
                    again.push(item);
                    continue;
                }
            };
            settled = true;
            if let Some(slot) = fates.get_mut(item) {
                *slot = Some(fate);
            }
        }
        if settled {
            self.successes.fetch_add(1, Ordering::Relaxed);
            self.blamed.store(0, Ordering::Relaxed);
            (group.failures, group.waits) = (0, 0);
        }
        group.items = again;
        worst
    }

    fn breaker_failure(&self, reject: &Reject) -> Failure {
        Failure::misconfigured(format!(
            "over half of the last {WINDOW} writes were rejected ({}: {}); mend the store's mapping, or POST /continue to \
             dead-letter them",
            reject.class, reject.why
        ))
    }

    /// Puts what failed back into the queue, or gives up on a write that failed alone too often.
    async fn again(
        &self,
        seq: Seq,
        mut group: Group,
        mut failure: Failure,
        queue: &mut VecDeque<Group>,
        fates: &mut [Option<Fate>],
    ) {
        metrics::counter!("millrace_write_failures_total", "sink" => self.sink.name(), "kind" => kind_name(failure.kind))
            .increment(1);
        let alone = group.items.len() == 1;
        if failure.kind == Kind::Refused {
            // Where an empty write is refused as well, it is not the fault of these.
            let why = Reject::new("refused_by_store", failure.why);
            failure = match self.sink.probe().await {
                Ok(()) if !alone && !mutants::on(Mutant::NoHalving) => return halve(group, None, queue),
                Ok(()) if !self.trips() => return reject(&group, why, fates),
                Ok(()) => self.breaker_failure(&why),
                Err(probe) => {
                    Failure::misconfigured(format!("{}, and an empty write fails as well: {}", why.why, probe.why))
                }
            };
        }
        // What fails alone again may have itself to blame, and then says nothing about the store.
        let suspect = failure.kind == Kind::Broken && alone && group.broken > 0;
        let troubles = self.troubles.fetch_add(u64::from(!suspect), Ordering::Relaxed) + u64::from(!suspect);
        self.status.raise_by(seq.0, self.sink.name(), failure.why.clone());
        group.failures += 1;
        group.waits = if failure.kind == Kind::Unavailable { group.waits + 1 } else { 0 };
        let not_before = Some(Instant::now() + self.pause(group.failures));
        if failure.kind == Kind::Broken {
            group.broken += 1;
            if suspect && self.others_fare_well(&group, troubles).await {
                group.attempts += 1;
                if group.attempts > self.policy.attempts && !self.trips() {
                    self.blamed.fetch_add(1, Ordering::Relaxed);
                    return reject(&group, Reject::new("attempts_exhausted", failure.why), fates);
                }
            }
            group.successes = self.successes.load(Ordering::Relaxed);
            group.troubles = troubles;
            if !alone && group.broken >= 2 && self.sink.probe().await.is_ok() {
                return halve(group, None, queue);
            }
        }
        // A store that can never hold so much at once asks to wait for ever.
        if !alone && group.waits >= WAITS && self.sink.probe().await.is_ok() {
            return halve(group, not_before, queue);
        }
        group.not_before = not_before;
        queue.push_back(group);
    }

    /// Whether the store took other writes since the group failed last; where there were none to take, whether it would
    /// have: nothing but suspects failed meanwhile. Either way it takes a write that changes nothing now. Such a write may pass
    /// where no real one does, so without a success only as many suspects are believed as can be in flight at once.
    async fn others_fare_well(&self, group: &Group, troubles: u64) -> bool {
        let others_passed = self.successes.load(Ordering::Relaxed) > group.successes;
        let none_failed = troubles == group.troubles && self.blamed.load(Ordering::Relaxed) < self.slots;
        (others_passed || none_failed) && self.sink.probe().await.is_ok()
    }

    /// Notes a reject that no verdict told of. Returns whether the breaker keeps it from the dead letters.
    fn trips(&self) -> bool {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        breaker.note(true);
        breaker.is_open()
    }

    /// Doubles with each failure up to the cap, drawn from the upper half so that instances spread out.
    fn pause(&self, failures: u32) -> Duration {
        let doubled = self.policy.delay.saturating_mul(1 << (failures - 1).min(16));
        let full = doubled.min(self.policy.max_delay);
        let share = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).random_range(0.5..=1.0);
        full.mul_f64(share)
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Unavailable => "unavailable",
        Kind::Misconfigured => "misconfigured",
        Kind::Broken => "broken",
        Kind::Refused => "refused",
    }
}

/// Both halves go to the front, in their order, at once unless a pause is given; each keeps the history that led here, but
/// for the pauses: whoever is found to be the offender climbs the whole ladder alone.
fn halve(mut group: Group, not_before: Option<Instant>, queue: &mut VecDeque<Group>) {
    let second = group.items.split_off(group.items.len() / 2);
    let Group { broken, successes, troubles, .. } = group;
    for items in [second, group.items] {
        queue.push_front(Group { items, broken, successes, troubles, not_before, ..Group::default() });
    }
}

fn reject(group: &Group, reject: Reject, fates: &mut [Option<Fate>]) {
    for &item in &group.items {
        if let Some(slot) = fates.get_mut(item) {
            *slot = Some(Fate::Rejected { reject: reject.clone(), attempts: group.attempts.max(1) });
        }
    }
}

/// Takes out what belongs to partitions that are gone.
fn abandon<W>(group: &mut Group, leases: &Leases, spans: &[Span], writes: &[Pending<W>], fates: &mut [Option<Fate>]) {
    let live: Vec<bool> = spans.iter().map(|span| leases.live(span)).collect();
    group.items.retain(|&item| {
        let alive = writes.get(item).and_then(|pending| live.get(pending.span)).copied().unwrap_or(false);
        if !alive && let Some(slot) = fates.get_mut(item) {
            *slot = Some(Fate::Abandoned);
        }
        alive
    });
}
