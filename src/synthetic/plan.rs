//! The plan: which event comes next, of which subject (a transaction, a user, a review), at what time.
//!
//! It owns the window of recent living subjects. It guarantees the promised counts, that an update or a delete refers to
//! a subject which was created before and not deleted, and that times, save of late events, grow strictly and end before
//! `until`.

use std::collections::VecDeque;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Counts, GeneratorOptions, SyntheticKind};

/// How far back an update or a delete reaches, in living subjects.
const WINDOW: usize = 4096;
/// All events fit into this time before `until`.
const LONGEST_SPAN: u64 = 24 * 3600 * 1_000_000;
const SECOND: u64 = 1_000_000;
/// The stream of random numbers that the plan takes; subjects take the stream of their number.
const STREAM: u64 = u64::MAX;

/// What events are about, and how they are written.
pub(super) trait EventTemplate {
    type Event: Clone;
    /// Times are multiples of so many microseconds.
    const TICK: u32;

    /// The event of a subject, which is made of its own random numbers: the same for each of its events.
    fn about(&self, kind: SyntheticKind, subject: Living, micros: i64, rng: ChaCha8Rng) -> Self::Event;

    /// A malformed message, or one without a payload.
    fn useless(&self, kind: SyntheticKind, micros: i64, rng: &mut ChaCha8Rng) -> Self::Event;

    /// Whether this subject can be deleted.
    fn can_delete(_number: u64) -> bool {
        true
    }

    /// The same event, marked as sent before.
    fn repeat(event: &Self::Event) -> Self::Event;
}

/// What is remembered of a subject to write it again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Living {
    pub(super) number: u64,
    pub(super) created: i64,
    /// The time of its newest event.
    newest: i64,
    pub(super) revision: u8,
    /// Late events so far.
    pub(super) late: u8,
}

/// Yields the events without their repetitions.
#[derive(Debug)]
pub(super) struct Plan<S> {
    source: S,
    counts: Counts,
    seeded: ChaCha8Rng,
    rng: ChaCha8Rng,
    window: VecDeque<Living>,
    /// Recently deleted ones, for events that come too late.
    deleted: VecDeque<Living>,
    /// What follows the subject created last.
    due: VecDeque<SyntheticKind>,
    created: u64,
    emitted: u64,
    start: i64,
    step: u64,
}

impl<S: EventTemplate> Plan<S> {
    pub(super) fn new(source: S, options: &GeneratorOptions, counts: Counts) -> Self {
        let records = counts.distinct().max(1);
        let tick = u64::from(S::TICK);
        let step = (LONGEST_SPAN / records / tick * tick).clamp(tick, SECOND);
        let span = i64::try_from(step.saturating_mul(records)).unwrap_or(i64::MAX);
        let seeded = ChaCha8Rng::seed_from_u64(options.seed);
        let start = options.until.timestamp_micros().saturating_sub(span);
        Self {
            source,
            counts,
            rng: stream(&seeded, STREAM),
            seeded,
            window: VecDeque::with_capacity(WINDOW.min(counts.creates as usize) + 1),
            deleted: VecDeque::new(),
            due: VecDeque::new(),
            created: 0,
            emitted: 0,
            start: start - start.rem_euclid(i64::from(S::TICK)),
            step,
        }
    }

    fn next_kind(&mut self) -> Option<SyntheticKind> {
        if let Some(kind) = self.due.pop_front() {
            return Some(kind);
        }
        if self.created == self.counts.creates {
            return None;
        }
        let Counts { updates, deletes, late, malformed, nulls, .. } = self.counts;
        let shares = [
            (updates, SyntheticKind::Updated),
            (deletes, SyntheticKind::Deleted),
            (late, SyntheticKind::Late),
            (malformed, SyntheticKind::Malformed),
            (nulls, SyntheticKind::Null),
        ];
        for (total, kind) in shares {
            let due = self.until_now(total, self.created + 1) - self.until_now(total, self.created);
            self.due.extend(std::iter::repeat_n(kind, due as usize));
        }
        Some(SyntheticKind::Created)
    }

    /// How many of `total` belong before create number `creates`, spread evenly.
    fn until_now(&self, total: u64, creates: u64) -> u64 {
        (u128::from(total) * u128::from(creates) / u128::from(self.counts.creates)) as u64
    }

    fn next_time(&mut self) -> i64 {
        let tick = u64::from(S::TICK);
        let jitter = self.rng.random_range(0..self.step / tick) * tick;
        let offset = self.emitted.saturating_mul(self.step).saturating_add(jitter);
        self.emitted += 1;
        self.start.saturating_add_unsigned(offset)
    }

    fn create(&mut self, micros: i64) -> S::Event {
        let living = Living { number: self.created, created: micros, newest: micros, revision: 0, late: 0 };
        self.created += 1;
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(living);
        self.event(SyntheticKind::Created, living, micros)
    }

    fn update(&mut self, micros: i64) -> Option<S::Event> {
        let place = self.pick()?;
        let living = self.window.get_mut(place)?;
        living.revision = living.revision.saturating_add(1);
        living.newest = micros;
        let living = *living;
        Some(self.event(SyntheticKind::Updated, living, micros))
    }

    fn delete(&mut self, micros: i64) -> Option<S::Event> {
        let place = self.pick_deletable()?;
        let living = Living { newest: micros, ..self.window.remove(place)? };
        if self.deleted.len() == WINDOW {
            self.deleted.pop_front();
        }
        self.deleted.push_back(living);
        Some(self.event(SyntheticKind::Deleted, living, micros))
    }

    /// An update that is older than its subject's newest event: of a deleted one, where there is one, every other time.
    fn make_late(&mut self) -> Option<S::Event> {
        let of_deleted = !self.deleted.is_empty() && (self.window.is_empty() || self.rng.random_bool(0.5));
        let among = if of_deleted { &mut self.deleted } else { &mut self.window };
        let place = (!among.is_empty()).then(|| self.rng.random_range(0..among.len()))?;
        let living = among.get_mut(place)?;
        living.late = living.late.saturating_add(1);
        let living = *living;
        Some(self.event(SyntheticKind::Late, living, living.newest - i64::from(living.late) * i64::from(S::TICK)))
    }

    // A create always stands in front of its updates and its delete, so the window is never empty here.
    fn pick(&mut self) -> Option<usize> {
        (!self.window.is_empty()).then(|| self.rng.random_range(0..self.window.len()))
    }

    /// The picked one, or the next that can be deleted.
    fn pick_deletable(&mut self) -> Option<usize> {
        let picked = self.pick()?;
        let deletable = |place: &usize| self.window.get(*place).is_some_and(|living| S::can_delete(living.number));
        (picked..self.window.len()).chain(0..picked).find(deletable)
    }

    fn event(&self, kind: SyntheticKind, living: Living, micros: i64) -> S::Event {
        self.source.about(kind, living, micros, stream(&self.seeded, living.number))
    }
}

impl<S: EventTemplate> Iterator for Plan<S> {
    type Item = S::Event;

    fn next(&mut self) -> Option<S::Event> {
        let kind = self.next_kind()?;
        let micros = self.next_time();
        match kind {
            SyntheticKind::Created => Some(self.create(micros)),
            SyntheticKind::Updated => self.update(micros),
            SyntheticKind::Deleted => self.delete(micros),
            SyntheticKind::Late => self.make_late(),
            SyntheticKind::Malformed | SyntheticKind::Null => Some(self.source.useless(kind, micros, &mut self.rng)),
        }
    }
}

/// An independent sequence of random numbers of the same seed.
pub(super) fn stream(seeded: &ChaCha8Rng, number: u64) -> ChaCha8Rng {
    let mut rng = seeded.clone();
    rng.set_stream(number);
    rng
}
