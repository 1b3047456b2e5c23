//! Numbers as digits and an exponent, whatever their size.

use super::json::Plain;

/// What a decimal of MongoDB holds: digits, and the exponents of the last digit.
const DECIMAL_DIGITS: usize = 34;
const DECIMAL_EXPONENTS: std::ops::RangeInclusive<i64> = -6_176..=6_111;

/// A decimal number: its digits without leading zeros, and how many places its point is to the right of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimals {
    pub(super) negative: bool,
    pub(super) digits: String,
    pub(super) exponent: i64,
}

impl Decimals {
    /// Reads what producers write for a number: a sign or none, `.5` and `5.` too. `None` where it is no number, or its
    /// exponent beyond all sizes.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let exponent: i64 = exponent.parse().ok()?;
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let digits = digits.trim_start_matches('0');
        Some(Self { negative, digits: if digits.is_empty() { "0".to_owned() } else { digits.to_owned() }, exponent })
    }

    fn is_zero(&self) -> bool {
        self.digits == "0"
    }

    /// The number itself, whatever zeros are written behind it; a zero has no sign.
    pub(super) fn worth(mut self) -> Self {
        while self.digits.len() > 1 && self.digits.ends_with('0') {
            self.digits.pop();
            self.exponent += 1;
        }
        if self.is_zero() {
            return Self { negative: false, exponent: 0, ..self };
        }
        self
    }

    pub(super) fn text(&self) -> String {
        format!("{}{}e{}", if self.negative { "-" } else { "" }, self.digits, self.exponent)
    }

    /// As a decimal of MongoDB holds it; `None` where it does not hold all digits.
    fn into_stored(mut self) -> Option<Self> {
        if self.digits.len() > DECIMAL_DIGITS {
            return None;
        }
        if self.is_zero() {
            self.exponent = self.exponent.clamp(*DECIMAL_EXPONENTS.start(), *DECIMAL_EXPONENTS.end());
        }
        while self.exponent < *DECIMAL_EXPONENTS.start() && self.digits.ends_with('0') {
            self.digits.pop();
            self.exponent += 1;
        }
        while self.exponent > *DECIMAL_EXPONENTS.end() && self.digits.len() < DECIMAL_DIGITS {
            self.digits.push('0');
            self.exponent -= 1;
        }
        DECIMAL_EXPONENTS.contains(&self.exponent).then_some(self)
    }
}

/// A number as JSON has it, for comparing: digit for digit, however its exponent is written.
pub(super) fn plain(digits: &str) -> String {
    Decimals::of(digits).map_or_else(|| digits.to_owned(), |number| number.text())
}

/// A value as MongoDB holds it: a number that neither 64 bits nor a decimal of 34 digits holds is a text of its digits.
pub(super) fn in_mongodb(value: Plain) -> Plain {
    match value {
        Plain::Number(digits) => match Decimals::of(&digits).and_then(Decimals::into_stored) {
            Some(held) => Plain::Number(held.text()),
            None => Plain::Text(digits),
        },
        Plain::List(values) => Plain::List(values.into_iter().map(in_mongodb).collect()),
        Plain::Object(members) => {
            Plain::Object(members.into_iter().map(|(name, value)| (name, in_mongodb(value))).collect())
        }
        other => other,
    }
}

/// Whether a text is a number, as an amount may be written: digits around a point or none, and an exponent of any size.
pub(super) fn is_amount(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (unsigned.get(..at).unwrap_or_default(), unsigned.get(at + 1..)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    let points = mantissa.matches('.').count();
    let sound = points < 2 && mantissa.len() > points && digits(&mantissa.replacen('.', "", 1));
    sound
        && exponent.is_none_or(|exponent| {
            let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent)
        })
}
