//! Dedupe: recognises the copies that producers send, so that they need not be written again.
//!
//! It owns an in-memory window of recent marks and, where one is configured, a store of marks that instances share. It
//! only saves work: a mark is made after success alone, a record that was ever offered before (at or below the highest
//! offset marked under an earlier assignment) is never skipped, and trouble with the store means "fresh".

mod recent;
pub mod redis_marks;

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};

use crate::dedupe::recent::RecentMarks;
use crate::engine::batcher::Span;
use crate::mutant;
use crate::record::{Epoch, TopicPartition};

/// Names an event and its payload: the same message id with another payload is another mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark(pub [u8; 16]);

impl Mark {
    /// The first half of the SHA-256 over message id and payload.
    pub fn of(message: &[u8; 32], payload: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(message).chain_update(payload).finalize();
        let mut mark = [0; 16];
        mark.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(mark)
    }
}

/// The marks of one partition: pairs of a mark and the offset of the record that it was made from.
#[derive(Clone, Debug)]
pub struct Marks {
    pub at: TopicPartition,
    pub marks: Vec<(Mark, i64)>,
}

/// What the store knows of one partition.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The highest offset ever marked.
    pub highest: Option<i64>,
    /// For each mark asked for, in order, the lowest offset under which it was made.
    pub offsets: Vec<Option<i64>>,
}

/// Where marks outlive the process, for one consumer group, topic and target.
#[async_trait]
pub trait MarkStore: Send + Sync + 'static {
    /// Looks marks up: one answer a partition, in order, in one round trip.
    ///
    /// # Errors
    /// Why the store could not be asked.
    async fn read(&self, asked: &[Marks]) -> Result<Vec<Known>, String>;

    /// Makes marks and raises the highest offset of their partitions in one transaction.
    ///
    /// # Errors
    /// Why the store could not be told.
    async fn write(&self, made: &[Marks]) -> Result<(), String>;
}

/// A record that may be a copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// None where the store tells copies by itself.
    pub mark: Option<Mark>,
    pub span: usize,
    pub offset: i64,
}

/// What is known of the offsets of one assignment.
#[derive(Debug)]
struct Horizon {
    epoch: Epoch,
    /// At or below this somebody was here before this assignment: never skipped.
    before: i64,
    /// The highest offset marked under this assignment.
    own: i64,
    /// Whether the store was asked under this assignment, and so told of marks that are not ours.
    asked: bool,
}

#[derive(Debug)]
struct Window {
    recent: RecentMarks,
    horizons: FxHashMap<TopicPartition, Horizon>,
}

/// The marks of one system.
pub struct Dedupe {
    window: Mutex<Window>,
    store: Option<Arc<dyn MarkStore>>,
}

impl Dedupe {
    /// About `window` marks are kept in memory, in at most 100 bytes each.
    pub fn new(window: NonZeroUsize, store: Option<Arc<dyn MarkStore>>) -> Self {
        let window = Window { recent: RecentMarks::new(window), horizons: FxHashMap::default() };
        Self { window: Mutex::new(window), store }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock()
    }

    /// Asks the store about a whole batch, in one round trip: which candidates it knows as copies of earlier records.
    pub(crate) async fn fetch_marks(&self, spans: &[Span], candidates: &[Candidate]) -> Vec<bool> {
        let mut copies = vec![false; candidates.len()];
        let Some(store) = &self.store else { return copies };
        let asked = by_partition(spans, candidates.iter());
        if asked.is_empty() {
            return copies;
        }
        let known = match store.read(&asked).await {
            Ok(known) if known.len() == asked.len() => known,
            Ok(_) => return copies,
            Err(why) => {
                trouble("look up", &why);
                return copies;
            }
        };
        let mut answers: FxHashMap<&TopicPartition, (i64, std::vec::IntoIter<Option<i64>>)> = FxHashMap::default();
        {
            let mut window = self.window();
            for (marks, known) in asked.iter().zip(known) {
                let Some(span) = spans.iter().find(|span| span.at == marks.at) else { continue };
                let before = match window.horizon(span).learn(&known) {
                    _ if mutant!(HighestIgnored) => -1,
                    before => before,
                };
                answers.insert(&marks.at, (before, known.offsets.into_iter()));
            }
        }
        for (candidate, copy) in candidates.iter().zip(&mut copies).filter(|(candidate, _)| candidate.mark.is_some()) {
            let Some((before, offsets)) = spans.get(candidate.span).and_then(|span| answers.get_mut(&span.at)) else {
                continue;
            };
            let made_at = offsets.next().flatten();
            *copy = candidate.offset > *before && made_at.is_some_and(|made| made < candidate.offset);
        }
        copies
    }

    /// Whether memory knows the candidate as a copy of a record of the same assignment.
    pub(crate) fn contains(&self, spans: &[Span], candidate: &Candidate) -> bool {
        let (Some(span), Some(mark)) = (spans.get(candidate.span), candidate.mark) else { return false };
        let window = self.window();
        let before = window.horizons.get(&span.at).filter(|h| h.epoch == span.epoch).map_or(-1, |h| h.before);
        candidate.offset > before && window.recent.get(mark) == Some(span.epoch)
    }

    /// Remembers successes in memory, so that later records of the same batch can be told.
    pub(crate) fn insert_local<'c>(&self, spans: &[Span], successes: impl Iterator<Item = &'c Candidate>) {
        let mut window = self.window();
        for candidate in successes {
            if let (Some(span), Some(mark)) = (spans.get(candidate.span), candidate.mark) {
                window.recent.insert(mark, span.epoch);
            }
        }
    }

    /// Makes the marks of a finished batch's successes in the store, in one round trip.
    pub(crate) async fn store_marks<'c>(&self, spans: &[Span], successes: impl Iterator<Item = &'c Candidate>) {
        let Some(store) = &self.store else { return };
        let made = by_partition(spans, successes);
        if made.is_empty() {
            return;
        }
        {
            // Raised before the store is told, so that a look-up in between does not take our own marks for foreign ones.
            let mut window = self.window();
            for marks in &made {
                let highest = marks.marks.iter().map(|(_, offset)| *offset).max().unwrap_or(-1);
                if let Some(span) = spans.iter().find(|span| span.at == marks.at) {
                    window.horizon(span).mark(span.epoch, highest);
                }
            }
        }
        if let Err(why) = store.write(&made).await {
            trouble("remember", &why);
        }
    }
}

fn trouble(doing: &'static str, why: &str) {
    metrics::counter!("millrace_dedupe_errors_total").increment(1);
    tracing::debug!(doing, why, "Dedupe store not available; treating records as fresh");
}

impl Window {
    /// The horizon of a span's assignment; begins anew with each assignment.
    fn horizon(&mut self, span: &Span) -> &mut Horizon {
        let horizon = self.horizons.entry(span.at.clone()).or_insert_with(|| Horizon::new(span.epoch));
        // A batch of an older assignment may still be finishing; it must not wind the horizon back.
        if span.epoch > horizon.epoch {
            *horizon = Horizon::new(span.epoch);
        }
        horizon
    }
}

impl Horizon {
    fn new(epoch: Epoch) -> Self {
        Self { epoch, before: -1, own: -1, asked: false }
    }

    /// Notes an offset that is about to be marked. What a late batch of an older assignment marks is not ours.
    fn mark(&mut self, epoch: Epoch, highest: i64) {
        if epoch == self.epoch {
            if !self.asked {
                // Our own mark will hide what the store knew before, which was never asked.
                self.before = self.before.max(highest);
            }
            self.own = self.own.max(highest);
        }
    }

    /// Takes in the highest offset that the store knows; returns the offset up to which nothing is skipped.
    fn learn(&mut self, known: &Known) -> i64 {
        self.asked = true;
        match known.highest {
            Some(highest) if highest > self.own => self.before = self.before.max(highest),
            Some(_) => {}
            // Marks without a highest offset: it was lost, so nothing can be said of any offset under this assignment.
            None if known.offsets.iter().any(Option::is_some) => self.before = i64::MAX,
            None => {}
        }
        self.before
    }
}

/// Groups candidates by partition, in the order they come.
fn by_partition<'c>(spans: &[Span], candidates: impl Iterator<Item = &'c Candidate>) -> Vec<Marks> {
    let mut groups: Vec<Option<Marks>> = vec![None; spans.len()];
    for candidate in candidates {
        let (Some(span), Some(group), Some(mark)) =
            (spans.get(candidate.span), groups.get_mut(candidate.span), candidate.mark)
        else {
            continue;
        };
        group
            .get_or_insert_with(|| Marks { at: span.at.clone(), marks: Vec::new() })
            .marks
            .push((mark, candidate.offset));
    }
    groups.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(highest: Option<i64>, offsets: &[Option<i64>]) -> Known {
        Known { highest, offsets: offsets.to_vec() }
    }

    #[test]
    fn only_what_others_marked_raises_the_horizon() {
        let mut horizon = Horizon::new(Epoch(1));
        assert_eq!(horizon.learn(&known(None, &[None])), -1);
        horizon.mark(Epoch(1), 50);
        assert_eq!(horizon.learn(&known(Some(50), &[])), -1);
        assert_eq!(horizon.learn(&known(Some(60), &[])), 60);
    }

    #[test]
    fn marks_made_before_the_store_was_asked_hide_nothing() {
        let mut horizon = Horizon::new(Epoch(1));
        horizon.mark(Epoch(1), 180);
        assert_eq!(horizon.learn(&known(Some(180), &[])), 180);
    }

    #[test]
    fn a_late_batch_of_an_older_assignment_marks_nothing_of_ours() {
        let mut horizon = Horizon::new(Epoch(2));
        horizon.learn(&known(None, &[]));
        horizon.mark(Epoch(1), 150);
        assert_eq!(horizon.learn(&known(Some(150), &[])), 150);
    }

    #[test]
    fn marks_whose_highest_offset_is_lost_skip_nothing() {
        let mut horizon = Horizon::new(Epoch(1));
        assert_eq!(horizon.learn(&known(None, &[None, Some(3)])), i64::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_mark_in_memory_is_known_after_24_hours() {
        let span = Span { at: TopicPartition::new("t", 0), epoch: Epoch(1), first: 0, next: 2 };
        let (spans, mark) = ([span], Some(Mark::of(&[7; 32], b"payload")));
        let dedupe = Dedupe::new(NonZeroUsize::new(10).unwrap(), None);
        dedupe.insert_local(&spans, [Candidate { mark, span: 0, offset: 0 }].iter());
        tokio::time::advance(std::time::Duration::from_secs(24 * 60 * 60)).await;
        assert!(dedupe.contains(&spans, &Candidate { mark, span: 0, offset: 1 }));
        assert!(!dedupe.contains(&spans, &Candidate { mark: Some(Mark([0; 16])), span: 0, offset: 1 }));
    }
}
