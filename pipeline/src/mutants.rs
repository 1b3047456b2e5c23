//! Bugs that can be switched on, one at a time, to show that the fault suite finds them.
//!
//! Only a build with the feature `mutants` has them; in any other the compiler answers every question with no. In the code a
//! bug is asked for by [`mutant!`](crate::mutant), so that a reader sees at once that the line is no logic.

/// Whether a bug is on: `mutant!(EqualRefused)`.
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutants::on($crate::mutants::Mutant::$name)
    };
}

macro_rules! mutants {
    ($($(#[$doc:meta])+ $name:ident = $text:literal,)+) => {
        /// A bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[$doc])+ $name,)+
        }

        impl Mutant {
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As the variable `MILLRACE_MUTANT` names it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

mutants! {
    /// Offsets are committed before the write is acknowledged.
    CommitBeforeWrite = "commit-before-write",
    /// Message ids are remembered before the write succeeded.
    RememberBeforeSuccess = "remember-before-success",
    /// All systems share their marks.
    SharedDedupe = "shared-dedupe",
    /// Copies are skipped whatever offset was marked before.
    HighestIgnored = "highest-ignored",
    /// Dead letters are remembered like successes.
    DeadRemembered = "dead-remembered",
    /// An item that the store is too busy for uses up attempts.
    BusyCounted = "busy-counted",
    /// Documents are written without their versions.
    VersionsLeftOff = "versions-left-off",
    /// The audit in PostgreSQL does not take equal versions.
    EqualRefused = "equal-refused",
    /// Deletes leave nothing behind in Elasticsearch.
    TombstonesLeftOff = "tombstones-left-off",
    /// What is settled under an older assignment moves the offsets of the present one.
    LateSettle = "late-settle",
    /// A request that is too large is not halved.
    NoHalving = "no-halving",
    /// A dead letter counts as sent whatever the broker answers.
    LettersNotAwaited = "letters-not-awaited",
    /// What follows from a record that is superseded is left out: its push, the ratings.
    FollowUpSkipped = "follow-up-skipped",
    /// What is pushed to Algolia is not compared with the version store again.
    PushedOnce = "pushed-once",
    /// Two records of one document and version do not wait for each other.
    EqualVersionsRace = "equal-versions-race",
    /// The breaker never opens.
    BreakerOff = "breaker-off",
    /// An attempt is one try, with nothing beside it to compare.
    AttemptsUnpaired = "attempts-unpaired",
    /// Offsets that were not read are passed without a question.
    GapIgnored = "gap-ignored",
    /// What was polled under an assignment is sent after its end.
    LeasesIgnored = "leases-ignored",
    /// A process that slept longer than its session sends before the group has confirmed that it is a member.
    Oversleeping = "oversleeping",
    /// A revocation does not let finish what is in flight.
    DrainSkipped = "drain-skipped",
    /// `verify` believes the consumer's decoders.
    VerifyBlind = "verify-blind",
    /// A field of the transaction is left out of its document.
    ValueLost = "value-lost",
    /// A dead letter of an event that is older than what was purged creates its document.
    PurgeHorizonIgnored = "purge-horizon-ignored",
    /// What a version store took stays there when the index refuses it.
    GiveBackSkipped = "give-back-skipped",
    /// The cache takes a rating whatever it holds.
    CacheUnconditional = "cache-unconditional",
    /// A record does not queue behind one of its keys that is parked.
    ParkedOvertaken = "parked-overtaken",
    /// The commit passes what is parked.
    ParkedPassed = "parked-passed",
    /// Rows are taken out of the cache before they are committed, and not after.
    CachedBeforeCommit = "cached-before-commit",
    /// Operations are marked in a transaction of their own, before they are applied.
    MarkedApart = "marked-apart",
    /// A batch is done whatever became of its result events.
    ResultUntold = "result-untold",
    /// The checkpoint of a backfill tells what was read, written or not.
    CheckpointBeforeWrite = "checkpoint-before-write",
    /// A backfill resumes after as many lines as had an outcome.
    ResumeByCount = "resume-by-count",
    /// A backfill overwrites what has the same version.
    BackfillEqual = "backfill-equal",
    /// Events are marked in a transaction of their own, before their effects.
    EffectApart = "effect-apart",
    /// The relay remembers how far it went, and looks at nothing below.
    RelayByCursor = "relay-by-cursor",
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
