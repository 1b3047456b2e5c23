//! Tells values apart: digit for digit and character for character, whatever the order of an object's members.

use sha2::{Digest, Sha256};

use super::json::Plain;
use super::number::plain;

/// A digest in short.
pub(crate) fn first_bytes(digest: &[u8]) -> u64 {
    digest.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

/// Of members, of which those that are null say the same as those that are not there.
pub(super) fn of(members: impl IntoIterator<Item = (String, Plain)>) -> u64 {
    let mut hash = Sha256::new();
    add(&Plain::Object(members.into_iter().filter(|(_, value)| *value != Plain::Null).collect()), &mut hash);
    first_bytes(&hash.finalize())
}

fn add(value: &Plain, hash: &mut Sha256) {
    match value {
        Plain::Null => put(b'n', b"", hash),
        Plain::Bool(bool) => put(b'b', &[u8::from(*bool)], hash),
        Plain::Number(digits) => put(b'd', plain(digits).as_bytes(), hash),
        Plain::Text(text) => put(b't', text.as_bytes(), hash),
        Plain::Time(millis) => put(b'm', &millis.to_le_bytes(), hash),
        Plain::List(values) => {
            put(b'l', &(values.len() as u64).to_le_bytes(), hash);
            values.iter().for_each(|value| add(value, hash));
        }
        Plain::Object(members) => {
            let mut members: Vec<&(String, Plain)> = members.iter().collect();
            members.sort_by_key(|(name, _)| name);
            put(b'o', &(members.len() as u64).to_le_bytes(), hash);
            for (name, value) in members {
                put(b'k', name.as_bytes(), hash);
                add(value, hash);
            }
        }
    }
}

fn put(kind: u8, bytes: &[u8], hash: &mut Sha256) {
    hash.update([kind]);
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}
