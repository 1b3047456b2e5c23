//! Groups: the writes that travel in one request, and what is known of them.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::binding::Writes;
use crate::engine::batcher::Span;
use crate::offsets::leases::Leases;
use crate::outcome::RecordResult;
use crate::sink::{Failure, Reject, SinkLimits};
use crate::write::judge::{Coordinate, JudgeStep};

/// Where the record of a write stands.
pub(crate) struct WriteOrigin {
    /// Index of the batch's span.
    pub span: usize,
    pub offset: i64,
}

impl WriteOrigin {
    pub(crate) fn coordinate(&self, spans: &[Span]) -> Option<Coordinate> {
        spans.get(self.span).map(|span| (span.at.clone(), self.offset))
    }
}

/// Writes that travel in one request.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Indices of the writes.
    pub items: Vec<usize>,
    /// Failures in a row. The pause before the next try depends on them.
    pub failures: u32,
    /// Times in a row that it was asked to wait.
    pub waits: u32,
    /// Times that the request broke.
    pub broken: u32,
    /// Of a single write under suspicion.
    pub suspect: Option<Suspicion>,
    /// Another document stood in the way of this one; it goes alone, and what is said now is final.
    pub last: bool,
    pub not_before: Option<Instant>,
}

/// A write that failed alone.
#[derive(Debug)]
pub(crate) struct Suspicion {
    pub record: Coordinate,
    /// How it failed last.
    pub failure: Failure,
    /// Attempts in a row that speak against it.
    pub attempts: u32,
    /// What is left of the attempt that is being made.
    pub steps: VecDeque<JudgeStep>,
}

/// Splits writes into requests by the store's limits; a store that orders keys by itself is told of all of them at once.
pub(crate) fn requests(limits: SinkLimits, orders_keys: bool, writes: &dyn Writes) -> VecDeque<Group> {
    let mut queue = VecDeque::new();
    let mut group = Group::default();
    let mut bytes = 0;
    for item in 0..writes.len() {
        let size = writes.bytes(item);
        let full = group.items.len() >= limits.items || bytes + size > limits.bytes;
        if full && !orders_keys && !group.items.is_empty() {
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

/// The first that may go now, or the one that may go soonest.
pub(crate) fn next(queue: &mut VecDeque<Group>) -> Option<Group> {
    let now = Instant::now();
    let due = |group: &Group| group.not_before.map_or(now, |at| at.max(now));
    let place = queue.iter().enumerate().min_by_key(|(place, group)| (due(group), *place))?.0;
    queue.remove(place)
}

/// Both halves go to the front, in their order, at once unless a pause is given.
pub(crate) fn halve(mut group: Group, not_before: Option<Instant>, queue: &mut VecDeque<Group>) {
    let second = group.items.split_off(group.items.len() / 2);
    for items in [second, group.items] {
        queue.push_front(Group { items, broken: group.broken, not_before, ..Group::default() });
    }
}

pub(crate) fn reject(group: &Group, reject: Reject, results: &mut [RecordResult]) {
    let attempts = group.suspect.as_ref().map_or(1, |suspect| suspect.attempts.max(1));
    for &item in &group.items {
        if let Some(slot) = results.get_mut(item) {
            *slot = RecordResult::Rejected { reject: reject.clone(), attempts };
        }
    }
}

/// Takes out what belongs to partitions that are gone.
pub(crate) fn abandon(
    group: &mut Group,
    leases: &Leases,
    spans: &[Span],
    sources: &[WriteOrigin],
    results: &mut [RecordResult],
) {
    let live: Vec<bool> = spans.iter().map(|span| leases.live(span)).collect();
    group.items.retain(|&item| {
        let alive = sources.get(item).and_then(|source| live.get(source.span)).copied().unwrap_or(false);
        if !alive && let Some(slot) = results.get_mut(item) {
            *slot = RecordResult::Abandoned;
        }
        alive
    });
}
