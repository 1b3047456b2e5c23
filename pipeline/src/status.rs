//! Status: why this process is not ready, as its parts see it.
//!
//! Parts raise and clear reasons under a name of their own. It guarantees that a raised reason is logged when it comes, when it
//! changes, once a minute while it stands (whoever runs the parts calls `remind`), and when it goes, however often it is raised.

use std::collections::BTreeMap;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

use crate::engine::ongoing::Ongoing;

/// Why something is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The part, such as `elasticsearch`.
    pub source: String,
    pub why: String,
}

/// The reasons that stand now.
#[derive(Debug, Default)]
pub struct Status {
    system: &'static str,
    /// By part.
    reasons: Mutex<BTreeMap<String, Raised>>,
}

/// What a part has raised.
#[derive(Debug)]
struct Raised {
    trouble: Ongoing,
    /// By who raised it.
    why: BTreeMap<u64, String>,
}

impl Status {
    /// The status of a system, which log lines name.
    pub fn of(system: &'static str) -> Self {
        Self { system, ..Self::default() }
    }

    /// The system.
    pub fn system(&self) -> &'static str {
        self.system
    }

    fn reasons(&self) -> MutexGuard<'_, BTreeMap<String, Raised>> {
        self.reasons.lock()
    }

    /// Raises a reason, or replaces what the source raised before.
    pub fn raise(&self, source: &str, why: impl Into<String>) {
        self.raise_by(0, source, why);
    }

    /// As `raise`, for one of several that share a source: it stands until each of them has cleared its own.
    pub(crate) fn raise_by(&self, who: u64, source: &str, why: impl Into<String>) {
        let why = why.into();
        let known = {
            let mut reasons = self.reasons();
            let now = Instant::now();
            let fresh = || Raised { trouble: Ongoing::begin(now), why: BTreeMap::new() };
            let raised = reasons.entry(source.to_owned()).or_insert_with(fresh);
            let known = raised.why.values().any(|standing| *standing == why);
            raised.why.insert(who, why.clone());
            if !known {
                raised.trouble.change(now);
            }
            known
        };
        if !known {
            tracing::warn!(system = self.system, source, why, "Not ready");
        }
    }

    /// The source is well again.
    pub fn clear(&self, source: &str) {
        self.clear_by(0, source);
    }

    /// As `clear`, for one of several that share a source.
    pub(crate) fn clear_by(&self, who: u64, source: &str) {
        let gone = {
            let mut reasons = self.reasons();
            let Some(raised) = reasons.get_mut(source) else { return };
            raised.why.remove(&who);
            if raised.why.is_empty() { reasons.remove(source) } else { None }
        };
        if let Some(Raised { trouble, .. }) = gone {
            let seconds = trouble.seconds(Instant::now());
            tracing::info!(system = self.system, source, seconds, "Ready again");
        }
    }

    /// Says what has stood for a minute since it was said last.
    pub fn remind(&self) {
        let now = Instant::now();
        let due = |(source, raised): (&String, &mut Raised)| {
            let seconds = raised.trouble.again(now)?;
            Some((source.clone(), raised.why.values().next_back().cloned().unwrap_or_default(), seconds))
        };
        let due: Vec<_> = self.reasons().iter_mut().filter_map(due).collect();
        for (source, why, seconds) in due {
            tracing::warn!(system = self.system, source, why, seconds, "Still not ready");
        }
    }

    /// All that stands in the way; empty when ready.
    pub fn standing(&self) -> Vec<Reason> {
        let reasons = self.reasons();
        let one = |(source, raised): (&String, &Raised)| {
            Some(Reason { source: source.clone(), why: raised.why.values().next_back()?.clone() })
        };
        reasons.iter().filter_map(one).collect()
    }
}
