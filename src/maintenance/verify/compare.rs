//! What the log says of a document, against what the store holds of it. Pure.

use crate::stores::reader::StoredVersion;
use crate::systems::definition::Versions;

/// Where a record stands. Topics are numbered in the order in which the system names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    pub topic: u8,
    pub partition: i32,
    pub offset: i64,
}

/// One event of a document, as the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedVersion {
    pub at: LogPosition,
    pub version: i64,
    pub deleted: bool,
    /// Of what the store is to hold.
    pub content: u64,
    /// Of the fields that pass through, by the plain walk; none of a delete, and where the store does not keep them.
    pub passed: Option<u64>,
    /// It may be in the store and need not: a dead letter holds it, or it came while the store was read.
    pub optional: bool,
}

/// How log and store differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// The log has it, the store has not.
    Missing,
    /// The store holds an older version.
    Stale,
    /// Deleted in the log, alive in the store.
    Resurrected,
    /// The right version with another content.
    Different,
    /// The right version with another value in a field that passes through.
    Altered,
    /// A version that no event of the log has.
    Ahead,
    /// The store holds what no event of the log is about.
    Unknown,
}

/// A difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    pub kind: DifferenceKind,
    /// The event that the store should hold.
    pub expected: Option<LoggedVersion>,
    pub stored: Option<StoredVersion>,
}

/// Compares one document. `told` is in log order within each partition.
pub fn compare(told: &[LoggedVersion], held: Option<StoredVersion>, versions: Versions) -> Option<Difference> {
    let expected = newest(told);
    let kind = match (expected, held) {
        (None, None) => return None,
        // A deleted document may be gone altogether: never written, or purged.
        (Some(expected), None) if expected.deleted => return None,
        (Some(_), None) => DifferenceKind::Missing,
        (None, Some(_)) if told.is_empty() => DifferenceKind::Unknown,
        (expected, Some(held)) => judge(told, expected, held, versions)?,
    };
    Some(Difference { kind, expected, stored: held })
}

/// The event that the store must hold: the newest version, of equal ones the last that is no copy of an earlier one.
fn newest(told: &[LoggedVersion]) -> Option<LoggedVersion> {
    let required = || told.iter().filter(|told| !told.optional);
    let version = required().map(|told| told.version).max()?;
    let mut distinct: Vec<&LoggedVersion> = Vec::new();
    for told in required().filter(|told| told.version == version) {
        if !distinct.iter().any(|known| known.content == told.content) {
            distinct.push(told);
        }
    }
    distinct.last().map(|told| **told)
}

fn judge(
    told: &[LoggedVersion],
    expected: Option<LoggedVersion>,
    held: StoredVersion,
    versions: Versions,
) -> Option<DifferenceKind> {
    let least = expected.map_or(i64::MIN, |expected| expected.version);
    let deleted = expected.is_some_and(|expected| expected.deleted);
    if held.version < least {
        return Some(if deleted && !held.deleted { DifferenceKind::Resurrected } else { DifferenceKind::Stale });
    }
    let mut same = told.iter().filter(|told| told.version == held.version).peekable();
    if same.peek().is_none() {
        return if is_erased(told, held, versions) { None } else { Some(DifferenceKind::Ahead) };
    }
    let fits = |told: &LoggedVersion| told.content == held.content && told.deleted == held.deleted;
    let right = expected.filter(|expected| expected.version == held.version).is_some_and(|expected| fits(&expected));
    let kind = match () {
        () if right || same.any(|one| fits(one) && may_win(told, one)) => None,
        () if deleted && !held.deleted => return Some(DifferenceKind::Resurrected),
        () => Some(DifferenceKind::Different),
    };
    if is_altered(told, expected, held) { Some(DifferenceKind::Altered) } else { kind }
}

/// Whether the newest event was erased: its time stands with a deletion that no event of the log is.
fn is_erased(told: &[LoggedVersion], held: StoredVersion, versions: Versions) -> bool {
    let micros = versions.micros;
    let newest = told.iter().map(|told| told.version).max();
    held.deleted && newest.is_some_and(|newest| micros(newest) == micros(held.version))
}

/// Whether the fields that pass through are those of no event that may be held. It looks past the contents: those are made
/// by the consumer's own code, on both sides.
fn is_altered(told: &[LoggedVersion], expected: Option<LoggedVersion>, held: StoredVersion) -> bool {
    let may_be = |one: &&LoggedVersion| one.version == held.version && (expected == Some(**one) || may_win(told, one));
    let mut wanted = told.iter().filter(may_be).peekable();
    wanted.peek().is_some()
        && held.passed.is_some()
        && wanted.all(|one| one.passed.is_some() && one.passed != held.passed)
}

/// Whether another event than the expected one may have the last word among equal versions: an optional one; one of which a
/// copy comes later, which is written when it is redelivered; the last of another partition.
fn may_win(told: &[LoggedVersion], one: &LoggedVersion) -> bool {
    let same = || told.iter().filter(|other| other.version == one.version);
    let later = |other: &&LoggedVersion| {
        (other.at.topic, other.at.partition) == (one.at.topic, one.at.partition) && other.at.offset > one.at.offset
    };
    let others_later = same().filter(later).any(|other| other.content != one.content);
    one.optional || !others_later || same().filter(later).any(|other| other.content == one.content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of users, whose versions may be final.
    const VERSIONS: Versions = crate::systems::users::DEFINITION.versions;

    fn told(offset: i64, version: i64, content: u64) -> LoggedVersion {
        let at = LogPosition { topic: 0, partition: 0, offset };
        LoggedVersion { at, version, deleted: false, content, passed: None, optional: false }
    }

    fn held(version: i64, content: u64) -> Option<StoredVersion> {
        Some(StoredVersion { version, deleted: false, content, passed: None })
    }

    fn kind(events: &[LoggedVersion], held: Option<StoredVersion>) -> Option<DifferenceKind> {
        compare(events, held, VERSIONS).map(|difference| difference.kind)
    }

    #[test]
    fn each_difference_has_its_name() {
        let log = [told(0, 5, 1), told(1, 7, 2)];
        assert_eq!(kind(&log, held(7, 2)), None);
        assert_eq!(kind(&log, None), Some(DifferenceKind::Missing));
        assert_eq!(kind(&log, held(5, 1)), Some(DifferenceKind::Stale));
        assert_eq!(kind(&log, held(7, 9)), Some(DifferenceKind::Different));
        assert_eq!(kind(&log, held(8, 2)), Some(DifferenceKind::Ahead));
        assert_eq!(kind(&[], held(8, 2)), Some(DifferenceKind::Unknown));
        assert_eq!(kind(&[], None), None);
    }

    #[test]
    fn a_late_event_changes_nothing() {
        let log = [told(0, 7, 2), told(1, 5, 1)];
        assert_eq!(kind(&log, held(7, 2)), None);
        assert_eq!(kind(&log, held(5, 1)), Some(DifferenceKind::Stale));
    }

    #[test]
    fn a_deleted_document_is_a_tombstone_or_gone_and_never_alive() {
        let log = [told(0, 5, 1), LoggedVersion { deleted: true, ..told(1, 7, 0) }, told(2, 6, 3)];
        assert_eq!(kind(&log, None), None);
        assert_eq!(kind(&log, Some(StoredVersion { version: 7, deleted: true, content: 0, passed: None })), None);
        for alive in [held(5, 1), held(6, 3), held(7, 1)] {
            assert_eq!(kind(&log, alive), Some(DifferenceKind::Resurrected), "{alive:?}");
        }
        assert_eq!(kind(&log, held(8, 1)), Some(DifferenceKind::Ahead));
    }

    #[test]
    fn what_was_erased_stands_as_a_deletion_at_the_time_of_the_newest_event() {
        let log = [told(0, 8, 1), told(1, 13, 2)];
        let gone = |version| Some(StoredVersion { version, deleted: true, content: 0, passed: None });
        assert_eq!(kind(&log, gone(14)), None);
        assert_eq!(kind(&log, gone(enrichers::clerk::erasure_version(13))), None);
        assert_eq!(kind(&log, gone(18)), Some(DifferenceKind::Ahead), "of another time");
        assert_eq!(kind(&log, held(14, 0)), Some(DifferenceKind::Ahead), "alive");
        assert_eq!(kind(&log, gone(10)), Some(DifferenceKind::Stale), "newer events came");
    }

    #[test]
    fn of_equal_versions_the_last_wins_unless_a_copy_comes_after_it() {
        let log = [told(0, 5, 1), told(1, 5, 2)];
        assert_eq!(kind(&log, held(5, 2)), None);
        assert_eq!(kind(&log, held(5, 1)), Some(DifferenceKind::Different), "the later of equals was not accepted");
        let copied = [told(0, 5, 1), told(1, 5, 2), told(2, 5, 1)];
        assert_eq!(kind(&copied, held(5, 2)), None);
        assert_eq!(kind(&copied, held(5, 1)), None);
    }

    #[test]
    fn a_field_that_did_not_pass_through_is_told_whatever_the_consumer_makes_of_it() {
        let event = |offset, version, content, passed| LoggedVersion { passed, ..told(offset, version, content) };
        let store = |version, content, passed| held(version, content).map(|held| StoredVersion { passed, ..held });
        let log = [event(0, 5, 1, Some(10)), event(1, 7, 2, Some(20))];
        assert_eq!(kind(&log, store(7, 2, Some(20))), None);
        assert_eq!(
            kind(&log, store(7, 2, Some(21))),
            Some(DifferenceKind::Altered),
            "the decoder loses what the store lost"
        );
        assert_eq!(kind(&log, store(7, 9, Some(21))), Some(DifferenceKind::Altered));
        assert_eq!(kind(&log, store(7, 9, Some(20))), Some(DifferenceKind::Different));
        assert_eq!(kind(&log, store(5, 1, Some(21))), Some(DifferenceKind::Stale));
        assert_eq!(kind(&log, store(7, 2, None)), None, "a store that does not keep them says nothing");
        assert_eq!(kind(&[event(0, 7, 2, None)], store(7, 2, Some(21))), None);
        let letter = LoggedVersion { optional: true, ..event(2, 7, 2, Some(21)) };
        assert_eq!(kind(&[log[1], letter], store(7, 2, Some(21))), None, "it may be the letter's");
        let equal = [event(0, 7, 1, Some(10)), event(1, 7, 2, Some(20))];
        assert_eq!(
            kind(&equal, store(7, 2, Some(10))),
            Some(DifferenceKind::Altered),
            "those of an event that was beaten"
        );
        let gone = [log[0], LoggedVersion { deleted: true, ..event(1, 7, 0, None) }];
        assert_eq!(kind(&gone, store(7, 2, Some(20))), Some(DifferenceKind::Resurrected));
    }

    #[test]
    fn what_is_optional_may_be_there_or_not() {
        let letter = LoggedVersion { optional: true, ..told(1, 7, 2) };
        let log = [told(0, 5, 1), letter];
        assert_eq!(kind(&log, held(5, 1)), None);
        assert_eq!(kind(&log, held(7, 2)), None);
        assert_eq!(kind(&log, held(7, 9)), Some(DifferenceKind::Different));
        assert_eq!(kind(&log, held(6, 1)), Some(DifferenceKind::Ahead));
        assert_eq!(kind(&[letter], None), None);
        assert_eq!(kind(&[letter], held(7, 2)), None);
    }

    proptest! {
        /// A store that applies the log in order, accepting equal and newer versions and skipping copies, is never found wrong;
        /// one that lost the winner always is.
        #[test]
        fn an_honest_store_is_right_and_a_forgetful_one_is_not(
            events in proptest::collection::vec((0_i64..6, 0_u64..4, any::<bool>()), 1..12),
        ) {
            let log: Vec<LoggedVersion> = events
                .iter()
                .zip(0..)
                .map(|(&(version, content, deleted), offset)| LoggedVersion { deleted, content: content * 2 + u64::from(deleted), ..told(offset, version, 0) })
                .collect();
            let mut store: Option<StoredVersion> = None;
            let mut seen = Vec::new();
            for event in &log {
                let key = (event.version, event.content);
                if seen.contains(&key) {
                    continue;
                }
                seen.push(key);
                if store.is_none_or(|held| held.version <= event.version) {
                    let LoggedVersion { version, deleted, content, .. } = *event;
                    store = Some(StoredVersion { version, deleted, content, passed: None });
                }
            }
            prop_assert_eq!(compare(&log, store, VERSIONS), None);
            let store = store.unwrap();
            if !store.deleted {
                prop_assert_eq!(kind(&log, None), Some(DifferenceKind::Missing));
            }
            let older = StoredVersion { version: store.version - 1, ..store };
            prop_assert!(matches!(kind(&log, Some(older)), Some(DifferenceKind::Stale | DifferenceKind::Resurrected)) || newest(&log).unwrap().deleted);
            let other = StoredVersion { content: 99, ..store };
            prop_assert!(matches!(kind(&log, Some(other)), Some(DifferenceKind::Different | DifferenceKind::Resurrected)));
        }
    }
}
