//! The retry loop: writes go to the store until each has its result.
//!
//! It waits for the store. A refused request is halved until the offender stands alone; whether a write that fails alone has
//! itself to blame is for the judge to say. It guarantees that an outage rejects nothing and that nothing is sent for a
//! partition that was taken away.

pub(crate) mod breaker;
pub(crate) mod group;
pub(crate) mod judge;
pub(crate) mod write_run;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use crate::binding::{Binding, Writes};
use crate::engine::batcher::Span;
use crate::engine::delivery::Delivery;
use crate::mutant;
use crate::offsets::leases::Leases;
use crate::offsets::offset_tracker::Seq;
use crate::outcome::{Outcome, RecordResult};
use crate::park::Park;
use crate::sink::{Failure, FailureKind, Reject, Verdict};
use crate::status::Status;
use crate::write::breaker::WINDOW;
use crate::write::group::{Group, Suspicion, abandon, halve, next, reject, requests};
use crate::write::judge::{Coordinate, Judge, JudgeStep, SUSPECTS, plan};
use crate::write::write_run::WriteRun;

pub(crate) use crate::write::group::WriteOrigin;

/// Times in a row that a request is asked to wait, until it is halved.
const WAITS: u32 = 5;
/// Times in a row that a single write is asked to wait, until a person may give up on it.
const LONG_WAITS: u32 = 20;
/// The longest pause between two tries of an attempt.
const STEP: Duration = Duration::from_secs(1);

/// How failures are tried again.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts after the first, for a write that fails alone while the store is well.
    pub attempts: u32,
    /// The first pause; it doubles up to `max_delay`, and each is drawn from its upper half.
    pub delay: Duration,
    pub max_delay: Duration,
}

/// Writes to one store; shared by the batches in flight.
pub(crate) struct Writer {
    store: Arc<dyn Binding>,
    policy: RetryPolicy,
    status: Arc<Status>,
    judge: Judge,
    rng: Mutex<StdRng>,
    /// What is told of requests that were asked to wait.
    pub delivery: Option<Arc<Delivery>>,
}

impl Writer {
    pub(crate) fn new(store: Arc<dyn Binding>, policy: RetryPolicy, status: Arc<Status>, seed: u64) -> Self {
        let rng = Mutex::new(StdRng::seed_from_u64(seed));
        Self { store, policy, status, judge: Judge::default(), rng, delivery: None }
    }

    /// Whether something waits for a person to say go on.
    pub(crate) fn is_open(&self) -> bool {
        self.judge.is_open()
    }

    /// Dead-letters what waits for a person. Returns whether anything did.
    pub(crate) fn proceed(&self) -> bool {
        self.judge.proceed()
    }

    /// Writes until each write has its result; gives the results in the order of the writes. `sources` says where the record of
    /// each stands.
    pub(crate) async fn write(
        &self,
        seq: Seq,
        leases: &Leases,
        spans: &[Span],
        writes: &dyn Writes,
        sources: &[WriteOrigin],
        park: Option<&Park>,
    ) -> Vec<RecordResult> {
        let queue = requests(self.store.limits(), self.store.orders_keys(), writes);
        let results = vec![RecordResult::Open; writes.len()];
        let mut run = WriteRun { seq, spans, writes, sources, park, queue, conflicts: Vec::new(), results };
        while let Some(mut group) = next(&mut run.queue).or_else(|| run.next_conflict()) {
            if let Some(pause) = group.not_before.map(|at| at.saturating_duration_since(Instant::now())) {
                leases.sleep(pause).await;
            }
            if !leases.confirm(spans).await {
                abandon(&mut group, leases, spans, sources, &mut run.results);
            }
            if group.items.is_empty() {
                group.suspect.iter().for_each(|suspect| self.judge.clear(&suspect.record));
                continue;
            }
            self.turn(group, &mut run).await;
        }
        self.status.clear_by(seq.0, self.store.store());
        // A group leaves the queue only when each of its writes has its result: none is open.
        run.results
    }

    /// Sends a group, or the no-op whose turn it is.
    async fn turn(&self, mut group: Group, run: &mut WriteRun<'_>) {
        let step = group.suspect.as_mut().and_then(|suspect| suspect.steps.pop_front());
        let writes = run.writes;
        if let (Some(step @ (JudgeStep::Nothing | JudgeStep::Blank)), [write]) = (step, &*group.items) {
            return match writes.probe_of(*write).await {
                Err(failure) if step == JudgeStep::Nothing => self.again(group, failure.of_store(), run).await,
                _ => self.advance(group, None, run),
            };
        }
        let sent = group.items.len();
        let failure = match writes.send(&group.items, &run.waiting(&group.items)).await {
            Ok(verdicts) if verdicts.len() == sent => self.settle(&mut group, verdicts, run),
            // Whoever answers so does not know what it was asked.
            Ok(verdicts) => Some(Failure::unavailable(format!("{} verdicts for {sent} writes", verdicts.len()))),
            Err(failure) => Some(failure),
        };
        if let (Some(delivery), Some(FailureKind::Unavailable)) = (&self.delivery, failure.as_ref().map(|why| why.kind))
        {
            delivery.note_rejection();
        }
        match failure {
            None => self.status.clear_by(run.seq.0, self.store.store()),
            Some(failure) => self.again(group, failure, run).await,
        }
    }

    /// Takes the verdicts in; what has to be tried again stays in the group. Returns why, when anything stays.
    fn settle(&self, group: &mut Group, mut verdicts: Vec<Verdict>, run: &mut WriteRun<'_>) -> Option<Failure> {
        let last = group.last;
        run.waiting(&group.items).put_off(&mut verdicts, last);
        let finals = verdicts.iter().filter(|verdict| verdict.is_final(last));
        let open = self.judge.note(finals.map(|v| matches!(v, Verdict::Reject(_) | Verdict::Conflict(_))));
        let attempts = group.suspect.as_ref().map_or(0, |suspect| suspect.attempts) + 1;
        let mut worst: Option<Failure> = None;
        let mut again = Vec::new();
        let mut settled = false;
        for (item, verdict) in group.items.drain(..).zip(verdicts) {
            let result = match verdict {
                Verdict::Applied => RecordResult::Ended(Outcome::Applied),
                Verdict::Superseded => RecordResult::Ended(Outcome::Superseded),
                Verdict::Later(reject) => RecordResult::Later(reject),
                Verdict::Behind => RecordResult::Behind,
                Verdict::Conflict(_) if !last => {
                    run.conflicts.push(item);
                    continue;
                }
                Verdict::Reject(reject) | Verdict::Conflict(reject) if !open => {
                    RecordResult::Rejected { reject, attempts }
                }
                Verdict::Reject(reject) | Verdict::Conflict(reject) => {
                    worst = Some(breaker_failure(&reject, &self.continuing()));
                    again.push(item);
                    continue;
                }
                Verdict::Retry(failure) => {
                    // The one that says most about the store speaks for the group.
                    if worst.as_ref().is_none_or(|worst| worst.kind == FailureKind::Broken) {
                        worst = Some(failure);
                    }
                    again.push(item);
                    continue;
                }
            };
            settled = true;
            if let Some(record) = run.sources.get(item).and_then(|source| source.coordinate(run.spans)) {
                self.judge.clear(&record);
            }
            if let Some(slot) = run.results.get_mut(item) {
                *slot = result;
            }
        }
        if settled {
            (group.failures, group.waits) = (0, 0);
        }
        group.items = again;
        worst
    }

    /// Puts what failed back into the queue, or gives up on a write that has itself to blame.
    async fn again(&self, mut group: Group, mut failure: Failure, run: &mut WriteRun<'_>) {
        metrics::counter!("millrace_write_failures_total", "sink" => self.store.store(), "kind" => failure.kind.name())
            .increment(1);
        let alone = group.items.len() == 1;
        // The halves of what is in order would go out of it.
        let halves = !alone && !self.store.orders_keys();
        let accuses = failure.kind == FailureKind::Refused || failure.kind == FailureKind::TurnedAway && !alone;
        if accuses && (alone || halves) {
            // Where an empty write is refused as well, it is not the fault of these.
            let why = Reject::new("refused_by_store", failure.why);
            failure = match self.store.probe().await {
                Ok(()) if halves && !mutant!(NoHalving) => return halve(group, None, &mut run.queue),
                Ok(()) if !self.judge.note(std::iter::once(true)) => return self.reject_group(&group, why, run),
                Ok(()) => breaker_failure(&why, &self.continuing()),
                Err(probe) => {
                    Failure::misconfigured(format!("{}, and an empty write fails as well: {}", why.why, probe.why))
                }
            };
        }
        if alone && group.suspect.as_ref().is_some_and(|suspect| suspect.failure.kind == failure.kind) {
            return self.advance(group, Some(failure), run);
        }
        if let Some(suspect) = &mut group.suspect {
            // Something else is wrong as well: counting begins anew.
            (suspect.attempts, suspect.steps) = (0, self.plan());
        }
        group.failures += 1;
        group.waits = if failure.kind == FailureKind::Unavailable { group.waits + 1 } else { 0 };
        let not_before = Some(Instant::now() + self.pause(group.failures));
        if failure.kind == FailureKind::Broken {
            group.broken += 1;
            if halves && group.broken >= 2 && self.store.probe().await.is_ok() {
                self.raise(run, &failure);
                return halve(group, None, &mut run.queue);
            }
        }
        if alone && matches!(failure.kind, FailureKind::Broken | FailureKind::TurnedAway) {
            self.suspect(&mut group, &mut failure, run);
        }
        // A store that can never hold so much at once asks to wait for ever.
        if halves && group.waits >= WAITS && self.store.probe().await.is_ok() {
            self.raise(run, &failure);
            return halve(group, not_before, &mut run.queue);
        }
        if let (true, Some(record)) = (alone && group.waits >= LONG_WAITS, run.record(&group)) {
            if self.judge.is_pardoned(&record) {
                let why = format!("given up on by hand: {}", failure.why);
                return self.reject_group(&group, Reject::new("given_up", why), run);
            }
            if self.probe_of(run, &group).await {
                self.judge.waits(&record);
                failure.why = format!("{}; {} dead-letters it", of(&record, &failure.why), self.continuing()).into();
            }
        }
        self.raise(run, &failure);
        group.not_before = not_before;
        run.queue.push_back(group);
    }

    /// Puts a single write under suspicion; its failure names it from now on.
    fn suspect(&self, group: &mut Group, failure: &mut Failure, run: &WriteRun<'_>) {
        let Some(record) = run.record(group) else { return };
        match failure.kind {
            FailureKind::Broken => self.judge.accuse(&record),
            _ => self.judge.acquit(&record),
        }
        let why = of(&record, &failure.why);
        let last = Failure { kind: failure.kind, why: std::mem::replace(&mut failure.why, why) };
        group.suspect = Some(Suspicion { record, failure: last, attempts: 0, steps: self.plan() });
    }

    /// How a person lets this system go on.
    fn continuing(&self) -> String {
        format!("POST /continue/{}", self.status.system())
    }

    /// A suspect failed once more, or the no-op beside it passed: on to the next try, or the attempt speaks against it.
    fn advance(&self, mut group: Group, failed: Option<Failure>, run: &mut WriteRun<'_>) {
        let (plan, mut pause) = {
            let mut rng = self.rng();
            (plan(&mut *rng), self.policy.delay.min(STEP).mul_f64(rng.random_range(0.0..=1.0)))
        };
        let Some(suspect) = &mut group.suspect else { return run.queue.push_back(group) };
        suspect.failure = failed.unwrap_or_else(|| suspect.failure.clone());
        if suspect.steps.is_empty() {
            suspect.attempts += 1;
            suspect.steps = plan;
            let why = suspect.failure.why.clone();
            let class =
                if suspect.failure.kind == FailureKind::TurnedAway { "refused_by_store" } else { "attempts_exhausted" };
            let (reject, mut why) = (Reject::new(class, why.clone()), of(&suspect.record, &why));
            if suspect.attempts > self.policy.attempts {
                if self.judge.may_bury(&suspect.record) {
                    return self.reject_group(&group, reject, run);
                }
                suspect.attempts = self.policy.attempts;
                why = match self.judge.rejects_most() {
                    true => breaker_failure(&reject, &self.continuing()).why,
                    false => {
                        let lately = format!("more than {SUSPECTS} writes fail alone lately");
                        format!("{why}; {lately}; {} dead-letters them", self.continuing()).into()
                    }
                };
            }
            self.raise(run, &Failure::broken(why));
            group.failures += 1;
            pause = self.pause(group.failures);
        }
        group.not_before = Some(Instant::now() + pause);
        run.queue.push_back(group);
    }

    fn reject_group(&self, group: &Group, why: Reject, run: &mut WriteRun<'_>) {
        reject(group, why, &mut run.results);
        if let Some(record) = run.record(group) {
            self.judge.clear(&record);
        }
    }

    async fn probe_of(&self, run: &WriteRun<'_>, group: &Group) -> bool {
        match group.items.first() {
            Some(&write) => run.writes.probe_of(write).await.is_ok(),
            None => false,
        }
    }

    fn raise(&self, run: &WriteRun<'_>, failure: &Failure) {
        self.status.raise_by(run.seq.0, self.store.store(), failure.why.clone());
    }

    fn rng(&self) -> MutexGuard<'_, StdRng> {
        self.rng.lock()
    }

    fn plan(&self) -> VecDeque<JudgeStep> {
        plan(&mut *self.rng())
    }

    /// Doubles with each failure up to the cap, drawn from the upper half so that instances spread out.
    fn pause(&self, failures: u32) -> Duration {
        let doubled = self.policy.delay.saturating_mul(1 << (failures.max(1) - 1).min(16));
        doubled.min(self.policy.max_delay).mul_f64(self.rng().random_range(0.5..=1.0))
    }
}

fn of((at, offset): &Coordinate, why: &str) -> crate::sink::Why {
    format!("the record at {}/{}/{offset}: {why}", at.topic, at.partition).into()
}

fn breaker_failure(reject: &Reject, continuing: &str) -> Failure {
    Failure::misconfigured(format!(
        "over half of the last {WINDOW} writes were rejected ({}: {}); mend the store's mapping, or dead-letter them by \
         {continuing}",
        reject.class, reject.why
    ))
}
