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
    words: Vec<Word>,
    limit: usize,
}

/// A word of the text.
struct Word {
    /// Alike for words that differ in the case of ASCII letters alone.
    sketch: u32,
    start: usize,
    end: usize,
}

impl Word {
    /// The length of a word and its first, middle and last byte: most words that differ do so here.
    fn sketch(word: &str) -> u32 {
        let bytes = word.as_bytes();
        let at = |place: usize| bytes.get(place).map_or(0, |byte| u32::from(byte | 0x20));
        let length = bytes.len();
        (length as u32 & 0xff) << 24 | at(0) << 16 | at(length / 2) << 8 | at(length.saturating_sub(1))
    }
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
        for_each_word(&without_card_numbers(beginning(text)), |word| {
            let word = trim_punctuation(word);
            self.add_word(word);
            if word.bytes().any(|byte| byte == b'_') {
                word.split('_').for_each(|part| self.add_word(part));
            }
        });
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
        let sketch = Word::sketch(word);
        if word.is_empty() || !fits || self.holds(sketch, word) {
            return;
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let start = self.text.len();
        self.text.push_str(word);
        self.words.push(Word { sketch, start, end: self.text.len() });
    }

    fn holds(&self, sketch: u32, word: &str) -> bool {
        let text = self.text.as_bytes();
        let mut alike = self.words.iter().filter(|known| known.sketch == sketch);
        alike.any(|known| {
            text.get(known.start..known.end).is_some_and(|known| known.eq_ignore_ascii_case(word.as_bytes()))
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// The words between white space.
fn for_each_word(text: &str, mut take: impl FnMut(&str)) {
    if !text.is_ascii() {
        return text.split_whitespace().for_each(take);
    }
    // The same for ASCII, without a look at characters.
    let mut start = 0;
    for (at, byte) in text.bytes().chain([b' ']).enumerate() {
        if matches!(byte, b'\t'..=b'\r' | b' ') {
            text.get(start..at).filter(|word| !word.is_empty()).into_iter().for_each(&mut take);
            start = at + 1;
        }
    }
}

/// The word without ASCII punctuation around it.
fn trim_punctuation(word: &str) -> &str {
    let is_letter = |byte: &u8| !byte.is_ascii_punctuation();
    let start = word.as_bytes().iter().position(is_letter).unwrap_or(word.len());
    let end = word.as_bytes().iter().rposition(is_letter).map_or(start, |last| last + 1);
    word.get(start..end).unwrap_or_default()
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_stand_once_and_folded_ones_beside_them() {
        let mut content = SearchContent::new(MAX_BYTES);
        content.add("SQ *Café Müller café cafe");
        content.add("card_payment");
        assert_eq!(content.as_str(), "SQ Café Cafe Müller Muller card_payment card payment");
    }

    proptest! {
        #[test]
        fn words_are_those_between_white_space(text in "[ \\t\\x0b\\x0c\\x1c\\r\\na-c_.é\u{85}\u{a0}-]{0,40}") {
            let mut words = Vec::new();
            for_each_word(&text, |word| words.push(word.to_owned()));
            prop_assert_eq!(&words, &text.split_whitespace().collect::<Vec<_>>());
            for word in words {
                prop_assert_eq!(trim_punctuation(&word), word.trim_matches(|c: char| c.is_ascii_punctuation()));
            }
        }

        #[test]
        fn a_word_stands_once_whatever_the_case_of_its_letters(words in prop::collection::vec("[a-cA-C@`é]{1,4}", 0..20)) {
            let mut content = SearchContent::new(MAX_BYTES);
            words.iter().for_each(|word| content.push(word));
            let mut expected: Vec<&str> = Vec::new();
            for word in &words {
                if !expected.iter().any(|known| known.eq_ignore_ascii_case(word)) {
                    expected.push(word);
                }
            }
            prop_assert_eq!(content.as_str(), expected.join(" "));
        }
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
