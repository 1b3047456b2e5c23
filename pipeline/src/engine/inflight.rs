//! Documents in flight: keeps two records of one document with equal versions from racing each other.
//!
//! The store accepts an equal version as a later one, so the earlier record has to be finished before the later is sent.
//! Batches register in the order in which they begin; a record whose document and version are taken waits for the holder's batch.

use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};

use parking_lot::{Mutex, MutexGuard};
use rustc_hash::{FxHashMap, FxHasher};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::mutant;
use crate::offsets::offset_tracker::Seq;
use crate::sink::SinkLimits;
use crate::system::Identity;

#[derive(Clone, Copy, Debug)]
struct Holder {
    seq: Seq,
    wave: usize,
}

/// Which batch holds which document and version.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    holdings: Mutex<Holdings>,
}

#[derive(Debug, Default)]
struct Holdings {
    holders: FxHashMap<u64, Holder>,
    /// Of each batch in flight: cancelled when it is done.
    done: FxHashMap<Seq, CancellationToken>,
}

/// Which records of a batch may not share a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apart {
    /// Those of one document and version: they go in waves, the first of each, then the second, and so on.
    EqualVersions,
    /// Those of one document, in waves: documents are independent of each other.
    Documents,
    /// Those of one document, and no record overtakes an earlier one of its partition: a request is the longest run in which no
    /// document comes twice.
    Runs,
    /// None, for the store orders keys by itself; and no record overtakes an earlier one of its partition.
    Batches,
}

impl Apart {
    /// With order by key, two records that share a key never travel in one request, unless the store orders them: where the
    /// earlier fails, the later must not have been tried.
    pub(crate) fn of(limits: SinkLimits, by_key: bool, orders_keys: bool) -> Self {
        match (limits.one_write_a_document || by_key, limits.ordered) {
            _ if by_key && orders_keys => Self::Batches,
            (true, true) => Self::Runs,
            (true, false) => Self::Documents,
            (false, _) => Self::EqualVersions,
        }
    }
}

/// When a record of a batch may be written.
#[derive(Clone, Debug)]
pub(crate) struct WriteSlot {
    /// Records of wave 0 go first; those of wave n wait until wave n - 1 is finished.
    pub wave: usize,
    /// The earlier batches that have to be finished before.
    pub after: Vec<CancellationToken>,
}

/// What a batch registered; giving it up lets the later ones go on.
pub(crate) struct Registration<'a> {
    in_flight: &'a InFlight,
    seq: Seq,
    keys: Vec<u64>,
    _done: DropGuard,
}

impl InFlight {
    fn holdings(&self) -> MutexGuard<'_, Holdings> {
        self.holdings.lock()
    }

    /// Registers the records of a batch, in log order. To be called in the order in which batches begin.
    ///
    /// Each comes with its keys, none twice, and its span. Two that share a hash wait for each other needlessly, and nothing else.
    pub(crate) fn register<K: AsRef<[u64]>>(
        &self,
        seq: Seq,
        apart: Apart,
        records: impl Iterator<Item = (K, usize)>,
    ) -> (Registration<'_>, Vec<WriteSlot>) {
        let done = CancellationToken::new();
        let mut registered = Vec::with_capacity(records.size_hint().0);
        let mut places = Vec::with_capacity(records.size_hint().0);
        let mut runs: FxHashMap<usize, usize> = FxHashMap::default();
        let mut holdings = self.holdings();
        let Holdings { holders, done: batches } = &mut *holdings;
        holders.reserve(registered.capacity());
        let (in_line, step) = (matches!(apart, Apart::Runs | Apart::Batches), usize::from(apart != Apart::Batches));
        for (keys, span) in records {
            let keys = keys.as_ref();
            // The run that the partition is at: nothing may go before it.
            let run = if in_line { runs.get(&span).copied().unwrap_or(0) } else { 0 };
            let mut place = WriteSlot { wave: run, after: Vec::new() };
            for key in keys {
                match holders.entry(*key) {
                    Entry::Vacant(entry) => {
                        entry.insert(Holder { seq, wave: place.wave });
                    }
                    Entry::Occupied(_) if mutant!(EqualVersionsRace) => {}
                    Entry::Occupied(mut entry) if entry.get().seq == seq => {
                        place.wave = place.wave.max(entry.get().wave + step);
                        entry.get_mut().wave = place.wave;
                    }
                    Entry::Occupied(mut entry) => {
                        place.wave = place.wave.max(1);
                        let earlier = entry.insert(Holder { seq, wave: place.wave });
                        place.after.extend(batches.get(&earlier.seq).cloned());
                    }
                }
            }
            if keys.len() > 1 {
                // The last of its keys may have moved it to a later wave than the first was told.
                for key in keys {
                    holders.entry(*key).and_modify(|holder| holder.wave = place.wave);
                }
            }
            runs.insert(span, place.wave);
            registered.extend_from_slice(keys);
            places.push(place);
        }
        batches.insert(seq, done.clone());
        drop(holdings);
        (Registration { in_flight: self, seq, keys: registered, _done: done.drop_guard() }, places)
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut holdings = self.in_flight.holdings();
        holdings.done.remove(&self.seq);
        for key in &self.keys {
            if let Entry::Occupied(entry) = holdings.holders.entry(*key)
                && entry.get().seq == self.seq
            {
                entry.remove();
            }
        }
    }
}

/// The key of a record of a system that asks for no order by keys of its own.
pub(crate) fn document_key(identity: &Identity<'_>, apart: Apart) -> [u64; 1] {
    let mut hasher = FxHasher::default();
    identity.document.hash(&mut hasher);
    if apart == Apart::EqualVersions {
        identity.version.hash(&mut hasher);
    }
    [hasher.finish()]
}

/// The hashes of the keys that a function tells, none twice.
pub(crate) fn hashes(keys: impl FnOnce(&mut dyn FnMut(&str))) -> Vec<u64> {
    let mut hashes = Vec::with_capacity(1);
    keys(&mut |key| {
        let mut hasher = FxHasher::default();
        key.hash(&mut hasher);
        hashes.push(hasher.finish());
    });
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn identity(document: &str, version: i64) -> Identity<'_> {
        Identity { document: Cow::Borrowed(document), message: None, version, kind: "created" }
    }

    fn in_span(identities: &[Identity<'_>], apart: Apart) -> impl Iterator<Item = ([u64; 1], usize)> {
        identities.iter().map(move |identity| (document_key(identity, apart), 0))
    }

    /// The requests of one batch: document and partition each.
    fn requests(apart: Apart, records: &[(&'static str, usize)]) -> Vec<usize> {
        let in_flight = InFlight::default();
        let records = records.iter().map(|(document, span)| (document_key(&identity(document, 1), apart), *span));
        let (_registration, places) = in_flight.register(Seq(0), apart, records);
        places.iter().map(|place| place.wave).collect()
    }

    #[test]
    fn a_run_ends_where_a_document_comes_again_and_nothing_of_its_partition_overtakes() {
        let log = [("a", 0), ("b", 0), ("a", 0), ("c", 0), ("b", 0), ("c", 0), ("d", 0)];
        assert_eq!(requests(Apart::Batches, &log), [0; 7]);
        assert_eq!(requests(Apart::Documents, &log), [0, 0, 1, 0, 1, 1, 0]);
        assert_eq!(requests(Apart::Runs, &log), [0, 0, 1, 1, 1, 2, 2]);
        // Another partition goes its own way, save for the documents that both hold.
        let two = [("a", 0), ("a", 0), ("x", 1), ("a", 1), ("y", 1), ("b", 0)];
        assert_eq!(requests(Apart::Runs, &two), [0, 1, 0, 2, 2, 1]);
    }

    #[test]
    fn where_the_store_orders_keys_only_another_batch_is_waited_for() {
        let in_flight = InFlight::default();
        let register = |seq, log: &'static [(&'static str, usize)]| {
            let key = |(document, span): &(&'static str, usize)| {
                (document_key(&identity(document, 1), Apart::Batches), *span)
            };
            in_flight.register(Seq(seq), Apart::Batches, log.iter().map(key))
        };
        let (_first, _) = register(0, &[("a", 0)]);
        let (_second, places) = register(1, &[("x", 1), ("a", 1), ("y", 1), ("a", 1), ("z", 2)]);
        assert_eq!(places.iter().map(|place| place.wave).collect::<Vec<_>>(), [0, 1, 1, 1, 0]);
        assert_eq!(places.iter().map(|place| place.after.len()).collect::<Vec<_>>(), [0, 1, 0, 0, 0]);
    }

    #[test]
    fn equal_versions_of_a_document_wait_for_the_earlier_batch() {
        let in_flight = InFlight::default();
        let earlier = [identity("a", 1), identity("b", 1)];
        let later = [identity("a", 2), identity("b", 1), identity("b", 1)];
        let (first, places) = in_flight.register(Seq(0), Apart::EqualVersions, in_span(&earlier, Apart::EqualVersions));
        assert!(places.iter().all(|place| place.wave == 0 && place.after.is_empty()));
        let (_second, places) = in_flight.register(Seq(1), Apart::EqualVersions, in_span(&later, Apart::EqualVersions));
        assert_eq!(places.iter().map(|place| place.wave).collect::<Vec<_>>(), [0, 1, 2]);
        let waits = places[1].after[0].clone();
        assert!(!waits.is_cancelled());
        drop(first);
        assert!(waits.is_cancelled());
    }

    #[test]
    fn a_record_of_several_keys_follows_all_who_hold_one() {
        let in_flight = InFlight::default();
        let keys = |records: &[&[&str]]| -> Vec<(Vec<u64>, usize)> {
            records.iter().map(|keys| (hashes(|each| keys.iter().for_each(|key| each(key))), 0)).collect()
        };
        let earlier = keys(&[&["a"], &["b"], &["b"], &["b", "a", "b"], &["a"], &["c"]]);
        let (first, places) = in_flight.register(Seq(0), Apart::Documents, earlier.into_iter());
        assert_eq!(places.iter().map(|place| place.wave).collect::<Vec<_>>(), [0, 0, 1, 2, 3, 0]);
        let (second, places) = in_flight.register(Seq(1), Apart::Documents, keys(&[&["d"], &["c", "b"]]).into_iter());
        assert_eq!(places.iter().map(|place| (place.wave, place.after.len())).collect::<Vec<_>>(), [(0, 0), (1, 2)]);
        drop((first, second));
        assert!(in_flight.holdings().holders.is_empty());
    }

    #[test]
    fn a_batch_that_is_done_leaves_nothing_behind() {
        let in_flight = InFlight::default();
        let records = [identity("a", 1), identity("a", 1), identity("c", 7)];
        drop(in_flight.register(Seq(0), Apart::EqualVersions, in_span(&records, Apart::EqualVersions)));
        assert!(in_flight.holdings().holders.is_empty());
        let (_again, places) = in_flight.register(Seq(1), Apart::Documents, in_span(&records, Apart::Documents));
        assert_eq!(places.iter().map(|place| place.wave).collect::<Vec<_>>(), [0, 1, 0]);
    }
}
