//! Status: why this process is not ready, as its parts see it.
//!
//! Parts raise and clear reasons under a name of their own. It guarantees that a raised reason is logged once when it
//! comes and once when it goes, however often it is raised in between.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    /// By part, then by who raised it.
    reasons: Mutex<BTreeMap<String, BTreeMap<u64, String>>>,
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

    fn reasons(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<u64, String>>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Raises a reason, or replaces what the source raised before.
    pub fn raise(&self, source: &str, why: impl Into<String>) {
        self.raise_by(0, source, why);
    }

    /// As `raise`, for one of several that share a source: it stands until each of them has cleared its own.
    pub fn raise_by(&self, who: u64, source: &str, why: impl Into<String>) {
        let why = why.into();
        let known = {
            let mut reasons = self.reasons();
            let raised = reasons.entry(source.to_owned()).or_default();
            let known = raised.values().any(|standing| *standing == why);
            raised.insert(who, why.clone());
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
    pub fn clear_by(&self, who: u64, source: &str) {
        let gone = {
            let mut reasons = self.reasons();
            let Some(raised) = reasons.get_mut(source) else { return };
            raised.remove(&who);
            raised.is_empty() && reasons.remove(source).is_some()
        };
        if gone {
            tracing::info!(system = self.system, source, "Ready again");
        }
    }

    /// All that stands in the way; empty when ready.
    pub fn standing(&self) -> Vec<Reason> {
        let reasons = self.reasons();
        let one = |(source, raised): (&String, &BTreeMap<u64, String>)| {
            Some(Reason { source: source.clone(), why: raised.values().next_back()?.clone() })
        };
        reasons.iter().filter_map(one).collect()
    }
}
