//! What one call of the writer holds: its writes, whose records they are, and what is left to send.

use std::collections::VecDeque;

use crate::batcher::Span;
use crate::binding::Writes;
use crate::group::{Group, WriteOrigin};
use crate::judge::Coordinate;
use crate::offset_tracker::Seq;
use crate::outcome::RecordResult;
use crate::park::Park;
use crate::sink::{Reject, Verdict};

/// One call of [`Writer::write`](crate::write::Writer::write).
pub(crate) struct WriteRun<'a> {
    pub seq: Seq,
    pub spans: &'a [Span],
    pub writes: &'a dyn Writes,
    pub sources: &'a [WriteOrigin],
    /// Where writes may wait that may pass later.
    pub park: Option<&'a Park>,
    pub queue: VecDeque<Group>,
    /// Writes that another document stood in the way of: they go once more, alone, when all others have their results.
    pub conflicts: Vec<usize>,
    pub results: Vec<RecordResult>,
}

impl WriteRun<'_> {
    /// The record of a single write.
    pub(crate) fn record(&self, group: &Group) -> Option<Coordinate> {
        let item = group.items.first()?;
        self.sources.get(*item)?.coordinate(self.spans)
    }

    /// Says of a write that may pass later whether it may wait for that.
    pub(crate) fn put_off(&self, item: usize, verdict: &mut Verdict, last: bool) {
        let waits = |asked: fn(&Park, &Span, i64, &str) -> bool, why: &Reject| {
            let (Some(park), Some(source)) = (self.park, self.sources.get(item)) else { return false };
            self.spans.get(source.span).is_some_and(|span| asked(park, span, source.offset, &why.class))
        };
        match verdict {
            Verdict::Later(why) if !waits(Park::may_wait, why) => *verdict = Verdict::Reject(why.clone()),
            Verdict::Conflict(why) if last && waits(Park::conflict_may_wait, why) => {
                *verdict = Verdict::Later(why.clone())
            }
            _ => {}
        }
    }

    pub(crate) fn next_conflict(&mut self) -> Option<Group> {
        let item = *self.conflicts.iter().min()?;
        self.conflicts.retain(|other| *other != item);
        Some(Group { items: vec![item], last: true, ..Group::default() })
    }
}
