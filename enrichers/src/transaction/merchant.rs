//! Owns the cleaning of merchant names: what payment processors and acquirers put around them is taken off.
//! Conservative: what may belong to the name stays, and a name is never cleaned away to nothing.

use crate::strategies::tidy;

/// Processors that write themselves before a star: `SQ *BLUE BOTTLE`, `TST* Joe's`, `PAYPAL *STEAM`.
const PROCESSORS: &[&str] = &[
    "SQ",
    "GOSQ",
    "TST",
    "PAYPAL",
    "PP",
    "SP",
    "GOOGLE",
    "IZ",
    "ZETTLE",
    "SUMUP",
    "STRIPE",
    "EB",
    "FS",
    "2CO",
    "2CO.COM",
    "CKO",
    "WPY",
    "DLO",
    "DLOCAL",
    "MERCADOPAGO",
    "MERPAGO",
    "MP",
    "PAYU",
    "EBANX",
    "KLARNA",
    "CLV",
    "TOAST",
    "PY",
    "LS",
];
/// Shopify writes itself without a star.
const BARE_PREFIX: &str = "SP ";

/// The merchant's plain name; `None` when nothing but white space was given.
pub(crate) fn clean(raw: &str) -> Option<String> {
    let whole = raw.trim();
    let name = without_processor(whole);
    // Acquirers pad the columns name, city and country with spaces.
    let column = name.split_once("  ").map(|(first, _)| first).filter(|first| has_name(first));
    let name = tidy(column.unwrap_or(name))?;
    let kept = without_trailer(&name);
    Some(if has_name(kept) { kept.to_owned() } else { name })
}

fn without_processor(name: &str) -> &str {
    let starred = name.split_once('*').and_then(|(before, after)| {
        let before = before.trim_end();
        PROCESSORS.iter().any(|processor| processor.eq_ignore_ascii_case(before)).then(|| after.trim_start())
    });
    let bare = || name.strip_prefix(BARE_PREFIX).map(str::trim_start);
    starred.or_else(bare).filter(|rest| has_name(rest)).unwrap_or(name)
}

/// Cuts at the first store number or telephone number behind the name; what follows it is city and state.
fn without_trailer(name: &str) -> &str {
    let mut end = 0;
    for word in name.split(' ') {
        let start = if end == 0 { 0 } else { end + 1 };
        if start > 0 && (is_store_number(word) || is_phone_number(word)) {
            let kept = name.get(..end).unwrap_or(name);
            return kept.trim_end_matches([' ', '-', '#', ',']);
        }
        end = start + word.len();
    }
    name
}

/// `#123`, five digits or more, or three or more that start with zero; `Forever 21` and `Studio 1054` stay.
fn is_store_number(word: &str) -> bool {
    let digits = word.trim_start_matches('#');
    let is_marked = digits.len() < word.len();
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all_digits && (is_marked || digits.len() >= 5 || (digits.len() >= 3 && digits.starts_with('0')))
}

/// Seven digits or more with dashes, dots or brackets between them, perhaps behind a plus.
fn is_phone_number(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    digits >= 7 && word.bytes().all(|b| b.is_ascii_digit() || b"+-.()".contains(&b))
}

fn has_name(text: &str) -> bool {
    text.chars().filter(|c| c.is_alphabetic()).nth(1).is_some()
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn processor_noise_is_taken_off_and_names_stay() {
        let cases = [
            ("SQ *BLUE BOTTLE COFFEE", "BLUE BOTTLE COFFEE"),
            ("sq *Café Müller", "Café Müller"),
            ("TST* Joe's Diner", "Joe's Diner"),
            ("PAYPAL *STEAM GAMES 402-935-7733 CA", "STEAM GAMES"),
            ("PP*SPOTIFY", "SPOTIFY"),
            ("SP ALLBIRDS", "ALLBIRDS"),
            ("GOOGLE *YouTubePremium", "YouTubePremium"),
            ("SUMUP  *Kaffeehaus", "Kaffeehaus"),
            ("STARBUCKS #1234 SEATTLE WA", "STARBUCKS"),
            ("WALMART 00123", "WALMART"),
            ("NETFLIX.COM 8665797172", "NETFLIX.COM"),
            ("OXXO TACUBAYA            MEXICO DF    MX", "OXXO TACUBAYA"),
            ("Starbucks", "Starbucks"),
            ("Forever 21", "Forever 21"),
            ("7-ELEVEN 34567", "7-ELEVEN"),
            ("Studio 1054", "Studio 1054"),
            ("1-800-FLOWERS", "1-800-FLOWERS"),
            ("AMZN Mktp US*2K4", "AMZN Mktp US*2K4"),
            ("SQ *", "SQ *"),
            ("Spotify", "Spotify"),
            ("12345", "12345"),
            ("99999 12345", "99999 12345"),
            ("  spaced \t out ", "spaced out"),
            ("スターバックス", "スターバックス"),
        ];
        for (raw, expected) in cases {
            assert_eq!(clean(raw).as_deref(), Some(expected), "{raw}");
        }
        assert_eq!(clean("  "), None);
    }
}
