//! How the text of a setting becomes a value: numbers, sizes, times, certificates.
//!
//! Pure, save that a certificate may be read from a file. A value that does not fit is `None`; the caller knows the name.
//!
//! By hand, because `bytesize` reads a bare `k` as a thousand and `humantime` takes months and years.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};

/// Units of an age, in seconds, the largest first.
const AGES: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// A size in bytes: `268435456`, `256MiB`, `256 MB`, `64k`. A bare letter counts in powers of two.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// An age: `90d`, `12h`, `30m`, `45s`.
pub(crate) fn age(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (unit, seconds) = AGES.into_iter().find(|(unit, _)| text.ends_with(*unit))?;
    let number = text.strip_suffix(unit)?.parse::<u32>().ok()?;
    Some(Duration::from_secs(u64::from(number) * seconds))
}

/// An age as [`age`] reads it, in whole seconds and not shorter.
pub(crate) fn describe_age(age: Duration) -> String {
    let whole = age.as_secs() + u64::from(age.subsec_nanos() > 0);
    let fits = AGES.into_iter().find(|(_, seconds)| whole.is_multiple_of(*seconds));
    let (unit, seconds) = fits.unwrap_or(('s', 1));
    format!("{}{unit}", whole / seconds)
}

/// A number of seconds, with a fraction or without.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.trim().parse().ok()?).ok()
}

/// A whole number of milliseconds.
pub(super) fn millis(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_millis)
}

/// A switch, as people write it.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// The parts of a list separated by commas, without the empty ones.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// A certificate in PEM: the text itself (line ends may be written `\n`), or the path of a file with it.
pub(super) fn pem(text: &str) -> Result<String, String> {
    const BEGIN: &str = "-----BEGIN";
    if text.contains(BEGIN) {
        return Ok(in_lines(&text.replace("\\n", "\n")));
    }
    // As values of Kubernetes' secrets are written.
    let decoded = BASE64_STANDARD.decode(text.split_whitespace().collect::<String>());
    if let Some(decoded) = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok())
        && decoded.contains(BEGIN)
    {
        return Ok(decoded);
    }
    match std::fs::read_to_string(text) {
        Ok(content) if content.contains(BEGIN) => Ok(content),
        Ok(_) => Err(format!("the file {text} holds no PEM certificate")),
        Err(error) if looks_like_a_path(text) => Err(format!("cannot read the certificate {text}: {error}")),
        Err(error) => Err(format!("it is neither PEM text nor a path that can be read (not shown): {}", error.kind())),
    }
}

/// PEM text of which a tool made one line, with blanks for the ends of lines, in lines again.
fn in_lines(text: &str) -> String {
    if text.trim_end().contains('\n') {
        return text.to_owned();
    }
    let lines = text.replace("----- ", "-----\n").replace(" -----", "\n-----");
    let line = |line: &str| if line.starts_with("-----") { line.to_owned() } else { line.replace(' ', "\n") };
    lines.lines().map(|one| line(one) + "\n").collect()
}

/// Anything else may be a key, or a password in the wrong place.
fn looks_like_a_path(text: &str) -> bool {
    let ends = [".pem", ".crt", ".cer", ".cert"].iter().any(|end| text.ends_with(end));
    ends && text.len() <= 200 && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_may_be_written_in_base64() {
        let pem_text = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n";
        assert_eq!(pem(&BASE64_STANDARD.encode(pem_text)).as_deref(), Ok(pem_text));
        assert!(pem(&BASE64_STANDARD.encode("abc")).is_err());
    }

    #[test]
    fn a_certificate_may_be_one_line_with_blanks() {
        let one = "-----BEGIN CERTIFICATE----- abc def -----END CERTIFICATE-----";
        let lines = "-----BEGIN CERTIFICATE-----\nabc\ndef\n-----END CERTIFICATE-----\n";
        assert_eq!(pem(one).as_deref(), Ok(lines));
        assert_eq!(pem(&format!("{one} {one}")).as_deref(), Ok(&*format!("{lines}{lines}")));
        assert_eq!(pem(lines).as_deref(), Ok(lines));
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("1024"), Some(1024));
        assert_eq!(bytes("256MiB"), Some(256 << 20));
        assert_eq!(bytes("256 MB"), Some(256_000_000));
        assert_eq!(bytes("1g"), Some(1 << 30));
        for wrong in ["", "MiB", "1.5GiB", "-1", "12 parsecs", "99999999999999999999", "99999999999g"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_finite_and_positive() {
        assert_eq!(seconds("5.0"), Some(Duration::from_secs(5)));
        assert_eq!(seconds("0.25"), Some(Duration::from_millis(250)));
        for wrong in ["-1", "inf", "NaN", "5s", ""] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ages_are_read_and_shown() {
        for (text, seconds) in [("90d", 90 * 86_400), ("12h", 43_200), ("30m", 1_800), ("45s", 45)] {
            assert_eq!(age(text), Some(Duration::from_secs(seconds)));
            assert_eq!(describe_age(Duration::from_secs(seconds)).len(), 3, "{text}");
        }
        assert_eq!(describe_age(Duration::from_millis(59_001)), "1m");
        assert_eq!(describe_age(Duration::from_secs(7 * 86_400)), "7d");
        for wrong in ["", "d", "90", "-1d", "1.5h", "90 d", "1w", "9999999999d"] {
            assert_eq!(age(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn certificates_come_as_text_or_path() {
        let text = "-----BEGIN CERTIFICATE-----\\nabc\\n-----END CERTIFICATE-----";
        assert_eq!(pem(text).unwrap().lines().count(), 3);
        assert!(pem("/nowhere/ca.pem").unwrap_err().contains("/nowhere/ca.pem"));
        for secret in ["hunter2", "/hunter2", "-----begin hunter2.pem"] {
            assert!(!pem(secret).unwrap_err().contains("hunter2"), "{secret}");
        }
    }
}
