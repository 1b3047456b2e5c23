//! Leases: which assignments of partitions are alive in this process right now.
//!
//! The feed grants and ends them; batches ask before each send and wait when the answer is not certain. They guarantee
//! that nothing is sent for a partition after its assignment was known to be over, nor by a process that slept through
//! its session: it first has to hear from the group that it is still a member.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::engine::batcher::Span;
use crate::mutant;
use crate::record::{Epoch, TopicPartition};

#[derive(Debug)]
struct Lease {
    epoch: Epoch,
    /// False once the partition is being revoked: what is in flight may finish, nothing new begins.
    intake: bool,
}

#[derive(Debug)]
struct LeaseState {
    leases: FxHashMap<TopicPartition, Lease>,
    epochs: u64,
    polled: Instant,
}

/// The assignments that are alive, shared by the feed and the batches.
#[derive(Debug)]
pub struct Leases {
    state: Mutex<LeaseState>,
    session_timeout: Duration,
    /// Wakes waiters, in the order they came, when a lease ends and at the first poll after a gap.
    changes: Notify,
}

impl Leases {
    pub fn new(session_timeout: Duration) -> Self {
        let state = LeaseState { leases: FxHashMap::default(), epochs: 0, polled: Instant::now() };
        Self { state: Mutex::new(state), session_timeout, changes: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, LeaseState> {
        self.state.lock()
    }

    fn notify(&self) {
        self.changes.notify_waiters();
    }

    /// A partition was assigned: a new epoch begins.
    pub fn grant(&self, at: &TopicPartition) -> Epoch {
        let mut state = self.state();
        state.epochs += 1;
        let epoch = Epoch(state.epochs);
        state.leases.insert(at.clone(), Lease { epoch, intake: true });
        epoch
    }

    /// These partitions are being revoked: begin nothing new of theirs.
    pub fn close_intake(&self, partitions: &[TopicPartition]) {
        let mut state = self.state();
        for at in partitions {
            if let Some(lease) = state.leases.get_mut(at) {
                lease.intake = false;
            }
        }
    }

    /// These partitions are no longer ours.
    pub fn end(&self, partitions: &[TopicPartition]) {
        {
            let mut state = self.state();
            for at in partitions {
                state.leases.remove(at);
            }
        }
        self.notify();
    }

    /// The group was heard of: the feed polled, and the membership was not found to be over.
    pub fn note_poll(&self) {
        let now = Instant::now();
        let slept = {
            let mut state = self.state();
            let slept = now.duration_since(state.polled) > self.session_timeout;
            state.polled = now;
            slept
        };
        if slept {
            self.notify();
        }
    }

    /// Whether the feed has not polled for longer than the session lasts: the group may have given the partitions away.
    pub fn overslept(&self) -> bool {
        self.state().polled.elapsed() > self.session_timeout && !mutant!(Oversleeping)
    }

    /// The epoch under which a partition is assigned now.
    pub fn epoch(&self, at: &TopicPartition) -> Option<Epoch> {
        self.state().leases.get(at).map(|lease| lease.epoch)
    }

    /// Whether any partition is ours.
    pub fn any(&self) -> bool {
        !self.state().leases.is_empty()
    }

    /// Whether what was polled under this assignment may still be sent.
    pub fn live(&self, span: &Span) -> bool {
        mutant!(LeasesIgnored) || self.state().leases.get(&span.at).is_some_and(|lease| lease.epoch == span.epoch)
    }

    /// Whether a batch of this assignment may begin.
    pub fn open(&self, span: &Span) -> bool {
        self.state().leases.get(&span.at).is_some_and(|lease| lease.epoch == span.epoch && lease.intake)
    }

    /// Waits until the feed has polled within the session timeout, then tells whether all of the spans are alive. For
    /// spans that are all over there is nothing to wait for: a feed that stopped will not poll again.
    pub async fn confirm(&self, spans: &[Span]) -> bool {
        loop {
            // Made before looking: from here on no change is missed.
            let changed = self.changes.notified();
            if !self.overslept() || !spans.iter().any(|span| self.live(span)) {
                return spans.iter().all(|span| self.live(span));
            }
            changed.await;
        }
    }

    /// Sleeps, but wakes up early when a lease ends, so that nobody sits out a back-off for a partition that is gone.
    pub async fn sleep(&self, duration: Duration) {
        tokio::select! {
            biased;
            () = self.changes.notified() => {}
            () = tokio::time::sleep(duration) => {}
        }
    }
}
