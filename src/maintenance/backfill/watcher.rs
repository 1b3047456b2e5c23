//! The watcher of a backfill: keeps the checkpoint behind what is acknowledged, and ends it where going on would do harm.

use std::sync::Arc;

use pipeline::offsets::offset_tracker::Frontier;
use pipeline::{EngineError, Leases, Proceed, Tally, TopicPartition, mutant};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;

use super::checkpoint::{Checkpoint, CheckpointError, StateFile};
use super::parts::SourcePart;
use super::progress::{BackfillProgress, StopReason};
use super::pump::{PartEnd, Places};
use super::rejects::{MaxRejects, Rejects};
use super::{BackfillReport, GRACE, PartReport, SAVED, behind};
use crate::run::blocking::blocking;

/// Watches the engine, and keeps the checkpoint.
pub(super) struct Watcher<'p> {
    pub(super) parts: Arc<Vec<Box<dyn SourcePart>>>,
    pub(super) checkpoint: Checkpoint,
    pub(super) state: Option<StateFile>,
    pub(super) rejects: Arc<Rejects>,
    pub(super) max_rejects: Option<MaxRejects>,
    pub(super) places: Arc<Places>,
    pub(super) frontier: watch::Receiver<Frontier>,
    pub(super) tally: watch::Receiver<Tally>,
    pub(super) proceed: Arc<dyn Proceed>,
    pub(super) progress: &'p Arc<BackfillProgress>,
    /// Lines that were read by earlier runs.
    pub(super) earlier: u64,
    /// What is in flight was given up: what settles from here on was not written.
    pub(super) given_up: bool,
}

type RunningEngine = AbortOnDropHandle<Result<Tally, EngineError>>;

impl Watcher<'_> {
    /// Until the engine has ended.
    pub(super) async fn watch(&mut self, engine: &mut RunningEngine, leases: &Leases) -> Result<(), EngineError> {
        let mut tick = tokio::time::interval(SAVED / 10);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut saved, mut deadline) = (Instant::now(), None);
        self.show_parts();
        loop {
            tokio::select! {
                biased;
                ended = &mut *engine => return ended.map_err(EngineError::Panicked)?.map(drop),
                () = self.progress.stop().cancelled(), if deadline.is_none() => deadline = Some(Instant::now() + GRACE),
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    let all: Vec<TopicPartition> = self.parts.iter().map(|part| part.at().clone()).collect();
                    self.advance();
                    self.given_up = true;
                    leases.end(&all);
                    deadline = Some(Instant::now() + GRACE);
                }
                _ = tick.tick() => {
                    self.look();
                    if saved.elapsed() >= SAVED {
                        if let Err(error) = self.save(false).await {
                            self.progress.halt(StopReason::Halted(error.to_string()));
                        }
                        saved = Instant::now();
                    }
                }
            }
        }
    }

    /// Shows what there is, and stops where going on would do harm.
    fn look(&self) {
        *self.progress.tally.lock() = *self.tally.borrow();
        self.progress.status.remind();
        self.judge(false);
        if self.proceed.is_open() {
            let standing = self.progress.status.standing();
            let why = standing.iter().map(|reason| format!("{}: {}", reason.source, reason.why)).collect::<Vec<_>>();
            self.progress.halt(StopReason::Halted(format!("the store takes no more ({})", why.join("; "))));
        }
    }

    fn judge(&self, ended: bool) {
        let (rejects, lines) = (self.rejects.count(), self.earlier + BackfillProgress::count(&self.progress.lines));
        if self.max_rejects.is_some_and(|most| most.is_exceeded(rejects, lines, ended)) {
            let file = self.rejects.path().display();
            let why = format!("{rejects} lines are rejected, more than --max-rejects allows; {file} says why");
            self.progress.halt(StopReason::Halted(why));
        }
    }

    /// Writes what is acknowledged to the checkpoint, after the rejects among it.
    pub(super) async fn save(&mut self, ended: bool) -> Result<(), CheckpointError> {
        if ended {
            *self.progress.tally.lock() = *self.tally.borrow();
            self.judge(true);
        }
        if !self.advance() && !ended {
            return Ok(());
        }
        self.show_parts();
        // Widened before anything of it was offered, so that it holds whatever is acknowledged.
        self.checkpoint.versions = *self.progress.versions.lock();
        let Some(state) = self.state.take() else { return Ok(()) };
        let (checkpoint, rejects) = (self.checkpoint.clone(), self.rejects.clone());
        let write = move || {
            let unwritable = |error| CheckpointError::Unwritable(rejects.path().display().to_string(), error);
            let saved = rejects.sync().map_err(unwritable).and_then(|()| state.save(&checkpoint));
            Ok((state, saved))
        };
        let (state, saved) =
            blocking(|why| CheckpointError::Unwritable(why, std::io::ErrorKind::Other.into()), write).await?;
        self.state = Some(state);
        saved
    }

    /// Takes over what was acknowledged since. Returns whether anything was.
    fn advance(&mut self) -> bool {
        if self.given_up {
            return false;
        }
        let frontier = self.frontier.borrow().clone();
        let mut moved = false;
        for (number, part) in self.parts.iter().enumerate() {
            let Some(known) = self.checkpoint.parts.get_mut(part.name()) else { continue };
            if known.finished && !part.grew(&known.place) {
                continue;
            }
            let mut place = self.places.acknowledge(part.at(), &frontier).unwrap_or_else(|| known.place.clone());
            let at_end = |end: &PartEnd| matches!(end, PartEnd::Finished(end) if end.next <= place.next);
            let finished = self.places.look_at_end(number, at_end).unwrap_or(false);
            if mutant!(ResumeByCount) && !finished {
                place.next = part.start().next + i64::try_from(self.tally.borrow().total()).unwrap_or(0);
            }
            moved |= finished || place != known.place;
            (known.place, known.finished) = (place, finished);
        }
        moved
    }

    /// Shows how far the parts are.
    fn show_parts(&self) {
        *self.progress.parts.lock() = self.part_reports();
    }

    fn part_reports(&self) -> Vec<PartReport> {
        let report = |number: usize, part: &dyn SourcePart| {
            let known = self.checkpoint.parts.get(part.name());
            let failed = |end: &PartEnd| match end {
                PartEnd::Failed(error) => Some(error.to_string()),
                PartEnd::Finished(_) => None,
            };
            PartReport {
                name: part.at().topic.to_string(),
                lines: behind(part, &self.checkpoint),
                finished: known.is_some_and(|known| known.finished),
                failed: self.places.look_at_end(number, failed).flatten(),
            }
        };
        self.parts.iter().enumerate().map(|(number, part)| report(number, &**part)).collect()
    }

    pub(super) fn report(&self) -> BackfillReport {
        BackfillReport {
            tally: *self.tally.borrow(),
            parts: self.part_reports(),
            rejected: self.rejects.count(),
            stopped: self.progress.stop_reason(),
        }
    }
}
