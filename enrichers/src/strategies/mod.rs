//! Owns the table of enrichment strategies and what they work with: facts in, details out.
//! A new strategy is one file beside this one and its name in the table below.

use crate::Fields;
pub(crate) use crate::transaction::ProducerFields;
use crate::transaction::search::SearchContent;
use wire::json;

macro_rules! table {
    ($($file:ident),+ $(,)?) => {
        $(mod $file;)+

        /// Every strategy; the first that knows a transaction's type takes it.
        pub(crate) static STRATEGIES: &[Strategy] = &[$($file::STRATEGY),+];
    };
}

table! {
    card,
    p2p,
    crypto,
}

/// How transactions of some types are enriched.
pub(crate) struct Strategy {
    /// The values of `transaction_type` it takes, in lower case with underscores.
    pub(crate) types: &'static [&'static str],
    /// What it may add to `metadata`.
    pub(crate) details: &'static [&'static str],
    pub(crate) enrich: fn(&ProducerFields<'_, '_>, &mut Details<'_>),
    /// Messages that it takes, by name; each has a snapshot of its document.
    #[cfg(test)]
    pub(crate) samples: &'static [(&'static str, &'static str)],
}

/// What the strategies may add to `metadata`, for whoever judges documents.
pub fn strategy_details() -> impl Iterator<Item = &'static str> {
    STRATEGIES.iter().flat_map(|strategy| strategy.details).copied()
}

impl Strategy {
    /// The strategy for a transaction's type, in any case, with `_`, `-` or a space between words.
    pub(crate) fn of(transaction: &Fields<'_>) -> Option<&'static Self> {
        let given = transaction.text("transaction_type")?;
        STRATEGIES.iter().find(|strategy| strategy.types.iter().any(|known| same_word(known, &given)))
    }
}

/// Compares with a known word in lower case and underscores; `-` and spaces count as underscores.
fn same_word(known: &str, given: &str) -> bool {
    let plain = |b: u8| if b == b'-' || b == b' ' { b'_' } else { b.to_ascii_lowercase() };
    known.len() == given.len() && known.bytes().eq(given.bytes().map(plain))
}

/// Where a strategy puts its results: behind the producer's own metadata, and into the search content.
pub(crate) struct Details<'d> {
    own: &'d Fields<'d>,
    pub(crate) search: &'d mut SearchContent,
    out: &'d mut Vec<u8>,
    is_first: bool,
}

impl<'d> Details<'d> {
    pub(crate) fn new(
        own: &'d Fields<'d>,
        is_first: bool,
        search: &'d mut SearchContent,
        out: &'d mut Vec<u8>,
    ) -> Self {
        Self { own, search, out, is_first }
    }

    /// Adds a detail; a key of the producer's own of this name wins.
    pub(crate) fn add(&mut self, key: &'static str, value: &str) {
        if self.own.get(key).is_some() {
            return;
        }
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        // A name of ours has nothing to escape.
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        json::write_string(value, self.out);
    }
}

/// A text with runs of white space made single spaces; `None` when nothing remains.
pub(crate) fn tidy(text: &str) -> Option<String> {
    let mut tidied = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !tidied.is_empty() {
            tidied.push(' ');
        }
        tidied.push_str(word);
    }
    (!tidied.is_empty()).then_some(tidied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_type_is_taken_twice() {
        let mut types: Vec<_> = STRATEGIES.iter().flat_map(|strategy| strategy.types).collect();
        let all = types.len();
        types.sort();
        types.dedup();
        assert_eq!(types.len(), all);
    }

    #[test]
    fn types_are_known_in_any_spelling() {
        assert!(same_word("p2p_transfer", "P2P-Transfer"));
        assert!(same_word("p2p_transfer", "p2p transfer"));
        assert!(!same_word("p2p_transfer", "p2p"));
    }
}
