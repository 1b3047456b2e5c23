//! Owns decimal numbers as text: what counts as one at any size, and exact arithmetic on those of usual size.
//!
//! By hand, because `rust_decimal` holds 28 digits, and `bigdecimal` writes a number otherwise than it came.

use std::fmt;

/// Whether `text` is a decimal number of any size: sign, digits, fraction and exponent, nothing around them.
/// Takes more than JSON does (`+5`, `.5`, `5.`, `007`), because string amounts come from many formatters.
pub fn is_number(text: &str) -> bool {
    DecimalParts::split(text).is_some()
}

/// A number without exponent, plus sign or needless zeros, digit for digit; `None` when it is none, or would be longer than
/// 400 digits.
pub fn plain(text: &str) -> Option<String> {
    const MOST: i64 = 400;
    let parts = DecimalParts::split(text)?;
    let exponent: i64 = parts.exponent.map_or(Ok(0), str::parse).ok()?;
    let digits = format!("{}{}", parts.whole, parts.fraction);
    let point = i64::try_from(parts.whole.len()).ok()?.checked_add(exponent)?;
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let digits = digits.trim_start_matches('0');
    let point = point - i64::try_from(leading).ok()?;
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return Some("0".to_owned());
    }
    if digits.len() as i64 > MOST || point.abs() > MOST {
        return None;
    }
    let sign = if parts.negative { "-" } else { "" };
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or_default());
    let length = digits.len() as i64;
    Some(if point <= 0 {
        format!("{sign}0.{}{digits}", zeros(-point))
    } else if point >= length {
        format!("{sign}{digits}{}", zeros(point - length))
    } else {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or_default());
        format!("{sign}{whole}.{fraction}")
    })
}

struct DecimalParts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: Option<&'a str>,
}

impl<'a> DecimalParts<'a> {
    fn split(text: &'a str) -> Option<Self> {
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (digits, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let exponent_fits = exponent.is_none_or(|exponent| {
            let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            !digits.is_empty() && all_digits(digits)
        });
        let number = whole.len() + fraction.len() > 0 && all_digits(whole) && all_digits(fraction) && exponent_fits;
        number.then_some(Self { negative, whole, fraction, exponent })
    }
}

/// A number held exactly: `mantissa / 10^scale`, with a scale of 0 to 38.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i128,
    scale: u32,
}

impl Decimal {
    /// Reads a number of up to 38 significant digits; `None` when it is larger, finer or no number.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = DecimalParts::split(text)?;
        let mut mantissa = 0_i128;
        for digit in parts.whole.bytes().chain(parts.fraction.bytes()) {
            mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        if parts.negative {
            mantissa = -mantissa;
        }
        let exponent: i32 = parts.exponent.map_or(Some(0), |e| e.parse().ok())?;
        let scale = i32::try_from(parts.fraction.len()).ok()?.checked_sub(exponent)?;
        if scale < 0 {
            let mantissa = mantissa.checked_mul(10_i128.checked_pow(scale.unsigned_abs())?)?;
            return Some(Self { mantissa, scale: 0 });
        }
        let scale = scale.unsigned_abs();
        (scale <= 38).then_some(Self { mantissa, scale })
    }

    /// The exact product, or `None` when it does not fit.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let (left, right) = (self.reduce(), other.reduce());
        let mantissa = left.mantissa.checked_mul(right.mantissa)?;
        let scale = left.scale + right.scale;
        (scale <= 38).then_some(Self { mantissa, scale })
    }

    /// The number times `10^exponent`, cut to a whole number; `None` when it does not fit.
    pub(crate) fn shift_to_whole(self, exponent: u32) -> Option<i128> {
        let reduced = self.reduce();
        if reduced.scale >= exponent {
            return Some(reduced.mantissa / 10_i128.checked_pow(reduced.scale - exponent)?);
        }
        reduced.mantissa.checked_mul(10_i128.checked_pow(exponent - reduced.scale)?)
    }

    /// The number, if it is whole.
    pub fn to_integer(self) -> Option<i128> {
        let reduced = self.reduce();
        (reduced.scale == 0).then_some(reduced.mantissa)
    }

    fn reduce(mut self) -> Self {
        while self.scale > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.scale -= 1;
        }
        self
    }
}

/// Plain decimal notation without trailing zeros in the fraction.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.reduce();
        let sign = if number.mantissa < 0 { "-" } else { "" };
        let unit = 10_u128.pow(number.scale);
        let digits = number.mantissa.unsigned_abs();
        write!(f, "{sign}{}", digits / unit)?;
        if number.scale > 0 {
            write!(f, ".{:0width$}", digits % unit, width = number.scale as usize)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_from_other_text() {
        for text in ["0", "-12.50", "+5", ".5", "5.", "007", "1E400", "1e-18", "0E+3", &"9".repeat(5_000)] {
            assert!(is_number(text), "{text}");
        }
        for text in
            ["", "-", ".", "1,234.50", " 5", "5 ", "NaN", "Infinity", "1e", "e5", "0x10", "12€", "1.2.3", "--1", "１"]
        {
            assert!(!is_number(text), "{text}");
        }
    }

    #[test]
    fn a_plain_number_keeps_every_digit() {
        for (written, expected) in [
            ("12345678901234567890.10", Some("12345678901234567890.1")),
            ("1e3", Some("1000")),
            ("-1.5E-3", Some("-0.0015")),
            ("+007.0", Some("7")),
            ("0e999", Some("0")),
            ("-0", Some("0")),
            ("12.34e1", Some("123.4")),
            (".5", Some("0.5")),
            ("100", Some("100")),
            ("1e401", None),
            ("x", None),
        ] {
            assert_eq!(plain(written).as_deref(), expected, "{written}");
        }
    }

    #[test]
    fn products_are_exact() {
        let product = |a, b| Decimal::parse(a)?.checked_mul(Decimal::parse(b)?).map(|p| p.to_string());
        assert_eq!(product("0.1", "0.2").as_deref(), Some("0.02"));
        assert_eq!(product("-0.5", "43000.25").as_deref(), Some("-21500.125"));
        assert_eq!(product("1.5E+3", "2e-1").as_deref(), Some("300"));
        assert_eq!(product("0.000000000000000001", "3").as_deref(), Some("0.000000000000000003"));
        assert_eq!(product("0", "1E38").as_deref(), Some("0"));
        assert_eq!(product("1E30", "1E30"), None);
        assert_eq!(product("1E400", "1"), None);
    }
}
