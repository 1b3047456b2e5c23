//! Times as producers write them, in microseconds since 1970, UTC; finer digits are cut.

use chrono::NaiveDate;

use super::json::Plain;

/// The last second of the year 9999.
const LAST: i64 = 253_402_300_799;
/// How many digits finer than a second a number is, and from which size on.
const FINER: [(i128, u32); 3] = [(100_000_000_000_000_000, 9), (100_000_000_000_000, 6), (100_000_000_000, 3)];
/// A record's own time before 2001 is none, in milliseconds.
const RECORDS_FROM: i64 = 978_307_200_000;
/// How far ahead of its record an event may be, in milliseconds.
const AHEAD: i64 = 86_400_000;

/// The time of an event, when it is one that an event may have.
pub(super) fn of_event(value: &Plain, record_ms: Option<i64>) -> Option<i64> {
    let micros = of(value)?;
    let latest = of_record(record_ms).map(|ms| ms.saturating_add(AHEAD).saturating_mul(1_000));
    (micros >= 0 && latest.is_none_or(|latest| micros <= latest)).then_some(micros)
}

/// A record's own time, when it can be one, in milliseconds.
pub(super) fn of_record(ms: Option<i64>) -> Option<i64> {
    ms.filter(|ms| *ms >= RECORDS_FROM)
}

/// A text, a number, or a list of numbers.
pub(super) fn of(value: &Plain) -> Option<i64> {
    match value {
        Plain::Text(text) if matches!(places_before_point(text), Some(9 | 10 | 13 | 16 | 19)) => of_number(text),
        Plain::Text(text) => {
            let text = join(text);
            of_text(&text).or_else(|| of_text(&spread(&text)?))
        }
        Plain::Number(digits) => of_number(digits),
        Plain::List(parts) => of_list(parts),
        _ => None,
    }
}

/// A time without the blank before its zone, and with `Z` for `UTC`.
fn join(text: &str) -> String {
    match text.rsplit_once(' ') {
        Some((time, "UTC")) => format!("{time}Z"),
        Some((time, zone)) if time.len() > 10 && zone.starts_with(['Z', 'z', '+', '-']) => format!("{time}{zone}"),
        _ => text.to_owned(),
    }
}

/// Digits before the point of a text that is a number without sign and exponent.
fn places_before_point(text: &str) -> Option<usize> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    (digits(whole) && digits(fraction)).then_some(whole.len())
}

/// The usual form of a time without dashes and colons: `20231114T221320.5+0100`.
fn spread(text: &str) -> Option<String> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let (clock, zone) = rest.split_at_checked(rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len()))?;
    let (clock, fraction) = clock.split_at_checked(clock.find(['.', ',']).unwrap_or(clock.len()))?;
    digits(date, 8).zip(digits(clock, clock.len()))?;
    let pairs = |text: &str| {
        text.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok()).collect::<Vec<_>>().join(":")
    };
    let seconds_missing = clock.len() == 4 && !fraction.is_empty();
    let date = format!("{}-{}-{}", date.get(..4)?, date.get(4..6)?, date.get(6..)?);
    (matches!(clock.len(), 4 | 6) && !seconds_missing).then(|| format!("{date}T{}{fraction}{zone}", pairs(clock)))
}

/// Year, month, day, hour, minute, and perhaps second and nanosecond.
fn of_list(parts: &[Plain]) -> Option<i64> {
    let number = |part: &Plain| match part {
        Plain::Number(digits) => digits.parse::<u32>().ok(),
        _ => None,
    };
    let mut parts =
        parts.iter().map(number).collect::<Option<Vec<u32>>>().filter(|parts| (5..=7).contains(&parts.len()))?;
    parts.resize(7, 0);
    let [year, month, day, hour, minute, second, nanos] = parts.as_slice() else { return None };
    of_text(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}"))
}

/// So many digits, and nothing else.
fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|digit| digit.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn of_text(text: &str) -> Option<i64> {
    // The name of a zone says nothing more than the zone.
    let text = match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        Some((time, _)) if time.get(11..)?.contains(['Z', 'z', '+', '-']) => time,
        Some(_) => return None,
        None => text,
    };
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
        Some(part) => part.split_once(['.', ',']).map_or((part, None), |(second, fraction)| (second, Some(fraction))),
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

/// A number exactly, of at most 38 digits: its digits, and how many of them stand behind the point.
pub(super) fn exact(digits: &str) -> Option<(i128, u32)> {
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let coefficient: i128 = format!("{whole}{fraction}").parse().ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    match u32::try_from(places) {
        Ok(places) => Some((coefficient, places)),
        Err(_) => Some((coefficient.checked_mul(10_i128.checked_pow(places.unsigned_abs())?)?, 0)),
    }
}

/// Seconds since 1970, or thousandths, millionths, thousand-millionths of them, as its size says.
fn of_number(digits: &str) -> Option<i64> {
    let (coefficient, places) = exact(digits)?;
    let whole = coefficient / 10_i128.checked_pow(places)?;
    let finer = 9 - FINER.iter().find(|(from, _)| whole >= *from).map_or(0, |(_, digits)| *digits);
    let nanos = match places.checked_sub(finer) {
        Some(more) => coefficient / 10_i128.checked_pow(more)?,
        None => coefficient.checked_mul(10_i128.checked_pow(finer - places)?)?,
    };
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
    (seconds <= LAST).then_some(i64::try_from(nanos.div_euclid(1_000)).ok()?)
}
