//! Documents in flight: keeps two records of one document with equal versions from racing each other.
//!
//! The store accepts an equal version as a later one, so the earlier record has to be finished before the later is sent.
//! Batches register in the order they were cut; a record whose document and version are taken waits for the holder's batch.

use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHasher};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::ledger::Seq;
use crate::system::Identity;

#[derive(Debug)]
struct Holder {
    seq: Seq,
    wave: usize,
    done: CancellationToken,
}

/// Which batch holds which document and version.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    holders: Mutex<FxHashMap<u64, Holder>>,
}

/// When a record of a batch may be written.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Records of wave 0 go first; those of wave n wait until wave n - 1 is finished.
    pub wave: usize,
    /// The earlier batch that has to be finished before.
    pub after: Option<CancellationToken>,
}

/// What a batch registered; giving it up lets the later ones go on.
pub(crate) struct Registration<'a> {
    in_flight: &'a InFlight,
    seq: Seq,
    keys: Vec<u64>,
    _done: DropGuard,
}

impl InFlight {
    fn holders(&self) -> MutexGuard<'_, FxHashMap<u64, Holder>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers the records of a batch, in log order. To be called in the order of the batches.
    ///
    /// `by_document` keeps all records of a document apart, whatever their versions. Two documents that share a hash
    /// wait for each other needlessly, and nothing else.
    pub(crate) fn register<'a, 'r>(
        &'a self,
        seq: Seq,
        by_document: bool,
        identities: impl Iterator<Item = &'a Identity<'r>>,
    ) -> (Registration<'a>, Vec<Place>)
    where
        'r: 'a,
    {
        let done = CancellationToken::new();
        let mut keys = Vec::with_capacity(identities.size_hint().0);
        let mut places = Vec::with_capacity(identities.size_hint().0);
        let mut holders = self.holders();
        for identity in identities {
            let key = key(identity, by_document);
            let place = match holders.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(Holder { seq, wave: 0, done: done.clone() });
                    Place { wave: 0, after: None }
                }
                Entry::Occupied(mut entry) if entry.get().seq == seq => {
                    entry.get_mut().wave += 1;
                    Place { wave: entry.get().wave, after: None }
                }
                Entry::Occupied(mut entry) => {
                    let earlier = entry.insert(Holder { seq, wave: 1, done: done.clone() });
                    Place { wave: 1, after: Some(earlier.done) }
                }
            };
            keys.push(key);
            places.push(place);
        }
        drop(holders);
        (Registration { in_flight: self, seq, keys, _done: done.drop_guard() }, places)
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut holders = self.in_flight.holders();
        for key in &self.keys {
            if let Entry::Occupied(entry) = holders.entry(*key)
                && entry.get().seq == self.seq
            {
                entry.remove();
            }
        }
    }
}

fn key(identity: &Identity<'_>, by_document: bool) -> u64 {
    let mut hasher = FxHasher::default();
    identity.document.hash(&mut hasher);
    if !by_document {
        identity.version.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn identity(document: &str, version: i64) -> Identity<'_> {
        Identity { document: Cow::Borrowed(document), message: [0; 32], version }
    }

    #[test]
    fn equal_versions_of_a_document_wait_for_the_earlier_batch() {
        let in_flight = InFlight::default();
        let earlier = [identity("a", 1), identity("b", 1)];
        let later = [identity("a", 2), identity("b", 1), identity("b", 1)];
        let (first, places) = in_flight.register(Seq(0), false, earlier.iter());
        assert!(places.iter().all(|place| place.wave == 0 && place.after.is_none()));
        let (_second, places) = in_flight.register(Seq(1), false, later.iter());
        assert_eq!(places.iter().map(|place| place.wave).collect::<Vec<_>>(), [0, 1, 2]);
        let waits = places[1].after.clone().unwrap();
        assert!(!waits.is_cancelled());
        drop(first);
        assert!(waits.is_cancelled());
    }

    #[test]
    fn a_batch_that_is_done_leaves_nothing_behind() {
        let in_flight = InFlight::default();
        let records = [identity("a", 1), identity("a", 1), identity("c", 7)];
        drop(in_flight.register(Seq(0), false, records.iter()));
        assert!(in_flight.holders().is_empty());
        let (_again, places) = in_flight.register(Seq(1), true, records.iter());
        assert_eq!(places.iter().map(|place| place.wave).collect::<Vec<_>>(), [0, 1, 0]);
    }
}
