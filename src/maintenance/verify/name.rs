//! What findings are called.

use super::compare::DifferenceKind;

/// What a difference is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceName {
    Missing,
    Stale,
    Resurrected,
    Different,
    /// A field that passes through unchanged is not as the newest event has it.
    Altered,
    Ahead,
    /// No event of the whole log is about it.
    Phantom,
    /// The log is not whole, and what is gone of it may explain this: no event has what the store holds, or the event is
    /// so old that a later delete may have been purged.
    Unexplained,
    /// It is in two indices of the store.
    Twice,
    /// It follows from documents of the store, and is not what they come to.
    Derived,
    /// The consumer's decoder reads another id, version or outcome out of a record than a plain walk over its JSON.
    Misread,
    /// A cache keeps a row otherwise than the database.
    CacheStale,
    /// A document refuses what follows for it; named with what is wrong, and tried again while the system runs.
    Refused,
}

impl DifferenceName {
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Resurrected => "resurrected",
            Self::Different => "different",
            Self::Altered => "altered",
            Self::Ahead => "ahead",
            Self::Phantom => "phantom",
            Self::Unexplained => "unexplained",
            Self::Twice => "twice",
            Self::Derived => "derived",
            Self::Misread => "misread",
            Self::CacheStale => "cache-stale",
            Self::Refused => "refused",
        }
    }

    /// `expected` is the version that the store should hold; `horizon` is that of the store, where the log is not whole.
    pub(crate) fn of(kind: DifferenceKind, expected: Option<i64>, whole: bool, horizon: Option<i64>) -> Self {
        let may_be_purged = !whole && expected.zip(horizon).is_some_and(|(expected, horizon)| expected < horizon);
        match kind {
            DifferenceKind::Missing if may_be_purged => Self::Unexplained,
            DifferenceKind::Missing => Self::Missing,
            DifferenceKind::Stale => Self::Stale,
            DifferenceKind::Resurrected => Self::Resurrected,
            DifferenceKind::Different => Self::Different,
            DifferenceKind::Altered => Self::Altered,
            DifferenceKind::Ahead if whole => Self::Ahead,
            // Its event may be what retention took, and a late one what is left.
            DifferenceKind::Ahead => Self::Unexplained,
            DifferenceKind::Unknown if whole => Self::Phantom,
            DifferenceKind::Unknown => Self::Unexplained,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_purged_is_unexplained_unless_the_log_is_whole() {
        let name = |version, whole, horizon| DifferenceName::of(DifferenceKind::Missing, Some(version), whole, horizon);
        assert_eq!(name(3, false, Some(4)), DifferenceName::Unexplained);
        assert_eq!(name(4, false, Some(4)), DifferenceName::Missing);
        assert_eq!(name(3, false, None), DifferenceName::Missing);
        assert_eq!(name(3, true, Some(4)), DifferenceName::Missing);
    }

    #[test]
    fn what_no_event_of_a_log_without_its_beginning_has_is_unexplained() {
        for (kind, whole, name) in [
            (DifferenceKind::Ahead, true, DifferenceName::Ahead),
            (DifferenceKind::Ahead, false, DifferenceName::Unexplained),
            (DifferenceKind::Unknown, true, DifferenceName::Phantom),
            (DifferenceKind::Unknown, false, DifferenceName::Unexplained),
        ] {
            assert_eq!(DifferenceName::of(kind, Some(3), whole, None), name);
        }
    }
}
