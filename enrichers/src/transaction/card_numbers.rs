//! Owns the recognition of full card numbers, which must not become searchable.

use std::borrow::Cow;

/// Lengths of a primary account number in practice (ISO/IEC 7812-1 allows up to 19 digits).
const LENGTHS: std::ops::RangeInclusive<usize> = 13..=19;

/// The last four digits of a full card number written with or without spaces and dashes.
pub(crate) fn last_four(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == ' ' || c == '-');
    (plain && LENGTHS.contains(&digits.len())).then(|| digits.chars().skip(digits.len() - 4).collect())
}

/// The text with every card number in it replaced by a space.
pub(crate) fn without_card_numbers(text: &str) -> Cow<'_, str> {
    if text.bytes().filter(u8::is_ascii_digit).count() < *LENGTHS.start() {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from_digit) = rest.split_at(start);
        let length = run_length(from_digit);
        let (run, after) = from_digit.split_at(length);
        kept.push_str(before);
        kept.push_str(if is_card_number(run) { " " } else { run });
        rest = after;
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

/// How far digits go on, single spaces and dashes between them included; ends after a digit.
fn run_length(text: &str) -> usize {
    let mut length = 0;
    for (at, c) in text.char_indices() {
        if c.is_ascii_digit() {
            length = at + 1;
        } else if !matches!(c, ' ' | '-') || at > length {
            break;
        }
    }
    length
}

/// Judges by length, first digit (2 to 6: the payment schemes) and check digit (Luhn, ISO/IEC 7812-1 annex B).
fn is_card_number(run: &str) -> bool {
    let digits = || run.bytes().filter(u8::is_ascii_digit).map(|b| u32::from(b - b'0'));
    let sum: u32 = digits()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    LENGTHS.contains(&digits().count()) && run.starts_with(['2', '3', '4', '5', '6']) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_taken_out_of_text() {
        assert_eq!(without_card_numbers("pay 4111 1111 1111 1111 now"), "pay   now");
        assert_eq!(without_card_numbers("4111-1111-1111-1111"), " ");
        assert_eq!(without_card_numbers("5555555555554444é"), " é");
        assert_eq!(without_card_numbers("order 4111111111111112"), "order 4111111111111112");
        assert_eq!(without_card_numbers("call 800 555 1234 or 800 555 9999"), "call 800 555 1234 or 800 555 9999");
    }

    #[test]
    fn the_last_four_of_a_full_number() {
        assert_eq!(last_four("4111 1111 1111 1234").as_deref(), Some("1234"));
        assert_eq!(last_four("411111******1234"), None);
        assert_eq!(last_four("1234"), None);
    }
}
