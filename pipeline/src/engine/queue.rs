//! Batches that are cut and have not begun, in the order in which they were cut.
//!
//! It owns them, and waits for nothing. It guarantees that nothing passes what was cut earlier of the same partition.

use std::collections::VecDeque;

use crate::engine::batcher::{Batch, Span};
use crate::record::TopicPartition;

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

    /// Takes a batch; one that stands for nothing would never begin.
    pub(super) fn push(&mut self, batch: Batch) {
        if !batch.is_empty() {
            self.batches.push_back(batch);
        }
    }

    /// The first batch that has partitions which are idle and of no earlier batch: its place, and these partitions.
    pub(super) fn find_idle(&self, is_idle: impl Fn(&Span) -> bool) -> Option<(usize, Vec<TopicPartition>)> {
        let mut passed: Vec<&TopicPartition> = Vec::new();
        for (place, batch) in self.batches.iter().enumerate() {
            let free = batch.spans.iter().filter(|span| !passed.contains(&&span.at) && is_idle(span));
            let free: Vec<TopicPartition> = free.map(|span| span.at.clone()).collect();
            if !free.is_empty() {
                return Some((place, free));
            }
            passed.extend(batch.spans.iter().map(|span| &span.at));
        }
        None
    }

    pub(super) fn len(&self) -> usize {
        self.batches.len()
    }

    /// How large the batch at a place is.
    pub(super) fn bytes_at(&self, place: usize) -> usize {
        self.batches.get(place).map_or(0, |batch| batch.bytes)
    }

    /// What the batch at a place has of these partitions; the rest stays.
    pub(super) fn take(&mut self, place: usize, partitions: &[TopicPartition]) -> Option<Batch> {
        let batch = self.batches.get_mut(place)?;
        if batch.spans.len() == partitions.len() { self.batches.remove(place) } else { Some(batch.split(partitions)) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Takes out what is of an assignment that is over.
    pub(super) fn forget(&mut self, is_over: impl Fn(&Span) -> bool) {
        self.batches.iter_mut().for_each(|batch| batch.forget(&is_over));
        self.batches.retain(|batch| !batch.is_empty());
    }

    pub(super) fn clear(&mut self) {
        self.batches.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Epoch;

    fn batch(partitions: &[i32]) -> Batch {
        let span =
            |partition: &i32| Span { at: TopicPartition::new("t", *partition), epoch: Epoch(1), first: 0, next: 1 };
        Batch { records: Vec::new(), spans: partitions.iter().map(span).collect(), bytes: 10 }
    }

    #[test]
    fn what_is_of_an_idle_partition_passes_others_that_wait_and_none_of_its_own() {
        let mut queue = BatchQueue::new(4);
        [batch(&[0]), batch(&[0, 1]), batch(&[1]), batch(&[2])].into_iter().for_each(|batch| queue.push(batch));
        let idle = |busy: &'static [i32]| move |span: &Span| !busy.contains(&span.at.partition);
        let find = |queue: &BatchQueue, busy| {
            let found = queue.find_idle(idle(busy));
            found.map(|(place, free)| (place, free.iter().map(|at| at.partition).collect::<Vec<_>>()))
        };
        assert_eq!(find(&queue, &[]), Some((0, vec![0])));
        assert_eq!(find(&queue, &[0]), Some((1, vec![1])));
        // The third waits behind what the second has of its partition.
        assert_eq!((find(&queue, &[0, 1]), find(&queue, &[0, 1, 2])), (Some((3, vec![2])), None));
        let taken = queue.take(1, &[TopicPartition::new("t", 1)]).unwrap();
        assert_eq!((taken.spans, queue.batches[1].spans.clone()), (batch(&[1]).spans, batch(&[0]).spans));
        assert_eq!((find(&queue, &[0]), find(&queue, &[1])), (Some((2, vec![1])), Some((0, vec![0]))));
        queue.take(0, &[TopicPartition::new("t", 0)]);
        assert_eq!(queue.batches.len(), 3);
    }

    #[test]
    fn what_is_of_an_assignment_that_is_over_keeps_no_place() {
        let mut queue = BatchQueue::new(2);
        [batch(&[0]), batch(&[0, 1])].into_iter().for_each(|batch| queue.push(batch));
        queue.forget(|span| span.at.partition == 0);
        assert_eq!((queue.batches.len(), queue.batches[0].spans.clone()), (1, batch(&[1]).spans));
        queue.forget(|_| true);
        assert!(queue.is_empty());
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
