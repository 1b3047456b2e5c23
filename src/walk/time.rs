//! Times as producers write them, in microseconds since 1970, UTC; finer digits are cut.

use chrono::NaiveDate;

use super::json::Plain;

/// The last second of the year 9999.
const LAST: i64 = 253_402_300_799;
/// Numbers from here on are milliseconds.
const MILLISECONDS_FROM: i128 = 100_000_000_000;
/// How far ahead of its record an event may be, in milliseconds.
const AHEAD: i64 = 86_400_000;

/// The time of an event, when it is one that an event may have.
pub(super) fn of_event(value: &Plain, record_ms: Option<i64>) -> Option<i64> {
    let micros = of(value)?;
    let latest = record_ms.filter(|ms| *ms >= 0).map(|ms| ms.saturating_add(AHEAD).saturating_mul(1_000));
    (micros >= 0 && latest.is_none_or(|latest| micros <= latest)).then_some(micros)
}

/// A text or a number.
pub(super) fn of(value: &Plain) -> Option<i64> {
    match value {
        Plain::Text(text) => of_text(text),
        Plain::Number(digits) => of_number(digits),
        _ => None,
    }
}

/// So many digits, and nothing else.
fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|digit| digit.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn of_text(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, zone) = rest.split_at_checked(rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len()))?;
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next().filter(|_| parts.next().is_none())?);
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let date = NaiveDate::from_ymd_opt(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?)?;
    let days = (date - NaiveDate::from_ymd_opt(1970, 1, 1)?).num_days();

    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let (second, fraction) = match parts.next() {
        Some(part) => part.split_once('.').map_or((part, None), |(second, fraction)| (second, Some(fraction))),
        None => ("00", None),
    };
    let second = digits(second, 2)?;
    let fraction = fraction.map_or(Some(0), micros)?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset(zone)?;
    (seconds <= LAST).then_some(seconds * 1_000_000 + fraction)
}

/// One to nine digits behind the point.
fn micros(fraction: &str) -> Option<i64> {
    digits(fraction, fraction.len()).filter(|_| (1..=9).contains(&fraction.len()))?;
    format!("{fraction:0<6}").get(..6)?.parse().ok()
}

/// Seconds east of UTC.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let (hours, minutes) = match rest.len() {
        2 => (rest, "00"),
        4 => rest.split_at_checked(2)?,
        _ => rest.split_once(':')?,
    };
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    let seconds = hours * 3_600 + minutes * 60;
    match sign {
        "+" if hours <= 23 && minutes <= 59 => Some(seconds),
        "-" if hours <= 23 && minutes <= 59 => Some(-seconds),
        _ => None,
    }
}

/// Seconds since 1970, or milliseconds; of at most 38 digits.
fn of_number(digits: &str) -> Option<i64> {
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let coefficient: i128 = format!("{whole}{fraction}").parse().ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    let (coefficient, places) = match u32::try_from(places) {
        Ok(places) => (coefficient, places),
        Err(_) => (coefficient.checked_mul(10_i128.checked_pow(places.unsigned_abs())?)?, 0),
    };
    let whole = coefficient / 10_i128.checked_pow(places)?;
    let finer = if whole >= MILLISECONDS_FROM { 6 } else { 9 };
    let nanos = match places.checked_sub(finer) {
        Some(more) => coefficient / 10_i128.checked_pow(more)?,
        None => coefficient.checked_mul(10_i128.checked_pow(finer - places)?)?,
    };
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
    (seconds <= LAST).then_some(i64::try_from(nanos.div_euclid(1_000)).ok()?)
}
