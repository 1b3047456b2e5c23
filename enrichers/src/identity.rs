//! Owns what tells events apart and orders them: the id of a message, and versions from times.

use sha2::{Digest, Sha256};

/// How many versions a microsecond has: 0 to 2 are those of create, update and delete, and 3 is not used.
const VERSIONS: i64 = 4;

/// The lowest version of a time, which is given in microseconds since 1970, UTC.
pub fn version_at(micros: i64) -> i64 {
    micros.saturating_mul(VERSIONS)
}

/// The time of a version, in microseconds since 1970, UTC.
pub fn micros_of(version: i64) -> i64 {
    version.div_euclid(VERSIONS)
}

/// Identifies a message by its content. Each part goes in behind its length, so that no two triples read the same.
pub(crate) fn message_id(id: &str, event_type: &str, timestamp: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [id, event_type, timestamp] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}
