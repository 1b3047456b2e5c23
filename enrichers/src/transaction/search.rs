//! Owns the search content: the words people would type to find a transaction, accents folded as well.
//! Guarantees: no word twice, at most [`MAX_BYTES`], no full card number.

use crate::Fields;
use crate::fold::fold;
use crate::transaction::ProducerFields;
use crate::transaction::without_card_numbers;
use wire::json;

/// Longest search content of a document, in bytes.
const MAX_BYTES: usize = 2_048;
/// How much of one field is taken, in bytes.
const MAX_FIELD_BYTES: usize = 512;
/// Longer words are nothing that people type.
const MAX_WORD_BYTES: usize = 128;

/// Fields that say the same for every type, most telling first.
const COMMON: [&str; 4] = ["product", "status", "transaction_type", "currency"];

/// Kept free for the words of the strategy, however much the producer's own names take.
const RESERVED_BYTES: usize = 512;
/// How many of an object's fields are looked at for names.
const MAX_NAMES: usize = 64;

/// Words in the order they were added.
pub(crate) struct SearchContent {
    text: String,
    /// Where each word stands in the text: start and end.
    words: Vec<(usize, usize)>,
    limit: usize,
}

impl SearchContent {
    /// Starts with what every transaction has, whatever its type.
    pub(crate) fn of(facts: &ProducerFields<'_, '_>) -> Self {
        let mut content = Self::new(MAX_BYTES - RESERVED_BYTES);
        content.add_names(facts.metadata);
        content.add_names(facts.transaction);
        content.limit = MAX_BYTES;
        for name in COMMON {
            if let Some(text) = facts.transaction.text(name) {
                content.add(&text);
            }
        }
        if let Some(amount) = facts.transaction.text("amount") {
            content.add_word(&amount);
        }
        content
    }

    fn new(limit: usize) -> Self {
        Self { text: String::with_capacity(256), words: Vec::with_capacity(32), limit }
    }

    fn add_names(&mut self, fields: &Fields<'_>) {
        for (_, raw) in fields.iter().filter(|(key, _)| is_name(key)).take(MAX_NAMES) {
            if let Some(text) = json::scalar(raw).or_else(|| ProducerFields::inner_name(raw)) {
                self.add(&text);
            }
        }
    }

    /// Adds a text's words, without punctuation around them; the parts of `snake_case` words as well.
    pub(crate) fn add(&mut self, text: &str) {
        for word in without_card_numbers(beginning(text)).split_whitespace() {
            let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
            self.add_word(word);
            if word.contains('_') {
                word.split('_').for_each(|part| self.add_word(part));
            }
        }
    }

    /// Adds one word as it is, and its folded form when that differs.
    pub(crate) fn add_word(&mut self, word: &str) {
        self.push(word);
        if let Some(folded) = fold(word) {
            self.push(&folded);
        }
    }

    fn push(&mut self, word: &str) {
        let fits = word.len() <= MAX_WORD_BYTES && self.text.len() + 1 + word.len() <= self.limit;
        if word.is_empty() || !fits || self.holds(word) {
            return;
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let start = self.text.len();
        self.text.push_str(word);
        self.words.push((start, self.text.len()));
    }

    fn holds(&self, word: &str) -> bool {
        let text = self.text.as_bytes();
        self.words.iter().any(|&(start, end)| {
            end - start == word.len()
                && text.get(start..end).is_some_and(|known| known.eq_ignore_ascii_case(word.as_bytes()))
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// The text up to the last whole word within [`MAX_FIELD_BYTES`].
fn beginning(text: &str) -> &str {
    if text.len() <= MAX_FIELD_BYTES {
        return text;
    }
    let cut = text.get(..text.floor_char_boundary(MAX_FIELD_BYTES)).unwrap_or_default();
    cut.rsplit_once(char::is_whitespace).map_or(cut, |(whole_words, _)| whole_words)
}

/// Whether a field of this name holds a name or words of a person, for transactions of any type.
fn is_name(key: &str) -> bool {
    matches!(
        key,
        "merchant_name"
            | "merchant"
            | "peer_name"
            | "peer"
            | "counterparty"
            | "counterparty_name"
            | "recipient_name"
            | "recipient"
            | "receiver_name"
            | "beneficiary_name"
            | "sender_name"
            | "sender"
            | "description"
            | "title"
            | "note"
            | "memo"
            | "message"
            | "reference"
            | "category"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_once_and_folded_ones_beside_them() {
        let mut content = SearchContent::new(MAX_BYTES);
        content.add("SQ *Café Müller café cafe");
        content.add("card_payment");
        assert_eq!(content.as_str(), "SQ Café Cafe Müller Muller card_payment card payment");
    }

    #[test]
    fn content_is_bounded() {
        let mut content = SearchContent::new(MAX_BYTES);
        for n in 0..1_000 {
            content.add(&format!("wörd{n} {}", "é".repeat(600)));
        }
        assert!(content.as_str().len() <= MAX_BYTES);
        assert!(content.as_str().starts_with("wörd0 word0"));
    }
}
