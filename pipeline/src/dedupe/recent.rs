//! The marks of recent records in memory: a flat table, of which a look-up touches one or two lines of the processor's cache.
//!
//! A mark has one bucket, which its bits name. A full bucket gives up its oldest mark.
//!
//! By hand, because the lists of `lru` cost an allocation a mark and several cache lines a look-up.

use std::num::NonZeroUsize;

use crate::dedupe::Mark;
use crate::record::Epoch;

/// Marks of a bucket: their first halves fill one cache line.
const WAYS: usize = 8;

/// Marks with the assignment under which each was made.
#[derive(Debug)]
pub(super) struct RecentMarks {
    /// The first halves of the marks; 0 is free.
    firsts: Vec<[u64; WAYS]>,
    /// The second halves, each with its assignment.
    rests: Vec<[[u64; 2]; WAYS]>,
    /// Of each bucket, the place that is written next.
    next: Vec<u8>,
}

impl RecentMarks {
    /// Twice as many places as marks that are to be remembered, or a bucket that fills early would forget too soon. 25 bytes each;
    /// memory that is not written yet is not taken.
    pub(super) fn new(marks: NonZeroUsize) -> Self {
        let buckets = marks.get().saturating_mul(2).div_ceil(WAYS).next_power_of_two();
        Self { firsts: vec![[0; WAYS]; buckets], rests: vec![[[0; 2]; WAYS]; buckets], next: vec![0; buckets] }
    }

    /// The assignment under which the mark was made.
    pub(super) fn get(&self, mark: Mark) -> Option<Epoch> {
        let (bucket, first, second) = self.place(mark);
        let (firsts, rests) = (self.firsts.get(bucket)?, self.rests.get(bucket)?);
        let mut known = firsts.iter().zip(rests).filter(|(known, _)| **known == first);
        known.find_map(|(_, [rest, epoch])| (*rest == second).then_some(Epoch(*epoch)))
    }

    pub(super) fn insert(&mut self, mark: Mark, epoch: Epoch) {
        let (bucket, first, second) = self.place(mark);
        let (Some(firsts), Some(rests), Some(next)) =
            (self.firsts.get_mut(bucket), self.rests.get_mut(bucket), self.next.get_mut(bucket))
        else {
            return;
        };
        for (known, rest) in firsts.iter().zip(rests.iter_mut()) {
            if *known == first && rest.first() == Some(&second) {
                *rest = [second, epoch.0];
                return;
            }
        }
        let way = usize::from(*next) % WAYS;
        *next = next.wrapping_add(1);
        if let (Some(free), Some(rest)) = (firsts.get_mut(way), rests.get_mut(way)) {
            (*free, *rest) = (first, [second, epoch.0]);
        }
    }

    /// The bucket of a mark, and its halves. Marks are digests, so their bits are spread.
    fn place(&self, Mark(bytes): Mark) -> (usize, u64, u64) {
        let [first, second] = [0, 8].map(|at| {
            let half = bytes.get(at..at + 8).and_then(|half| half.try_into().ok());
            u64::from_le_bytes(half.unwrap_or_default())
        });
        // There is at least one bucket, and their number is a power of two.
        (second as usize & (self.firsts.len() - 1), first.max(1), second)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn mark(number: u64) -> Mark {
        Mark::of(&[0; 32], &number.to_le_bytes())
    }

    #[test]
    fn the_youngest_marks_are_known_and_the_oldest_make_room() {
        let marks = 10_000;
        let mut recent = RecentMarks::new(NonZeroUsize::new(marks).unwrap());
        let all = 20 * marks as u64;
        for number in 0..all {
            recent.insert(mark(number), Epoch(number));
        }
        let known =
            |from: u64, to: u64| (from..to).filter(|number| recent.get(mark(*number)) == Some(Epoch(*number))).count();
        assert_eq!(known(all - 1_000, all), 1_000);
        assert!(known(all - marks as u64, all) > marks * 95 / 100, "{}", known(all - marks as u64, all));
        assert_eq!(known(0, marks as u64), 0);
        assert_eq!(recent.get(mark(all)), None);
    }

    proptest! {
        #[test]
        fn nothing_is_known_that_was_not_put_in(steps in prop::collection::vec((0_u64..60, 0_u64..4), 0..300)) {
            let mut recent = RecentMarks::new(NonZeroUsize::new(16).unwrap());
            let mut model = HashMap::new();
            for (number, epoch) in steps {
                recent.insert(mark(number), Epoch(epoch));
                model.insert(number, Epoch(epoch));
                prop_assert_eq!(recent.get(mark(number)), Some(Epoch(epoch)));
                for number in 0..60 {
                    let known = recent.get(mark(number));
                    prop_assert!(known.is_none() || known == model.get(&number).copied(), "{}: {:?}", number, known);
                }
            }
        }
    }
}
