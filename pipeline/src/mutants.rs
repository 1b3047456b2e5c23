//! Bugs that can be switched on, one at a time, to show that the fault suite finds them.
//!
//! Only a build with the feature `mutants` has them; in any other the compiler answers every question with no.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Offsets are committed before the write is acknowledged.
    CommitBeforeWrite,
    /// Message ids are remembered before the write succeeded.
    RememberBeforeSuccess,
    /// All systems share their marks.
    SharedDedupe,
    /// Copies are skipped whatever offset was marked before.
    HighestIgnored,
    /// Dead letters are remembered like successes.
    DeadRemembered,
    /// An item that the store is too busy for uses up attempts.
    BusyCounted,
    /// Documents are written without their versions.
    VersionsLeftOff,
    /// The audit in PostgreSQL does not take equal versions.
    EqualRefused,
    /// Deletes leave nothing behind in Elasticsearch.
    TombstonesLeftOff,
    /// What is settled under an older assignment moves the offsets of the present one.
    LateSettle,
    /// A request that is too large is not halved.
    NoHalving,
    /// A dead letter counts as sent whatever the broker answers.
    LettersNotAwaited,
    /// What follows from a record that is superseded is left out: its push, the ratings.
    FollowUpSkipped,
    /// What is pushed to Algolia is not compared with the version store again.
    PushedOnce,
    /// Two records of one document and version do not wait for each other.
    EqualVersionsRace,
    /// The breaker never opens.
    BreakerOff,
    /// An attempt is one try, with nothing beside it to compare.
    AttemptsUnpaired,
    /// Offsets that were not read are passed without a question.
    GapIgnored,
    /// What was polled under an assignment is sent after its end.
    LeasesIgnored,
    /// A process that slept longer than its session sends before the group has confirmed that it is a member.
    Oversleeping,
    /// A revocation does not let finish what is in flight.
    DrainSkipped,
    /// `verify` believes the consumer's decoders.
    VerifyBlind,
    /// A field of the transaction is left out of its document.
    ValueLost,
    /// A dead letter of an event that is older than what was purged creates its document.
    PurgeHorizonIgnored,
    /// What a version store took stays there when the index refuses it.
    GiveBackSkipped,
    /// The cache takes a rating whatever it holds.
    CacheUnconditional,
    /// A record does not queue behind one of its keys that is parked.
    ParkedOvertaken,
    /// The commit passes what is parked.
    ParkedPassed,
    /// Rows are taken out of the cache before they are committed, and not after.
    CachedBeforeCommit,
    /// Operations are marked in a transaction of their own, before they are applied.
    MarkedApart,
}

impl Mutant {
    pub const ALL: [Self; 30] = [
        Self::CommitBeforeWrite,
        Self::RememberBeforeSuccess,
        Self::SharedDedupe,
        Self::HighestIgnored,
        Self::DeadRemembered,
        Self::BusyCounted,
        Self::VersionsLeftOff,
        Self::EqualRefused,
        Self::TombstonesLeftOff,
        Self::LateSettle,
        Self::NoHalving,
        Self::LettersNotAwaited,
        Self::FollowUpSkipped,
        Self::PushedOnce,
        Self::EqualVersionsRace,
        Self::BreakerOff,
        Self::AttemptsUnpaired,
        Self::GapIgnored,
        Self::LeasesIgnored,
        Self::Oversleeping,
        Self::DrainSkipped,
        Self::VerifyBlind,
        Self::ValueLost,
        Self::PurgeHorizonIgnored,
        Self::GiveBackSkipped,
        Self::CacheUnconditional,
        Self::ParkedOvertaken,
        Self::ParkedPassed,
        Self::CachedBeforeCommit,
        Self::MarkedApart,
    ];

    /// As the variable `MILLRACE_MUTANT` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CommitBeforeWrite => "commit-before-write",
            Self::RememberBeforeSuccess => "remember-before-success",
            Self::SharedDedupe => "shared-dedupe",
            Self::HighestIgnored => "highest-ignored",
            Self::DeadRemembered => "dead-remembered",
            Self::BusyCounted => "busy-counted",
            Self::VersionsLeftOff => "versions-left-off",
            Self::EqualRefused => "equal-refused",
            Self::TombstonesLeftOff => "tombstones-left-off",
            Self::LateSettle => "late-settle",
            Self::NoHalving => "no-halving",
            Self::LettersNotAwaited => "letters-not-awaited",
            Self::FollowUpSkipped => "follow-up-skipped",
            Self::PushedOnce => "pushed-once",
            Self::EqualVersionsRace => "equal-versions-race",
            Self::BreakerOff => "breaker-off",
            Self::AttemptsUnpaired => "attempts-unpaired",
            Self::GapIgnored => "gap-ignored",
            Self::LeasesIgnored => "leases-ignored",
            Self::Oversleeping => "oversleeping",
            Self::DrainSkipped => "drain-skipped",
            Self::VerifyBlind => "verify-blind",
            Self::ValueLost => "value-lost",
            Self::PurgeHorizonIgnored => "purge-horizon-ignored",
            Self::GiveBackSkipped => "give-back-skipped",
            Self::CacheUnconditional => "cache-unconditional",
            Self::ParkedOvertaken => "parked-overtaken",
            Self::ParkedPassed => "parked-passed",
            Self::CachedBeforeCommit => "cached-before-commit",
            Self::MarkedApart => "marked-apart",
        }
    }
}

/// Whether a bug is on.
#[cfg(feature = "mutants")]
pub fn on(mutant: Mutant) -> bool {
    static CHOSEN: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| {
        let chosen = std::env::var("MILLRACE_MUTANT").ok();
        if let Some(mutant) = &chosen {
            tracing::error!(mutant, "This build has a bug on purpose, for tests only");
        }
        chosen
    });
    CHOSEN.as_deref() == Some(mutant.name()) || HERE.get() == Some(mutant)
}

#[cfg(feature = "mutants")]
thread_local! {
    static HERE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Switches a bug on, or all off, for this thread alone: for the simulation, which runs in one.
#[cfg(feature = "mutants")]
pub fn switch(mutant: Option<Mutant>) {
    HERE.set(mutant);
}

/// Whether a bug is on: never in this build.
#[cfg(not(feature = "mutants"))]
pub const fn on(_: Mutant) -> bool {
    false
}
