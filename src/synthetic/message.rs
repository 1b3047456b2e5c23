//! What the generators share: a message and the state it leads to, and the fold of such states.

use std::collections::HashMap;
use std::hash::Hash;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::SyntheticKind;

/// One message about a subject whose state is an `S`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<S> {
    pub kind: SyntheticKind,
    /// The subject; empty for malformed and null messages.
    pub id: String,
    /// The key of the record.
    pub key: String,
    pub payload: Option<String>,
    /// The event's time, in microseconds since 1970.
    pub micros: i64,
    /// What the subject is after this event alone; none for malformed and null messages.
    pub state: Option<S>,
    /// The same message was sent before.
    pub duplicate: bool,
}

impl<S: Clone> Message<S> {
    pub(super) fn repeat(&self) -> Self {
        Self { duplicate: true, ..self.clone() }
    }
}

/// A message as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntheticRecord {
    /// The event whose topic it goes to, of a system with several.
    pub event: Option<&'static str>,
    pub key: String,
    pub payload: Option<String>,
}

impl<S> From<Message<S>> for SyntheticRecord {
    fn from(message: Message<S>) -> Self {
        Self { event: None, key: message.key, payload: message.payload }
    }
}

/// The state of the highest version of each; of equal ones the later.
pub(super) fn newest<K: Eq + Hash, S>(
    states: impl Iterator<Item = (K, S)>,
    version: impl Fn(&S) -> i64,
) -> HashMap<K, S> {
    let mut newest = HashMap::new();
    for (id, state) in states {
        match newest.get(&id) {
            Some(known) if version(known) > version(&state) => {}
            _ => drop(newest.insert(id, state)),
        }
    }
    newest
}

/// So many random letters and digits.
pub(super) fn alphanumeric(rng: &mut ChaCha8Rng, count: usize) -> String {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..count).filter_map(|_| LETTERS.get(rng.random_range(0..LETTERS.len()))).map(|byte| char::from(*byte)).collect()
}
