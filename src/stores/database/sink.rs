//! Operations as a store: each is applied once, in the order of the log, or judged.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use pipeline::mutant;
use pipeline::sink::{Failure, Order, Reject, Sink, SinkLimits, Verdict, Waiting};

use super::applied::Applied;
use super::apply::{apply, apply_older};
use super::cache::{CacheHook, CacheWriter};
use super::catalogue::Catalogue;
use super::errors::{ErrorMeaning, SqlError};
use super::health::DatabaseHealth;
use super::held::{HeldRows, NobodyWaits};
use super::marks::{self, Marked};
use super::operation::{OperationWrite, ResolvedOperation};
use super::resolver::{Unresolved, entity_of, resolve};
use super::results::{OperationResults, ToldOperations};
use super::session::OperationStore;
use crate::config::DatabaseSettings;

/// Times that a batch is begun anew because its transaction ended, until each operation has one of its own.
const RESTARTS: u32 = 3;
/// Most operations of a transaction.
const TOGETHER: usize = 1_000;

/// Applies operations.
pub struct OperationSink {
    store: OperationStore,
    catalogue: Catalogue,
    health: Arc<DatabaseHealth>,
    cache: CacheHook,
    /// `None`: nobody asks what becomes of operations.
    results: Option<Arc<OperationResults>>,
    /// Whether letters are tried again by hand.
    replays: bool,
}

/// What is known of the operations of a request so far.
struct Judged<'q> {
    verdicts: Vec<Option<Verdict>>,
    held: HeldRows,
    waiting: &'q dyn Waiting,
    told: ToldOperations,
    /// Done, and the database made their keys: places and marks.
    making: Vec<(usize, String)>,
}

impl Judged<'_> {
    fn set(&mut self, operation: &ResolvedOperation<'_>, verdict: Verdict) {
        if matches!(verdict, Verdict::Later(_) | Verdict::Behind) {
            self.held.add(operation);
        }
        if verdict == Verdict::Applied && operation.rows.iter().any(|row| row.name.is_none()) {
            self.making.push((operation.index, hex::encode(&operation.write.mark)));
        }
        self.set_at(operation.index, verdict);
    }

    fn set_at(&mut self, index: usize, verdict: Verdict) {
        if let Some(slot) = self.verdicts.get_mut(index) {
            *slot = Some(verdict);
        }
    }
}

impl OperationSink {
    pub fn new(
        store: OperationStore,
        settings: &DatabaseSettings,
        health: Arc<DatabaseHealth>,
        cache: Option<Arc<CacheWriter>>,
        results: Option<Arc<OperationResults>>,
        order: Order,
    ) -> Self {
        let catalogue = Catalogue::new(store.clone(), settings.entities.clone());
        Self { store, catalogue, health, cache: CacheHook(cache), results, replays: order == Order::Any }
    }

    /// A verdict each, and what is to be told of them where somebody asks.
    async fn take(
        &self,
        writes: &[&OperationWrite],
        waiting: &dyn Waiting,
    ) -> Result<(Vec<Verdict>, ToldOperations), SqlError> {
        let mut judged = Judged {
            verdicts: vec![None; writes.len()],
            held: HeldRows::default(),
            waiting,
            told: ToldOperations::default(),
            making: Vec::new(),
        };
        // The second time with the catalogue as it is now, where a table was not as it was known.
        let mut since = None;
        loop {
            let begun = Instant::now();
            match self.pass(writes, &mut judged, since).await {
                Err(error) if error.meaning == ErrorMeaning::Catalogue && since.is_none() => since = Some(begun),
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        let silent = || Verdict::Retry(Failure::unavailable("the operation was not tried"));
        let verdicts = judged.verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(silent)).collect();
        let mut told = judged.told;
        if self.results.is_some() && !judged.making.is_empty() {
            let marks: Vec<String> = judged.making.iter().map(|(_, mark)| mark.clone()).collect();
            let marked = marks::look_up(&mut self.store.begin().await?, self.store.dialect(), &marks).await?;
            let made = |(place, mark): (usize, String)| Some((place, marked.get(&mark)?.made.clone()?));
            told.made = judged.making.into_iter().filter_map(made).collect();
        }
        Ok((verdicts, told))
    }

    async fn pass(
        &self,
        writes: &[&OperationWrite],
        judged: &mut Judged<'_>,
        since: Option<Instant>,
    ) -> Result<(), SqlError> {
        let mut resolved = Vec::with_capacity(writes.len());
        for (index, write) in writes.iter().enumerate() {
            if judged.verdicts.get(index).is_some_and(Option::is_some) {
                continue;
            }
            match self.resolve(index, write, since).await? {
                Ok(operation) => resolved.push(operation),
                Err(reject) => judged.set_at(index, Verdict::Reject(reject)),
            }
        }
        for some in resolved.chunks(TOGETHER) {
            self.batch(some.to_vec(), judged).await?;
        }
        Ok(())
    }

    /// As rows; what is not known is asked of the database once more before it is refused.
    async fn resolve<'w>(
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
    async fn batch(&self, mut open: Vec<ResolvedOperation<'_>>, judged: &mut Judged<'_>) -> Result<(), SqlError> {
        while !open.is_empty() {
            let marked = self.look_up_marks(&open).await?;
            let mut fresh = Vec::with_capacity(open.len());
            let mut again = Vec::new();
            let mut here: HashSet<&[u8]> = HashSet::new();
            let mut known = Vec::new();
            for mut operation in open {
                let marked = marked.get(&hex::encode(&operation.write.mark));
                match marked.and_then(|marked| once_more(marked, &operation, self.replays)) {
                    Some(verdict) => {
                        judged.set(&operation, verdict.clone());
                        if verdict == Verdict::Superseded {
                            let made = marked.and_then(|marked| marked.made.clone());
                            judged.told.again.insert(operation.index, made);
                            known.push(operation);
                        }
                    }
                    None if judged.held.holds(&operation) => judged.set(&operation, Verdict::Behind),
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
            if self.replays {
                self.apply_letters(&fresh, judged).await?;
            } else {
                self.apply_fresh(&fresh.iter().collect::<Vec<_>>(), judged).await?;
            }
            open = again;
        }
        Ok(())
    }

    async fn look_up_marks(&self, operations: &[ResolvedOperation<'_>]) -> Result<HashMap<String, Marked>, SqlError> {
        let marks: Vec<String> = operations.iter().map(|operation| hex::encode(&operation.write.mark)).collect();
        let mut transaction = self.store.begin().await?;
        let marked = marks::look_up(&mut transaction, self.store.dialect(), &marks).await?;
        transaction.commit().await?;
        Ok(marked)
    }

    /// Applies letters, each in a transaction of its own.
    async fn apply_letters(
        &self,
        operations: &[ResolvedOperation<'_>],
        judged: &mut Judged<'_>,
    ) -> Result<(), SqlError> {
        for operation in operations {
            let mut restarts = 0;
            let applied = loop {
                if judged.held.holds(operation) {
                    break Applied::Behind;
                }
                match apply_older(&self.store, operation, &judged.held, judged.waiting).await {
                    Err(error) if error.begins_anew(&mut restarts, RESTARTS) => {}
                    applied => break applied?,
                }
            };
            self.cache.after(&[operation], std::slice::from_ref(&applied)).await?;
            judged.set(operation, verdict(operation, applied));
        }
        Ok(())
    }

    /// Applies what was not applied before.
    async fn apply_fresh(
        &self,
        operations: &[&ResolvedOperation<'_>],
        judged: &mut Judged<'_>,
    ) -> Result<(), SqlError> {
        let mut restarts = 0;
        self.cache.before(operations).await?;
        loop {
            match apply(&self.store, operations, &judged.held, judged.waiting).await {
                Ok(applied) => {
                    self.cache.after(operations, &applied).await?;
                    operations.iter().zip(applied).for_each(|(one, applied)| judged.set(one, verdict(one, applied)));
                    return Ok(());
                }
                Err(error) if error.begins_anew(&mut restarts, RESTARTS) => {}
                Err(error) if error.meaning == ErrorMeaning::Restart && operations.len() > 1 => break,
                Err(error) => return Err(error),
            }
        }
        for operation in operations {
            let applied = match judged.held.holds(operation) {
                true => Applied::Behind,
                false => {
                    let applied = apply(&self.store, &[*operation], &judged.held, judged.waiting).await?;
                    self.cache.after(&[*operation], &applied).await?;
                    applied.into_iter().next().unwrap_or(Applied::Behind)
                }
            };
            judged.set(operation, verdict(operation, applied));
        }
        Ok(())
    }
}

fn verdict(operation: &ResolvedOperation<'_>, applied: Applied) -> Verdict {
    match applied {
        Applied::Done => {
            let verb = operation.verb.name();
            tracing::debug!(entity = operation.entity, operation = verb, "Operation processed successfully");
            Verdict::Applied
        }
        Applied::Superseded => Verdict::Superseded,
        Applied::Behind => Verdict::Behind,
        Applied::Waits(why) => Verdict::Later(why),
        Applied::Rejected(why) => Verdict::Reject(why),
    }
}

/// Of an operation that is marked; none of one that was rejected and may be tried again: mended, or replayed by hand.
fn once_more(marked: &Marked, operation: &ResolvedOperation<'_>, replays: bool) -> Option<Verdict> {
    let same = marked.is_of(operation.write);
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

#[async_trait]
impl Sink<OperationWrite> for OperationSink {
    fn name(&self) -> &'static str {
        "database"
    }

    /// A request is a whole batch: what is done in which order is decided here.
    fn limits(&self) -> SinkLimits {
        SinkLimits { items: usize::MAX, bytes: usize::MAX, ordered: true, one_write_a_document: false }
    }

    async fn write(&self, writes: &[&OperationWrite]) -> Result<Vec<Verdict>, Failure> {
        self.write_in_order(writes, &NobodyWaits).await
    }

    fn orders_keys(&self) -> bool {
        true
    }

    async fn write_in_order(&self, writes: &[&OperationWrite], waiting: &dyn Waiting) -> Result<Vec<Verdict>, Failure> {
        let _held = self.health.holds(writes.len());
        if !self.health.is_healthy() {
            self.store.ask().await?;
            self.health.hear_answer();
        }
        let taken = self.take(writes, waiting).await;
        self.health.hear(taken.as_ref().err());
        let (verdicts, told) = taken.map_err(SqlError::failure)?;
        if let Some(results) = &self.results {
            // What is not told is read again, and found applied.
            let sent = results.tell(writes, &verdicts, &told).await;
            if !mutant!(ResultUntold) {
                sent?;
            }
        }
        Ok(verdicts)
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.store.ask().await
    }
}
