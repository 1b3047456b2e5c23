//! Gaps in the offsets that were read of one partition: what the log skipped, or what retention took.
//!
//! Pure: answers are passed in. A gap [a, b) is a loss if the log's start, read after the gap was seen, exceeds a. It
//! guarantees that nothing is committed past a gap that is not explained, nor past a loss that is not written down.

use std::collections::VecDeque;

/// Gaps that are told apart; further ones are counted together, so that a compacted log costs no memory.
const APART: usize = 64;

/// Offsets from `first` up to, not including, `next`, of which so many were never seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    first: i64,
    next: i64,
    missing: i64,
}

/// What retention took: at most so many records from `first` up to, not including, `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LostRange {
    pub first: i64,
    pub next: i64,
    pub lost: i64,
}

/// The gaps of one partition, the lowest first.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    open: VecDeque<Gap>,
    /// So many at the front were there when the log's start was asked for.
    asked: usize,
    losses: Vec<LostRange>,
}

impl Gaps {
    /// Everything below `first` was polled before, and now the log went on at `next`.
    pub(super) fn note(&mut self, first: i64, next: i64) {
        let missing = next - first;
        let full = self.open.len() > self.asked.max(APART);
        match self.open.back_mut() {
            Some(last) if full => {
                last.next = next;
                last.missing += missing;
            }
            _ => self.open.push_back(Gap { first, next, missing }),
        }
    }

    /// As `note`, of a gap below all others. To be called before the log's start was ever asked for.
    pub(super) fn note_first(&mut self, first: i64, next: i64) {
        self.open.push_front(Gap { first, next, missing: next - first });
    }

    /// The offset that no commit may pass.
    pub(super) fn limit(&self) -> Option<i64> {
        let lost = self.losses.iter().map(|loss| loss.first).min();
        lost.into_iter().chain(self.open.front().map(|gap| gap.first)).min()
    }

    /// Whether there are gaps that nobody has asked for.
    pub(super) fn is_unasked(&self) -> bool {
        self.asked == 0 && !self.open.is_empty()
    }

    /// The log's start is being asked for, on behalf of all gaps that there are.
    pub(super) fn ask(&mut self) {
        self.asked = self.open.len();
    }

    /// No answer came.
    pub(super) fn note_unanswered(&mut self) {
        self.asked = 0;
    }

    /// The log's start, for the gaps that were there when it was asked for.
    pub(super) fn answer(&mut self, start: i64) {
        let asked = self.open.drain(..std::mem::take(&mut self.asked).min(self.open.len()));
        let mut loss: Option<LostRange> = None;
        for gap in asked.filter(|gap| start > gap.first) {
            let next = start.min(gap.next);
            let lost = gap.missing.min(next - gap.first);
            let sum = loss.get_or_insert(LostRange { first: gap.first, next, lost: 0 });
            sum.next = next;
            sum.lost += lost;
        }
        self.losses.extend(loss);
    }

    /// Losses that are not written down.
    pub(super) fn losses(&self) -> &[LostRange] {
        &self.losses
    }

    /// A loss was written down.
    pub(super) fn note_written(&mut self, loss: &LostRange) {
        self.losses.retain(|known| known != loss);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(gaps: &[(i64, i64)]) -> Gaps {
        let mut all = Gaps::default();
        gaps.iter().for_each(|(first, next)| all.note(*first, *next));
        all.ask();
        all
    }

    #[test]
    fn a_gap_is_a_loss_when_the_log_begins_above_its_first_offset() {
        for (start, loss) in [
            (0, None),
            (100, None),
            (101, Some(LostRange { first: 100, next: 101, lost: 1 })),
            (150, Some(LostRange { first: 100, next: 150, lost: 50 })),
            (200, Some(LostRange { first: 100, next: 200, lost: 100 })),
            (500, Some(LostRange { first: 100, next: 200, lost: 100 })),
        ] {
            let mut gaps = asked(&[(100, 200)]);
            assert_eq!(gaps.limit(), Some(100));
            gaps.answer(start);
            assert_eq!(gaps.losses(), loss.as_slice(), "start {start}");
            assert_eq!(gaps.limit(), loss.map(|_| 100));
            loss.iter().for_each(|loss| gaps.note_written(loss));
            assert_eq!(gaps.limit(), None);
        }
    }

    #[test]
    fn an_answer_says_nothing_about_gaps_that_were_seen_later() {
        let mut gaps = asked(&[(100, 110)]);
        gaps.note(120, 130);
        gaps.answer(0);
        assert_eq!((gaps.limit(), gaps.is_unasked()), (Some(120), true));
        gaps.ask();
        gaps.note_unanswered();
        assert_eq!((gaps.limit(), gaps.is_unasked()), (Some(120), true));
        gaps.ask();
        gaps.answer(125);
        assert_eq!(gaps.losses(), [LostRange { first: 120, next: 125, lost: 5 }]);
    }

    proptest! {
        /// Any log, any moments of asking: what retention took and nobody polled is never fewer than what is counted plus
        /// nothing, no commit passes it before it is written down, and a log that lost nothing reports nothing.
        #[test]
        fn no_loss_goes_unseen(
            steps in prop::collection::vec((1_i64..5, 0_i64..4, any::<bool>(), any::<bool>()), 1..400),
            cut in prop::option::of((0_usize..400, 1_i64..200)),
        ) {
            let mut gaps = Gaps::default();
            let (mut next, mut start, mut truly_lost, mut seen) = (0, 0, 0, 0);
            let mut lowest = None;
            for (index, (read, holes, ask, answer)) in steps.into_iter().enumerate() {
                next += read;
                let mut to = next + holes;
                if let Some((at, size)) = cut && at == index {
                    start = next + size;
                    truly_lost = size;
                    lowest = Some(next);
                    to = start;
                }
                if to > next {
                    gaps.note(next, to);
                    next = to;
                }
                if ask && gaps.is_unasked() {
                    gaps.ask();
                }
                if answer {
                    gaps.answer(start);
                    seen += gaps.losses().iter().map(|loss| loss.lost).sum::<i64>();
                    prop_assert!(gaps.losses().is_empty() || gaps.limit().is_some_and(|limit| limit <= lowest.unwrap()));
                    for loss in gaps.losses().to_vec() {
                        gaps.note_written(&loss);
                    }
                }
                if lowest.is_some() && seen < truly_lost {
                    prop_assert!(gaps.limit().is_some_and(|limit| limit <= lowest.unwrap()));
                }
            }
            gaps.ask();
            gaps.answer(start);
            seen += gaps.losses().iter().map(|loss| loss.lost).sum::<i64>();
            prop_assert!(seen >= truly_lost);
            prop_assert!(truly_lost > 0 || seen == 0);
            prop_assert!(gaps.open.len() <= APART + 1);
        }
    }
}
