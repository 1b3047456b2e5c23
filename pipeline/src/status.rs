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
    reasons: Mutex<BTreeMap<String, String>>,
}

impl Status {
    fn reasons(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Raises a reason, or replaces what the source raised before.
    pub fn raise(&self, source: &str, why: impl Into<String>) {
        let why = why.into();
        let before = self.reasons().insert(source.to_owned(), why.clone());
        if before.as_deref() != Some(&why) {
            tracing::warn!(source, why, "Not ready");
        }
    }

    /// The source is well again.
    pub fn clear(&self, source: &str) {
        if self.reasons().remove(source).is_some() {
            tracing::info!(source, "Ready again");
        }
    }

    /// All that stands in the way; empty when ready.
    pub fn standing(&self) -> Vec<Reason> {
        let reasons = self.reasons();
        reasons.iter().map(|(source, why)| Reason { source: source.clone(), why: why.clone() }).collect()
    }
}
