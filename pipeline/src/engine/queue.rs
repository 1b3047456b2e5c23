//! Batches that are cut and have not begun, in the order in which they were cut.
//!
//! It owns them, and waits for nothing. It guarantees that no batch passes an earlier one that shares a partition with it.

use std::collections::VecDeque;

use crate::engine::batcher::{Batch, Span};

/// The batches that wait.
#[derive(Debug)]
pub(crate) struct BatchQueue {
    batches: VecDeque<Batch>,
    most: usize,
}

impl BatchQueue {
    /// Takes so many batches at most.
    pub(super) fn new(most: usize) -> Self {
        Self { batches: VecDeque::with_capacity(most), most }
    }

    /// Whether another batch may come, where so many bytes are free for what waits. One always may.
    pub(super) fn wants(&self, free: usize) -> bool {
        let bytes = || self.batches.iter().map(|batch| batch.bytes).sum::<usize>();
        self.batches.is_empty() || (self.batches.len() < self.most && bytes() < free)
    }

    pub(super) fn push(&mut self, batch: Batch) {
        self.batches.push_back(batch);
    }

    /// The first batch whose partitions are idle, and its place.
    pub(super) fn find_idle(&self, is_idle: impl Fn(&[Span]) -> bool) -> Option<(usize, &Batch)> {
        let follows = |place: usize, batch: &Batch| {
            self.batches.iter().take(place).flat_map(|earlier| &earlier.spans).any(|span| batch.covers(span))
        };
        let mut places = self.batches.iter().enumerate();
        places.find(|(place, batch)| !follows(*place, batch) && is_idle(&batch.spans))
    }

    pub(super) fn take(&mut self, place: usize) -> Option<Batch> {
        self.batches.remove(place)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.batches.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Epoch, TopicPartition};

    fn batch(partitions: &[i32]) -> Batch {
        let span =
            |partition: &i32| Span { at: TopicPartition::new("t", *partition), epoch: Epoch(1), first: 0, next: 1 };
        Batch { records: Vec::new(), spans: partitions.iter().map(span).collect(), bytes: 10 }
    }

    #[test]
    fn a_batch_passes_those_of_other_partitions_that_wait_and_none_of_its_own() {
        let mut queue = BatchQueue::new(4);
        [batch(&[0]), batch(&[0, 1]), batch(&[1]), batch(&[2])].into_iter().for_each(|batch| queue.push(batch));
        let idle =
            |busy: &'static [i32]| move |spans: &[Span]| !spans.iter().any(|span| busy.contains(&span.at.partition));
        let place = |queue: &BatchQueue, busy| queue.find_idle(idle(busy)).map(|(place, _)| place);
        assert_eq!(place(&queue, &[]), Some(0));
        // The third waits behind the second, which waits behind the first.
        assert_eq!(place(&queue, &[0]), Some(3));
        assert_eq!(place(&queue, &[0, 2]), None);
        queue.take(0);
        assert_eq!((place(&queue, &[]), place(&queue, &[1])), (Some(0), Some(2)));
    }

    #[test]
    fn it_takes_one_whatever_its_size_and_more_while_there_is_room() {
        let mut queue = BatchQueue::new(3);
        assert!(queue.wants(0));
        queue.push(batch(&[0]));
        assert_eq!((queue.wants(10), queue.wants(11)), (false, true));
        queue.push(batch(&[1]));
        queue.push(batch(&[2]));
        assert!(!queue.wants(1_000));
    }
}
