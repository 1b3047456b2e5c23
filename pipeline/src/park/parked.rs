//! The park: what waits on a ladder, by partition, apart from the batches that it came in.
//!
//! It owns the records that wait, and their keys. It guarantees that a record never overtakes one of its keys that waits, that
//! the commit never passes a record that waits, and that what waits is left alone when its partition goes. It never holds
//! what is read after it from any other key.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::engine::batcher::{Batch, Span};
use crate::mutant;
use crate::offsets::offset_tracker::Frontier;
use crate::park::lane::{Ladder, Lane};
use crate::record::{Epoch, Record, TopicPartition};
use crate::sink::Reject;

/// Most records of a run.
const RUN: usize = 1_000;
/// How often the gauges are set while anything waits.
const GAUGES: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct ParkState {
    lanes: BTreeMap<TopicPartition, (Epoch, Lane)>,
    /// Partitions that are being taken away: what waits holds their commit, and is not tried any more.
    closing: FxHashSet<TopicPartition>,
    /// The last assignment of each partition that is over: nothing of it or before is taken.
    over: FxHashMap<TopicPartition, Epoch>,
    /// When the gauges are set next, and whether they say that anything waits.
    gauges: Instant,
    told: bool,
}

/// What waits of one system.
#[derive(Debug)]
pub(crate) struct Park {
    ladder: Ladder,
    state: Mutex<ParkState>,
    /// Something was parked.
    changed: Notify,
}

impl ParkState {
    fn lane(&mut self, span: &Span) -> Option<&mut Lane> {
        self.lanes.get_mut(&span.at).filter(|(epoch, _)| *epoch == span.epoch).map(|(_, lane)| lane)
    }
}

impl Park {
    pub(crate) fn new(ladder: Ladder) -> Self {
        let state = ParkState {
            lanes: BTreeMap::new(),
            closing: FxHashSet::default(),
            over: FxHashMap::default(),
            gauges: Instant::now(),
            told: false,
        };
        Self { ladder, state: Mutex::new(state), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, ParkState> {
        self.state.lock()
    }

    /// Puts a record behind those that wait for one of its keys. Returns whether any does.
    pub(crate) fn queue(&self, span: &Span, record: &Record, keys: impl FnOnce() -> Vec<String>) -> bool {
        let mut state = self.state();
        let Some(lane) = state.lane(span) else { return false };
        let keys = keys();
        let behind = lane.holds(&keys) && !mutant!(ParkedOvertaken);
        if behind {
            let now = Instant::now();
            lane.push(record.clone(), &keys, 0, now, now);
        }
        behind
    }

    /// Parks a record that may pass later, for the reason why its first try did not; without one it was not tried. Returns whether
    /// its partition is still ours.
    pub(crate) fn park(&self, span: &Span, record: &Record, keys: &[String], why: Option<&Reject>) -> bool {
        let mut state = self.state();
        if state.over.get(&span.at).is_some_and(|over| *over >= span.epoch) {
            return false;
        }
        let (epoch, lane) = state.lanes.entry(span.at.clone()).or_insert_with(|| (span.epoch, Lane::default()));
        match (*epoch).cmp(&span.epoch) {
            Ordering::Less => (*epoch, *lane) = (span.epoch, Lane::default()),
            Ordering::Equal => {}
            Ordering::Greater => return false,
        }
        let now = Instant::now();
        let (tries, pause) = why.map_or((0, Duration::ZERO), |_| (1, self.ladder.pause(1).unwrap_or_default()));
        lane.push(record.clone(), keys, tries, now, now + pause);
        drop(state);
        if let Some(why) = why {
            let (topic, partition, offset) = (&*record.at.topic, record.at.partition, record.offset);
            tracing::debug!(topic, partition, offset, class = &*why.class, reason = &*why.why, "Record parked");
        }
        self.changed.notify_one();
        true
    }

    /// Whether a write that may pass later may wait for that, or is a reject now.
    pub(crate) fn may_wait(&self, span: &Span, offset: i64, class: &str) -> bool {
        let mut state = self.state();
        state.lane(span).map_or(self.ladder.attempts > 0, |lane| lane.may_wait(offset, class, &self.ladder))
    }

    /// As `may_wait`, for a write that another document stands in the way of: only where an earlier record of its partition waits
    /// for a key that may clear the way.
    pub(crate) fn conflict_may_wait(
        &self,
        span: &Span,
        offset: i64,
        class: &str,
        may_clear: &dyn Fn(&str) -> bool,
    ) -> bool {
        let mut state = self.state();
        let Some(lane) = state.lane(span) else { return false };
        lane.holds_before(offset, may_clear) && lane.may_wait(offset, class, &self.ladder)
    }

    /// A record of a run was tried once more, and may pass later.
    pub(crate) fn note_try(&self, span: &Span, offset: i64) {
        if let Some(lane) = self.state().lane(span) {
            lane.note_try(offset, Instant::now(), &self.ladder);
        }
    }

    /// A record of a run is given up on. Returns how often it was tried before.
    pub(crate) fn gave_up(&self, span: &Span, offset: i64, class: Cow<'static, str>) -> u32 {
        let mut state = self.state();
        let Some(lane) = state.lane(span) else { return 0 };
        lane.gave_up(offset, class);
        lane.tries(offset)
    }

    /// Ends a run. Returns whether its partition is still ours, so that what has no outcome goes on waiting.
    pub(crate) fn end(&self, span: &Span, done: impl Iterator<Item = i64>) -> bool {
        let mut state = self.state();
        let Some(lane) = state.lane(span) else { return false };
        lane.end(done);
        if lane.is_empty() {
            state.lanes.remove(&span.at);
        }
        true
    }

    /// When a run of each partition may begin, where one may.
    pub(crate) fn due_runs(&self) -> Vec<(Span, Instant)> {
        let state = self.state();
        let open = state.lanes.iter().filter(|(at, _)| !state.closing.contains(*at));
        let due = open.filter_map(|(at, (epoch, lane))| {
            let first = lane.lowest()?;
            Some((Span { at: at.clone(), epoch: *epoch, first, next: first }, lane.due_at()?))
        });
        due.collect()
    }

    /// Begins a run of a partition; what it holds goes on counting as parked.
    pub(crate) fn begin(&self, span: Span) -> Batch {
        let records = self.state().lane(&span).map(|lane| lane.begin(Instant::now(), RUN)).unwrap_or_default();
        Batch { records, spans: vec![span], bytes: 0 }
    }

    /// Keeps the frontier from passing what waits.
    pub(crate) fn hold_back(&self, frontier: &mut Frontier) {
        if mutant!(ParkedPassed) {
            return;
        }
        for (at, (epoch, lane)) in &self.state().lanes {
            if let (Some(position), Some(lowest)) = (frontier.get_mut(at), lane.lowest())
                && position.epoch == *epoch
            {
                position.next = position.next.min(lowest);
            }
        }
    }

    /// These partitions are being taken away: no run of theirs begins any more.
    pub(crate) fn close(&self, partitions: &[TopicPartition]) {
        self.state().closing.extend(partitions.iter().cloned());
    }

    /// These partitions are no longer ours, nor is what waits of them. `epoch` tells the assignment that is over. Returns how many
    /// records are left to whoever comes next, without those of a run that goes on.
    pub(crate) fn forget(
        &self,
        partitions: &[TopicPartition],
        epoch: impl Fn(&TopicPartition) -> Option<Epoch>,
    ) -> u64 {
        let mut left = 0;
        let mut state = self.state();
        for at in partitions {
            state.closing.remove(at);
            let lane = state.lanes.remove(at);
            if let Some(over) = epoch(at).max(lane.as_ref().map(|(epoch, _)| *epoch)) {
                state.over.insert(at.clone(), over);
            }
            left += lane.map_or(0, |(_, lane)| (lane.len() - lane.running()) as u64);
        }
        left
    }

    /// Nobody is left for whom to wait.
    pub(crate) fn clear(&self) {
        self.state().lanes.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state().lanes.is_empty()
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.state().lanes.values().map(|(_, lane)| lane.bytes()).sum()
    }

    /// Sets the gauges where that is due. Returns when it is next, while anything waits.
    pub(crate) fn gauge(&self, system: &'static str) -> Option<Instant> {
        let mut state = self.state();
        let now = Instant::now();
        let waits = !state.lanes.is_empty();
        if waits && now >= state.gauges || !waits && state.told {
            let lanes = || state.lanes.values().map(|(_, lane)| lane);
            let oldest = lanes().filter_map(Lane::oldest).min().map_or(0.0, |since| (now - since).as_secs_f64());
            let (records, bytes): (usize, usize) = (lanes().map(Lane::len).sum(), lanes().map(Lane::bytes).sum());
            metrics::gauge!("millrace_parked_records", "system" => system).set(records as f64);
            metrics::gauge!("millrace_parked_bytes", "system" => system).set(bytes as f64);
            metrics::gauge!("millrace_parked_oldest_seconds", "system" => system).set(oldest);
            (state.gauges, state.told) = (now + GAUGES, waits);
        }
        waits.then_some(state.gauges)
    }

    /// Waits until something is parked, or until then.
    pub(crate) async fn await_change(&self, until: Option<Instant>) {
        match until {
            Some(until) => tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(until) => {}
            },
            None => self.changed.notified().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metrics::{Counter, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

    use super::*;
    use crate::offsets::offset_tracker::Position;

    /// The gauges by name.
    #[derive(Default)]
    struct Gauges(Arc<Mutex<BTreeMap<String, f64>>>);

    struct OneGauge(Arc<Mutex<BTreeMap<String, f64>>>, String);

    impl GaugeFn for OneGauge {
        fn increment(&self, _: f64) {}
        fn decrement(&self, _: f64) {}
        fn set(&self, value: f64) {
            self.0.lock().insert(self.1.clone(), value);
        }
    }

    impl Recorder for Gauges {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }
        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(Arc::new(OneGauge(self.0.clone(), key.name().to_owned())))
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    fn span(epoch: u64) -> Span {
        Span { at: TopicPartition::new("t", 0), epoch: Epoch(epoch), first: 0, next: 0 }
    }

    fn park(park: &Park, epoch: u64, offset: i64) -> bool {
        let at = TopicPartition::new("t", 0);
        let record = Record { at, offset, timestamp_ms: None, key: None, payload: None, headers: Vec::new() };
        park.park(&span(epoch), &record, &[format!("k{offset}")], Some(&Reject::new("x", "y")))
    }

    fn ladder() -> Park {
        Park::new(Ladder::new(3, Duration::from_secs(10)))
    }

    #[tokio::test(start_paused = true)]
    async fn the_gauges_tell_how_many_wait_and_how_long_and_when_none_does_any_more() {
        let (waits, gauges) = (ladder(), Gauges::default());
        let told = |waits: &Park| {
            metrics::with_local_recorder(&gauges, || waits.gauge("s"));
            let told = gauges.0.lock().clone();
            (told.get("millrace_parked_records").copied(), told.get("millrace_parked_oldest_seconds").copied())
        };
        assert_eq!(told(&waits), (None, None));
        park(&waits, 1, 5);
        tokio::time::advance(Duration::from_secs(7)).await;
        park(&waits, 1, 9);
        assert_eq!(told(&waits), (Some(2.0), Some(7.0)));
        assert_eq!(gauges.0.lock()["millrace_parked_bytes"], waits.bytes() as f64);
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(waits.begin(span(1)).records.len(), 1);
        assert!(waits.end(&span(1), [5].into_iter()));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(told(&waits), (Some(1.0), Some(6.0)));
        assert_eq!(waits.forget(&[span(1).at], |_| Some(Epoch(1))), 1);
        assert_eq!(told(&waits), (Some(0.0), Some(0.0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_that_is_being_taken_away_holds_its_commit_and_is_tried_no_more() {
        let waits = ladder();
        park(&waits, 1, 5);
        waits.close(&[span(1).at]);
        assert!(waits.due_runs().is_empty());
        assert!(park(&waits, 1, 3), "what a batch leaves that still finishes");
        let held_back = |epoch| {
            let position = Position { epoch: Epoch(epoch), next: 8, reached: 8 };
            let mut frontier = Frontier::from([(span(1).at, position)]);
            waits.hold_back(&mut frontier);
            (frontier[&span(1).at].next, frontier[&span(1).at].reached)
        };
        assert_eq!((held_back(1), held_back(2)), ((3, 8), (8, 8)));
        assert_eq!(waits.forget(&[span(1).at], |_| Some(Epoch(1))), 2);
        assert!(!park(&waits, 1, 6) && waits.is_empty(), "a late batch of the assignment that is over");
        assert!(park(&waits, 2, 6) && waits.due_runs().len() == 1);
        assert!(!waits.end(&span(1), [6].into_iter()), "a late run of the assignment that is over");
        assert_eq!(held_back(2), (6, 8));
    }
}
