//! Operations as a store: each is applied once, in the order of the log, or judged.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use pipeline::sink::{BoxFuture, Failure, Order, Reject, Sink, SinkLimits, Verdict};
use tokio::time;

use super::apply::{Applied, apply};
use super::cache::{CacheHook, CacheWriter};
use super::catalogue::Catalogue;
use super::errors::{ErrorMeaning, SqlError};
use super::health::DatabaseHealth;
use super::ladder::{OperationLadder, Rung};
use super::marks::{self, Marked};
use super::operation::{OperationWrite, ResolvedOperation, Unresolved, entity_of, resolve};
use super::session::OperationStore;
use crate::config::DatabaseSettings;
use crate::stores::audit::hex;

/// Times that a batch is begun anew because its transaction ended, until each operation has one of its own.
const RESTARTS: u32 = 3;
/// Most operations of a transaction.
const TOGETHER: usize = 1_000;

/// Applies operations.
pub struct OperationSink {
    store: OperationStore,
    catalogue: Catalogue,
    ladder: OperationLadder,
    health: Arc<DatabaseHealth>,
    cache: CacheHook,
    /// Whether letters are tried again by hand.
    replays: bool,
}

/// What is known of the operations of a request so far.
type Verdicts = Vec<Option<Verdict>>;

impl OperationSink {
    pub fn new(
        store: OperationStore,
        settings: &DatabaseSettings,
        health: Arc<DatabaseHealth>,
        cache: Option<Arc<CacheWriter>>,
        order: Order,
    ) -> Self {
        let catalogue = Catalogue::new(store.clone(), settings.entities.clone());
        let ladder = OperationLadder::new(settings.retries.attempts, settings.retries.delay);
        Self { store, catalogue, ladder, health, cache: CacheHook(cache), replays: order == Order::Any }
    }

    async fn take(&self, writes: &[&OperationWrite]) -> Result<Vec<Verdict>, SqlError> {
        let mut verdicts: Verdicts = vec![None; writes.len()];
        // The second time with the catalogue as it is now, where a table was not as it was known.
        let mut since = None;
        loop {
            let begun = Instant::now();
            match self.pass(writes, &mut verdicts, since).await {
                Err(error) if error.meaning == ErrorMeaning::Catalogue && since.is_none() => since = Some(begun),
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        let silent = || Verdict::Retry(Failure::unavailable("the operation was not tried"));
        Ok(verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(silent)).collect())
    }

    async fn pass(
        &self,
        writes: &[&OperationWrite],
        verdicts: &mut Verdicts,
        since: Option<Instant>,
    ) -> Result<(), SqlError> {
        let mut resolved = Vec::with_capacity(writes.len());
        for (index, write) in writes.iter().enumerate() {
            if verdicts.get(index).is_some_and(Option::is_some) {
                continue;
            }
            match self.resolved(index, write, since).await? {
                Ok(operation) => resolved.push(operation),
                Err(reject) => set(verdicts, index, Verdict::Reject(reject)),
            }
        }
        let all: Vec<&ResolvedOperation<'_>> = resolved.iter().collect();
        let due = self.ladder.due(&all, time::Instant::now());
        let mut ready = Vec::with_capacity(all.len());
        for (operation, due) in all.into_iter().zip(due) {
            if due {
                ready.push(operation);
            } else {
                self.ladder.behind(operation, time::Instant::now());
                set(
                    verdicts,
                    operation.index,
                    Verdict::Retry(waits("it waits for its time, or behind another of its row")),
                );
            }
        }
        for some in ready.chunks(TOGETHER) {
            self.batch(some, verdicts).await?;
        }
        Ok(())
    }

    /// As rows; what is not known is asked of the database once more before it is refused.
    async fn resolved<'w>(
        &self,
        index: usize,
        write: &'w OperationWrite,
        since: Option<Instant>,
    ) -> Result<Result<ResolvedOperation<'w>, Reject>, SqlError> {
        let operation = match entity_of(write) {
            Ok(operation) => operation,
            Err(reject) => return Ok(Err(reject)),
        };
        let entity = operation.entity.as_ref();
        let mut since = since;
        loop {
            let begun = Instant::now();
            let table = self.catalogue.table(entity, since).await?;
            let unknown = match table.map(|table| resolve(index, write, &operation, &table)) {
                Some(Ok(operation)) => return Ok(Ok(operation)),
                Some(Err(Unresolved::Never(reject))) => return Ok(Err(reject)),
                Some(Err(Unresolved::Unknown(reject))) => reject,
                None => Reject::new(
                    "unknown_entity",
                    "no table of the database is configured for `entity`, or it is not there",
                ),
            };
            if since.is_some() {
                return Ok(Err(unknown));
            }
            since = Some(begun);
        }
    }

    /// One transaction of these; those whose mark is there already are not applied again.
    async fn batch(&self, operations: &[&ResolvedOperation<'_>], verdicts: &mut Verdicts) -> Result<(), SqlError> {
        let mut open: Vec<ResolvedOperation<'_>> = operations.iter().map(|operation| (*operation).clone()).collect();
        while !open.is_empty() {
            let marked = self.marked(&open).await?;
            let mut fresh = Vec::with_capacity(open.len());
            let mut again = Vec::new();
            let mut here: HashSet<&[u8]> = HashSet::new();
            let mut known = Vec::new();
            for mut operation in open {
                let marked = marked.get(&hex(&operation.write.mark));
                match marked.and_then(|marked| once_more(marked, &operation, self.replays)) {
                    Some(verdict) => {
                        self.settle(&operation, verdict.clone(), verdicts);
                        if verdict == Verdict::Superseded {
                            known.push(operation);
                        }
                    }
                    // A copy in the same batch is judged by what became of the first.
                    None if !here.insert(&operation.write.mark) => again.push(operation),
                    None => {
                        operation.rejected_before = marked.is_some();
                        fresh.push(operation);
                    }
                }
            }
            // Whoever applied them may have died before it came to this.
            self.cache.again(&known).await?;
            let chosen: Vec<&ResolvedOperation<'_>> = fresh.iter().collect();
            self.applied(&chosen, verdicts).await?;
            open = self.copies(again, &chosen, verdicts);
        }
        Ok(())
    }

    async fn marked(&self, operations: &[ResolvedOperation<'_>]) -> Result<HashMap<String, Marked>, SqlError> {
        let marks: Vec<String> = operations.iter().map(|operation| hex(&operation.write.mark)).collect();
        let mut transaction = self.store.begin().await?;
        let marked = marks::look_up(&mut transaction, self.store.dialect(), &marks).await?;
        transaction.commit().await?;
        Ok(marked)
    }

    /// Copies whose first has no fate yet wait with it; copies of what was rejected are rejected as it was.
    fn copies<'w>(
        &self,
        again: Vec<ResolvedOperation<'w>>,
        fresh: &[&ResolvedOperation<'_>],
        verdicts: &mut Verdicts,
    ) -> Vec<ResolvedOperation<'w>> {
        let mut open = Vec::new();
        for operation in again {
            let first = fresh.iter().find(|one| one.write.mark == operation.write.mark);
            let verdict = first.and_then(|first| verdicts.get(first.index)?.clone());
            match verdict {
                Some(verdict @ Verdict::Retry(_)) => {
                    self.ladder.behind(&operation, time::Instant::now());
                    set(verdicts, operation.index, verdict);
                }
                Some(verdict @ Verdict::Reject(_))
                    if first.is_some_and(|one| one.write.digest == operation.write.digest) =>
                {
                    self.settle(&operation, verdict, verdicts);
                }
                _ => open.push(operation),
            }
        }
        open
    }

    /// Applies what was not applied before.
    async fn applied(&self, operations: &[&ResolvedOperation<'_>], verdicts: &mut Verdicts) -> Result<(), SqlError> {
        let mut restarts = 0;
        self.cache.before(operations).await?;
        loop {
            match apply(&self.store, operations, self.ladder.tables()).await {
                Ok(applied) => {
                    self.cache.after(operations, &applied).await?;
                    operations.iter().zip(applied).for_each(|(one, applied)| self.judge(one, applied, verdicts));
                    return Ok(());
                }
                Err(error) if error.meaning == ErrorMeaning::Restart && restarts < RESTARTS => {
                    restarts += 1;
                    tracing::warn!(code = error.code, reason = error.why, "Transaction restarted");
                    metrics::counter!("millrace_database_restarts_total", "code" => error.code).increment(1);
                }
                Err(error) if error.meaning == ErrorMeaning::Restart && operations.len() > 1 => break,
                Err(error) => return Err(error),
            }
        }
        let mut behind: HashSet<String> = HashSet::new();
        for operation in operations {
            let applied = if operation.names().any(|name| behind.contains(&name)) {
                Applied::Behind
            } else {
                let applied = apply(&self.store, &[*operation], self.ladder.tables()).await?;
                self.cache.after(&[*operation], &applied).await?;
                applied.into_iter().next().unwrap_or(Applied::Behind)
            };
            if matches!(applied, Applied::Behind | Applied::Failed { waits: true, .. }) {
                behind.extend(operation.names());
            }
            self.judge(operation, applied, verdicts);
        }
        Ok(())
    }

    fn judge(&self, operation: &ResolvedOperation<'_>, applied: Applied, verdicts: &mut Verdicts) {
        let now = time::Instant::now();
        let verdict = match applied {
            Applied::Done => {
                tracing::debug!(
                    entity = operation.entity,
                    operation = operation.verb.name(),
                    "Operation processed successfully"
                );
                Verdict::Applied
            }
            Applied::Behind => {
                self.ladder.behind(operation, now);
                let why = waits("it waits behind another of its row");
                return set(verdicts, operation.index, Verdict::Retry(why));
            }
            Applied::Failed { why, row, waits: true } => match self.ladder.failed(operation, now) {
                Rung::Waits { tried, of } => {
                    let Reject { why, .. } = why.reject(operation, row);
                    let why = waits(format!("{why}; try {tried} of {of}"));
                    return set(verdicts, operation.index, Verdict::Retry(why));
                }
                Rung::Exhausted { tried } => {
                    let Reject { class, why } = why.reject(operation, row);
                    Verdict::Reject(Reject { class, why: format!("{why}; tries: {tried}").into() })
                }
            },
            Applied::Failed { why, row, waits: false } => Verdict::Reject(why.reject(operation, row)),
        };
        self.settle(operation, verdict, verdicts);
    }

    fn settle(&self, operation: &ResolvedOperation<'_>, verdict: Verdict, verdicts: &mut Verdicts) {
        self.ladder.done(operation);
        set(verdicts, operation.index, verdict);
    }
}

fn set(verdicts: &mut Verdicts, index: usize, verdict: Verdict) {
    if let Some(slot) = verdicts.get_mut(index) {
        *slot = Some(verdict);
    }
}

/// It accuses nothing and is never halved, so that nothing overtakes.
fn waits(why: impl Into<pipeline::sink::Why>) -> Failure {
    Failure::misconfigured(why)
}

/// Of an operation that is marked; none of one that was rejected and may be tried again: mended, or replayed by hand.
fn once_more(marked: &Marked, operation: &ResolvedOperation<'_>, replays: bool) -> Option<Verdict> {
    let same = marked.digest == hex(&operation.write.digest);
    match &marked.rejected {
        Some((class, why)) if same && !replays => Some(Verdict::Reject(Reject::new(class.clone(), why.clone()))),
        Some(_) => None,
        None if same => Some(Verdict::Superseded),
        None => {
            let why = "another operation was applied under the same `metadata.operationId`";
            Some(Verdict::Reject(Reject::new("operation_id_reused", why)))
        }
    }
}

impl Sink<OperationWrite> for OperationSink {
    fn name(&self) -> &'static str {
        "database"
    }

    /// A request is a whole batch: what is done in which order is decided here.
    fn limits(&self) -> SinkLimits {
        SinkLimits { items: usize::MAX, bytes: usize::MAX, ordered: true, one_write_a_document: false }
    }

    fn write<'a>(&'a self, writes: &'a [&'a OperationWrite]) -> BoxFuture<'a, Result<Vec<Verdict>, Failure>> {
        Box::pin(async move {
            let _held = self.health.holds(writes.len());
            if !self.health.is_healthy() {
                self.store.ask().await?;
                self.health.heard(None);
                tracing::info!("Processing {} pending operations", writes.len());
            }
            let taken = self.take(writes).await;
            self.health.heard(taken.as_ref().err());
            taken.map_err(SqlError::failure)
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(self.store.ask())
    }
}
