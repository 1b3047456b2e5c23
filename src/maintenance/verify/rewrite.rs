//! Documents of the right version and another content, written anew at that same version.
//!
//! Of two records of one document and version the later wins. So the log is read to its end just before, and once more after, and
//! whatever came in between is written as well. What is newer the consumer brings.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use pipeline::EngineOptions;

use super::compare::LogPosition;
use super::topic_log::VerifyLog;
use super::{REPAIRED_AT_ONCE, VerifyError};
use crate::maintenance::replay::replay;
use crate::systems::Setup;

/// How often the log is looked at again: somebody reuses a version all the time.
const ROUNDS: usize = 10;

/// What is to be written: the version of each document, and the record that holds it.
pub(super) type WantedVersions = BTreeMap<String, (i64, LogPosition)>;

/// Writes these documents anew; gives how many were. `setup` accepts an equal version as the later one.
pub(super) async fn rewrite(
    setup: &Setup,
    log: &mut VerifyLog,
    engine: &EngineOptions,
    mut wanted: WantedVersions,
) -> Result<u64, VerifyError> {
    let mut rewritten = 0;
    for round in 0..ROUNDS {
        look(setup, log, &mut wanted).await?;
        let places: Vec<LogPosition> = wanted.values().map(|(_, at)| *at).collect();
        for places in places.chunks(REPAIRED_AT_ONCE) {
            let places = places.iter().map(|at| (at.topic, at.partition, at.offset)).collect();
            let records = log.fetch(places).await?;
            let replayed = replay(setup, engine.clone(), records).await?;
            // Later rounds write the same documents once more.
            rewritten += if round == 0 { replayed.tally.applied } else { 0 };
        }
        let written = wanted.clone();
        look(setup, log, &mut wanted).await?;
        wanted.retain(|id, (_, at)| written.get(id).is_some_and(|(_, known)| known != at));
        if wanted.is_empty() {
            break;
        }
    }
    Ok(rewritten)
}

/// Reads the log on to its end. A later record of the same version takes the place of the one that is wanted; a newer version
/// makes an end of it.
async fn look(setup: &Setup, log: &mut VerifyLog, wanted: &mut WantedVersions) -> Result<(), VerifyError> {
    log.go_on().await?;
    let ids: HashSet<String> = wanted.keys().cloned().collect();
    for (id, version, at) in log.about(setup.bound.binding.clone(), Arc::new(ids)).await? {
        match wanted.get(&id) {
            Some((known, _)) if version > *known => {
                wanted.remove(&id);
            }
            Some((known, _)) if version == *known => {
                wanted.insert(id, (version, at));
            }
            _ => {}
        }
    }
    Ok(())
}
