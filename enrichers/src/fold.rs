//! Owns accent folding, so that `cafe` finds `Café` on engines without a folding filter.

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

/// Letters of European languages: Latin-1, Latin Extended-A and -B.
const LATIN: std::ops::Range<u32> = 0xa0..0x250;
/// What each becomes, where that is ASCII alone.
static FOLDED: LazyLock<Vec<Option<String>>> = LazyLock::new(|| {
    let folded = |code| char::from_u32(code).map(|letter| strip(letter.encode_utf8(&mut [0; 4])));
    LATIN.map(|code| folded(code).filter(|plain| plain.is_ascii())).collect()
});

/// The word without accents; `None` when that changes nothing.
///
/// Strips combining diacritical marks (U+0300 to U+036F) after compatibility decomposition: those of Latin, Greek and
/// Cyrillic. Marks of other scripts are vowels or voicing and stay.
pub(crate) fn fold(word: &str) -> Option<String> {
    if word.is_ascii() {
        return None;
    }
    if let Some(plain) = fold_latin(word) {
        return Some(plain);
    }
    let plain = strip(word);
    if plain.is_ascii() {
        return Some(plain);
    }
    // Composed again, or Hangul and kana would differ from the word only in form.
    let folded: String = plain.nfc().collect();
    (folded != word).then_some(folded)
}

/// The word folded letter by letter, where each letter becomes ASCII by itself: nothing is left that could be reordered.
fn fold_latin(word: &str) -> Option<String> {
    let mut plain = String::with_capacity(word.len());
    for c in word.chars() {
        match u32::from(c).checked_sub(LATIN.start) {
            None if c.is_ascii() => plain.push(c),
            None => return None,
            Some(place) => plain.push_str(FOLDED.get(place as usize)?.as_deref()?),
        }
    }
    Some(plain)
}

/// Decomposed, without combining marks, and with plain spellings.
fn strip(word: &str) -> String {
    let mut plain = String::with_capacity(word.len());
    for c in word.nfkd().filter(|c| !('\u{300}'..='\u{36f}').contains(c)) {
        match plain_spelling(c) {
            Some(letters) => plain.push_str(letters),
            None => plain.push(c),
        }
    }
    plain
}

/// Letters that have no decomposition in Unicode but a usual plain spelling.
fn plain_spelling(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'ẞ' => "SS",
        'ø' => "o",
        'Ø' => "O",
        'ł' => "l",
        'Ł' => "L",
        'đ' | 'ð' => "d",
        'Đ' | 'Ð' => "D",
        'æ' => "ae",
        'Æ' => "AE",
        'œ' => "oe",
        'Œ' => "OE",
        'þ' => "th",
        'Þ' => "Th",
        'ı' => "i",
        'ħ' => "h",
        'Ħ' => "H",
        'ŧ' => "t",
        'Ŧ' => "T",
        'ŋ' => "n",
        'Ŋ' => "N",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn letters_are_folded_alike_alone_and_in_a_word(word in "[a-c\u{a0}-\u{24f}\u{300}-\u{303}ẞ]{1,6}") {
            let whole = strip(&word);
            if let Some(latin) = fold_latin(&word) {
                prop_assert_eq!(latin, whole);
            }
        }
    }

    #[test]
    fn accented_latin_letters_take_the_short_way() {
        for word in ["Café", "Müller", "Łódź", "Straße"] {
            assert_eq!(fold_latin(word), fold(word), "{word}");
            assert!(fold_latin(word).is_some(), "{word}");
        }
    }

    #[test]
    fn folds_accents_and_nothing_else() {
        let cases = [
            ("Café", Some("Cafe")),
            ("Straße", Some("Strasse")),
            ("Łódź", Some("Lodz")),
            ("Smørrebrød", Some("Smorrebrod")),
            ("Nguyễn", Some("Nguyen")),
            ("İstanbul", Some("Istanbul")),
            ("Œuvre", Some("OEuvre")),
            ("ＡＢＣ", Some("ABC")),
            ("Cafe", None),
            ("스타벅스", None),
            ("ガソリン", None),
            ("हिन्दी", None),
            ("🍕", None),
        ];
        for (word, expected) in cases {
            assert_eq!(fold(word).as_deref(), expected, "{word}");
        }
    }
}
