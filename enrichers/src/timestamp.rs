//! Owns the event's time: reading what producers send and writing it as RFC 3339 in UTC.

use chrono::{DateTime, Datelike, NaiveDate, Timelike};

use crate::decimal::Decimal;

const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// The largest time that has a four-digit year: 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;
/// Epoch numbers from here on are milliseconds: as seconds they would lie beyond the year 5000.
const SMALLEST_MILLIS: i128 = 100_000_000_000;

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

    /// Whether it lies before 1970.
    pub(crate) fn is_before_epoch(self) -> bool {
        self.seconds < 0
    }

    /// Writes RFC 3339 in UTC with six fractional digits, or nine where the producer gave finer ones.
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        let Some(time) = DateTime::from_timestamp(self.seconds, self.nanos) else { return };
        let mut put = |value: u32, width: u32, then: Option<u8>| {
            for place in (0..width).rev() {
                out.push(b'0' + (value / 10_u32.pow(place) % 10) as u8);
            }
            out.extend(then);
        };
        put(time.year().unsigned_abs(), 4, Some(b'-'));
        put(time.month(), 2, Some(b'-'));
        put(time.day(), 2, Some(b'T'));
        put(time.hour(), 2, Some(b':'));
        put(time.minute(), 2, Some(b':'));
        put(time.second(), 2, Some(b'.'));
        if self.nanos.is_multiple_of(1_000) {
            put(self.nanos / 1_000, 6, Some(b'Z'));
        } else {
            put(self.nanos, 9, Some(b'Z'));
        }
    }

    /// Reads RFC 3339 and its usual relatives: `T`, `t` or a space; seconds may be left out (Java does at :00); 0 to 9
    /// fractional digits; `Z`, `z`, `+hh:mm`, `+hhmm`, `+hh`, or no zone, which is UTC. A leap second is the next second.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut rest = Cursor(text.as_bytes());
        let year = rest.digits(4)?;
        rest.eat(b"-")?;
        let month = rest.digits(2)?;
        rest.eat(b"-")?;
        let day = rest.digits(2)?;
        rest.eat(b"Tt ")?;
        let hour = rest.digits(2)?;
        rest.eat(b":")?;
        let minute = rest.digits(2)?;
        let (mut second, mut nanos) = (0, 0);
        if rest.eat(b":").is_some() {
            second = rest.digits(2)?;
            if rest.eat(b".").is_some() {
                nanos = rest.fraction()?;
            }
        }
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let offset = rest.offset()?;
        let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
        let days = date.signed_duration_since(NaiveDate::default()).num_days();
        let seconds = days * 86_400 + i64::from(hour * 3_600 + minute * 60 + second) - offset;
        Self::new(seconds, nanos)
    }

    /// Reads a JSON number as time since 1970: milliseconds from 1e11 on, seconds below, fractions allowed.
    pub(crate) fn from_epoch(number: &str) -> Option<Self> {
        let number = Decimal::parse(number)?;
        let is_millis = number.shifted_whole(0)? >= SMALLEST_MILLIS;
        let nanos = number.shifted_whole(if is_millis { 6 } else { 9 })?;
        let seconds = i64::try_from(nanos.div_euclid(NANOS_PER_SECOND)).ok()?;
        Self::new(seconds, u32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).ok()?)
    }

    /// Milliseconds since 1970.
    pub(crate) fn from_millis(millis: i64) -> Option<Self> {
        Self::new(millis.div_euclid(1_000), u32::try_from(millis.rem_euclid(1_000)).ok()? * 1_000_000)
    }

    fn new(seconds: i64, nanos: u32) -> Option<Self> {
        (seconds <= LAST_SECOND).then_some(Self { seconds, nanos })
    }
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
        if self.0.is_empty() {
            return Some(0);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn written(time: Option<Timestamp>) -> Option<String> {
        let mut out = Vec::new();
        time?.write_rfc3339(&mut out);
        String::from_utf8(out).ok()
    }

    #[test]
    fn reads_what_producers_write() {
        let cases = [
            ("2024-01-01T12:00:00Z", "2024-01-01T12:00:00.000000Z"),
            ("2024-01-01t12:00:00z", "2024-01-01T12:00:00.000000Z"),
            ("2024-01-01T12:00:00", "2024-01-01T12:00:00.000000Z"),
            ("2024-01-01 12:00:00.5", "2024-01-01T12:00:00.500000Z"),
            ("2024-01-01T12:00:00.123456+05:30", "2024-01-01T06:30:00.123456Z"),
            ("2024-01-01T12:00:00.000-0800", "2024-01-01T20:00:00.000000Z"),
            ("2024-01-01T12:00:00+00", "2024-01-01T12:00:00.000000Z"),
            ("2024-01-01T12:00Z", "2024-01-01T12:00:00.000000Z"),
            ("2024-02-29T23:59:59.123456789Z", "2024-02-29T23:59:59.123456789Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(written(Timestamp::parse(text)).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        let texts = [
            "",
            "yesterday",
            "2024-01-01",
            "2024-13-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T12:60:00Z",
            "2024-01-01T12:00:61Z",
            "2024-01-01T12:00:00.Z",
            "2024-01-01T12:00:00.1234567890Z",
            "2024-01-01T12:00:00+24:00",
            "2024-01-01T12:00:00Z ",
            " 2024-01-01T12:00:00Z",
            "2024-01-01T12:00:00+5:30",
            "9999-12-31T23:59:59-01:00",
            "2024-01-01T12:00:00ZZ",
            "1704110400",
            "2024-01-01T12:00:00+05:",
        ];
        for text in texts {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn epoch_numbers_are_seconds_or_milliseconds() {
        let cases = [
            ("1704110400", Some("2024-01-01T12:00:00.000000Z")),
            ("1704110400000", Some("2024-01-01T12:00:00.000000Z")),
            ("1704110400.123456789", Some("2024-01-01T12:00:00.123456789Z")),
            ("1704110400123.5", Some("2024-01-01T12:00:00.123500Z")),
            ("1.7041104E9", Some("2024-01-01T12:00:00.000000Z")),
            ("1704110400123456", None),
            ("1E400", None),
        ];
        for (number, expected) in cases {
            assert_eq!(written(Timestamp::from_epoch(number)).as_deref(), expected, "{number}");
        }
        assert!(Timestamp::from_epoch("-1").is_some_and(Timestamp::is_before_epoch));
        assert!(Timestamp::parse("1970-01-01T00:00:00+00:01").is_some_and(Timestamp::is_before_epoch));
    }
}
