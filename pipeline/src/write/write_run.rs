//! What one call of the writer holds: its writes, whose records they are, and what is left to send.

use std::collections::VecDeque;

use crate::binding::Writes;
use crate::engine::batcher::Span;
use crate::offsets::offset_tracker::Seq;
use crate::outcome::RecordResult;
use crate::park::Park;
use crate::park::waiting::RequestWaiting;
use crate::write::group::{Group, WriteOrigin};
use crate::write::judge::Coordinate;

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

    /// The park, for these writes.
    pub(crate) fn waiting<'r>(&'r self, items: &'r [usize]) -> RequestWaiting<'r> {
        RequestWaiting { park: self.park, spans: self.spans, sources: self.sources, items }
    }

    pub(crate) fn next_conflict(&mut self) -> Option<Group> {
        let item = *self.conflicts.iter().min()?;
        self.conflicts.retain(|other| *other != item);
        Some(Group { items: vec![item], last: true, ..Group::default() })
    }
}
