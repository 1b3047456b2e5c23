//! Owns the event's time: reading what producers send and writing it as RFC 3339 in UTC.
//!
//! `chrono` knows the calendar; the forms are read by hand, because no parser takes all that producers send.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, NaiveDate, Timelike};

use serde_json::value::RawValue;

use crate::decimal::Decimal;
use crate::json;

const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// The largest time that has a four-digit year: 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;
/// 0001-01-01T00:00:00Z.
const FIRST_SECOND: i64 = -62_135_596_800;
/// Epoch numbers from here on are finer than seconds, by three digits for each step of a thousand: what they are read as
/// lies between the years 1973 and 5138.
const SMALLEST_MILLIS: i128 = 100_000_000_000;
const SMALLEST_MICROS: i128 = SMALLEST_MILLIS * 1_000;
const SMALLEST_NANOS: i128 = SMALLEST_MICROS * 1_000;
/// The forms in which a time is read, for people.
pub const FORMS: &str = "RFC 3339, basic ISO 8601, an array of numbers from the year on, an epoch number";

/// A point in time with nanoseconds, in UTC. Never after the year 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

impl Timestamp {
    /// Microseconds since 1970; finer digits are cut.
    pub fn micros(self) -> i64 {
        self.seconds * 1_000_000 + i64::from(self.nanos / 1_000)
    }

    /// The same; `None` before the year 1, which databases have no dates for.
    pub fn micros_since_year_one(self) -> Option<i64> {
        (self.seconds >= FIRST_SECOND).then(|| self.micros())
    }

    /// Whether it lies before 1970.
    pub(crate) fn is_before_epoch(self) -> bool {
        self.seconds < 0
    }

    /// Writes RFC 3339 in UTC with six fractional digits, or nine where the producer gave finer ones.
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        let Some(time) = DateTime::from_timestamp(self.seconds, self.nanos) else { return };
        let year = digits::<4>(time.year().unsigned_abs());
        let [month, day, hour, minute, second] =
            [time.month(), time.day(), time.hour(), time.minute(), time.second()].map(digits::<2>);
        for (part, then) in
            [(&year[..], b'-'), (&month, b'-'), (&day, b'T'), (&hour, b':'), (&minute, b':'), (&second, b'.')]
        {
            out.extend_from_slice(part);
            out.push(then);
        }
        if self.nanos.is_multiple_of(1_000) {
            out.extend_from_slice(&digits::<6>(self.nanos / 1_000));
        } else {
            out.extend_from_slice(&digits::<9>(self.nanos));
        }
        out.push(b'Z');
    }

    /// Reads what stands in a field, with what stands there: a string's content, a number's digits, an array's text. `None`
    /// for what is no time, or may be more than one.
    pub fn read(raw: &RawValue) -> Option<(Self, Cow<'_, str>)> {
        let text = raw.get();
        if text.starts_with('[') {
            return Some((Self::from_array(text)?, Cow::Borrowed(text)));
        }
        let received = json::scalar(raw)?;
        let time = if text.starts_with('"') { Self::parse(&received) } else { Self::from_epoch(&received) };
        Some((time?, received))
    }

    /// Reads RFC 3339 and its usual relatives: `T`, `t` or a space; the basic form without dashes and colons; seconds may be left
    /// out (Java does at :00); 0 to 9 fractional digits after a point or a comma; `Z`, `z`, `+hh:mm`, `+hhmm`, `+hh`, or no
    /// zone, which is UTC; a space before the zone, or ` UTC`; behind a zone its name in brackets. A leap second is the next second. Digits alone are read as an
    /// epoch number.
    pub fn parse(text: &str) -> Option<Self> {
        // A dash behind the year is the usual case, and no epoch number has one there.
        if text.as_bytes().get(4) != Some(&b'-')
            && let Some(epoch) = epoch_text(text)
        {
            return Self::from_epoch(epoch);
        }
        let mut rest = Cursor(without_name(text).as_bytes());
        let year = rest.digits(4)?;
        let basic = rest.eat(b"-").is_none();
        let between = |rest: &mut Cursor<'_>, sign: &[u8]| (basic || rest.eat(sign).is_some()).then_some(());
        let month = rest.digits(2)?;
        between(&mut rest, b"-")?;
        let day = rest.digits(2)?;
        rest.eat(if basic { b"Tt" } else { b"Tt " })?;
        let hour = rest.digits(2)?;
        between(&mut rest, b":")?;
        let minute = rest.digits(2)?;
        let (mut second, mut nanos) = (0, 0);
        if if basic { rest.at_digit() } else { rest.eat(b":").is_some() } {
            second = rest.digits(2)?;
            if rest.eat(b".,").is_some() {
                nanos = rest.fraction()?;
            }
        }
        Self::of([year, month, day, hour, minute, second], nanos, rest.offset()?)
    }

    /// Reads an array as Java's serialisers write it: year, month, day, hour, minute, and second and nanosecond where they are
    /// not zero; in UTC.
    fn from_array(text: &str) -> Option<Self> {
        let parts: Vec<u32> = serde_json::from_str(text).ok()?;
        let [year, month, day, hour, minute, ref rest @ ..] = *parts.as_slice() else { return None };
        let (second, nanos) = match *rest {
            [] => (0, 0),
            [second] => (second, 0),
            [second, nanos] if nanos < 1_000_000_000 => (second, nanos),
            _ => return None,
        };
        Self::of([year, month, day, hour, minute, second], nanos, 0)
    }

    /// `offset` is in seconds east of UTC.
    fn of([year, month, day, hour, minute, second]: [u32; 6], nanos: u32, offset: i64) -> Option<Self> {
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
        let days = date.signed_duration_since(NaiveDate::default()).num_days();
        let seconds = days * 86_400 + i64::from(hour * 3_600 + minute * 60 + second) - offset;
        Self::new(seconds, nanos)
    }

    /// Reads a number as time since 1970, fractions allowed: seconds, from 1e11 on milliseconds, from 1e14 on microseconds, from
    /// 1e17 on nanoseconds.
    pub(crate) fn from_epoch(number: &str) -> Option<Self> {
        let number = Decimal::parse(number)?;
        let digits = match number.shift_to_whole(0)? {
            SMALLEST_NANOS.. => 0,
            SMALLEST_MICROS.. => 3,
            SMALLEST_MILLIS.. => 6,
            _ => 9,
        };
        let nanos = number.shift_to_whole(digits)?;
        let seconds = i64::try_from(nanos.div_euclid(NANOS_PER_SECOND)).ok()?;
        Self::new(seconds, u32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).ok()?)
    }

    /// Milliseconds since 1970.
    pub fn from_millis(millis: i64) -> Option<Self> {
        Self::new(millis.div_euclid(1_000), u32::try_from(millis.rem_euclid(1_000)).ok()? * 1_000_000)
    }

    fn new(seconds: i64, nanos: u32) -> Option<Self> {
        (seconds <= LAST_SECOND).then_some(Self { seconds, nanos })
    }
}

/// Text that is an epoch number and nothing else: 8, 12 or 14 digits may be a date without dashes.
fn epoch_text(text: &str) -> Option<&str> {
    let whole = text.split('.').next().unwrap_or_default();
    let number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (number && matches!(whole.len(), 9 | 10 | 13 | 16 | 19)).then_some(text)
}

/// The text without the name of a zone, such as `[Europe/Rome]`, where the zone itself stands before it.
fn without_name(text: &str) -> &str {
    let Some((time, _)) = text.strip_suffix(']').and_then(|text| text.split_once('[')) else { return text };
    let zoned = time.ends_with(['Z', 'z']) || time.get(10..).is_some_and(|time| time.contains(['+', '-']));
    if zoned { time } else { text }
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    /// Takes one byte if it is one of `any`.
    fn eat(&mut self, any: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        any.contains(&first).then(|| {
            self.0 = rest;
            first
        })
    }

    fn at_digit(&self) -> bool {
        self.0.first().is_some_and(u8::is_ascii_digit)
    }

    fn digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let value =
            digits.iter().try_fold(0_u32, |value, b| b.is_ascii_digit().then(|| value * 10 + u32::from(b - b'0')))?;
        self.0 = rest;
        Some(value)
    }

    /// One to nine digits after the point, as nanoseconds.
    fn fraction(&mut self) -> Option<u32> {
        let count = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        if !(1..=9).contains(&count) {
            return None;
        }
        let value = self.digits(count)?;
        Some(value * 10_u32.pow(9 - count as u32))
    }

    /// The zone at the end, in seconds east of UTC.
    fn offset(&mut self) -> Option<i64> {
        if self.0.is_empty() || self.0 == b" UTC" {
            return Some(0);
        }
        // As Ruby, Python's `%z` and databases write it.
        self.eat(b" ");
        let sign = match self.eat(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return self.0.is_empty().then_some(0),
        };
        let hours = self.digits(2)?;
        let minutes = match self.eat(b":") {
            None if self.0.is_empty() => 0,
            _ => self.digits(2)?,
        };
        (hours <= 23 && minutes <= 59 && self.0.is_empty()).then(|| sign * i64::from(hours * 3_600 + minutes * 60))
    }
}

/// The last decimal digits of a number, with zeros before it.
fn digits<const N: usize>(mut value: u32) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (value % 10) as u8;
        value /= 10;
    }
    digits
}

#[cfg(test)]
mod tests;
