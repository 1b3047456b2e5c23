//! What a request is told of the park: whether a write of it that cannot pass now may wait, or is a reject.

use crate::engine::batcher::Span;
use crate::park::Park;
use crate::sink::{Failure, Reject, Verdict, Waiting};
use crate::write::group::WriteOrigin;

/// The park, for the writes of a request.
pub(crate) struct RequestWaiting<'a> {
    /// None of a system without a ladder.
    pub park: Option<&'a Park>,
    pub spans: &'a [Span],
    pub sources: &'a [WriteOrigin],
    /// The writes, by their place in the request.
    pub items: &'a [usize],
}

impl RequestWaiting<'_> {
    fn place(&self, write: usize) -> Option<(&Park, &Span, i64)> {
        let source = self.sources.get(*self.items.get(write)?)?;
        Some((self.park?, self.spans.get(source.span)?, source.offset))
    }

    fn may_wait_for(&self, write: usize, why: &Reject) -> bool {
        self.place(write).is_some_and(|(park, span, offset)| park.may_wait(span, offset, &why.class))
    }

    /// Makes of the verdicts what may be made of them: a write that may not wait is rejected.
    pub(crate) fn put_off(&self, verdicts: &mut [Verdict], last: bool) {
        for (write, verdict) in verdicts.iter_mut().enumerate() {
            match verdict {
                Verdict::Later(why) if !self.may_wait_for(write, why) => *verdict = Verdict::Reject(why.clone()),
                Verdict::Conflict(why) if last && self.conflict_may_wait(write, &why.class, &|_| true) => {
                    *verdict = Verdict::Later(why.clone());
                }
                Verdict::Behind if self.park.is_none() => {
                    *verdict = Verdict::Retry(Failure::unavailable("it was not tried, and cannot be parked"));
                }
                _ => {}
            }
        }
    }
}

impl Waiting for RequestWaiting<'_> {
    fn may_wait(&self, write: usize, class: &str) -> bool {
        let Some((park, span, offset)) = self.place(write) else { return false };
        let may = park.may_wait(span, offset, class);
        if !may {
            // At once, for those behind it are tried in the same request.
            park.gave_up(span, offset, class.to_owned().into());
        }
        may
    }

    fn conflict_may_wait(&self, write: usize, class: &str, may_clear: &dyn Fn(&str) -> bool) -> bool {
        let Some((park, span, offset)) = self.place(write) else { return false };
        park.conflict_may_wait(span, offset, class, may_clear)
    }
}
