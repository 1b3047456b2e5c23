//! Settings of Redis: its whole address, or its parts.
//!
//! It guarantees that an address which is kept for messages holds no credentials, and that the address is taken as a whole
//! from whoever gives it in the place that goes first: of a URL and parts in one place the URL.

use std::net::Ipv6Addr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;
use url::Url;

use super::found::FoundSetting;
use super::settings::Settings;
use super::{ConfigError, address};

const PARTS: [&str; 4] = ["redis.host", "redis.port", "redis.password", "redis.db"];
const HERE: &str = "redis://localhost:6379/0";

/// Where marks of processed messages are kept.
#[derive(Clone, Debug)]
pub struct Redis {
    /// With credentials.
    pub url: SecretString,
    /// The same without, for messages.
    pub address: String,
    /// PEM text.
    pub ca_cert: Option<String>,
    /// Whether a setting names it, or a part of it; else it is the default, and there may be none.
    pub named: bool,
}

impl Redis {
    /// `None` when it is switched off; what is ignored of its address is added to `ignored`, and settings that nobody
    /// reads to `unheard`.
    pub(super) fn read(
        settings: &Settings,
        ignored: &mut Vec<String>,
        unheard: &mut Vec<String>,
    ) -> Result<Option<Self>, ConfigError> {
        let whole = settings.require("redis.url")?;
        let mut named = !whole.is_default();
        for part in PARTS {
            named |= settings.find(part)?.is_some();
        }
        let host = settings.find("redis.host")?.filter(|host| whole.is_below(host));
        let (said, mut url) = match host {
            Some(host) => {
                if !whole.is_default() {
                    unheard.push(whole.not_read(&host));
                }
                let url = from_parts(settings, &whole, unheard)?;
                (host, url)
            }
            None if whole.is_default() => {
                let url = from_parts(settings, &whole, unheard)?;
                (whole, url)
            }
            None => {
                let off = whole.text.trim().is_empty() || whole.text.trim().eq_ignore_ascii_case("none");
                let url = if off {
                    None
                } else {
                    Some(whole.parse("a URL such as redis://localhost:6379/0, or none", redis_url)?)
                };
                check_parts(settings, &whole, url.as_ref(), unheard)?;
                let Some(url) = url else { return Ok(None) };
                (whole, url)
            }
        };
        let names = address::redis(&mut url).map_err(|why| said.error(&why))?;
        ignored.extend(said.ignoring(names));
        let ca_cert = ca_cert(settings, &said, &url, unheard)?;
        let mut address = url.clone();
        let cleared = address.set_password(None).and_then(|()| address.set_username(""));
        let address = cleared.map_or_else(|()| "redis".to_owned(), |()| address.to_string());
        Ok(Some(Self { url: SecretString::from(url.to_string()), address, ca_cert, named }))
    }
}

fn redis_url(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok()?;
    let database = url.path().trim_start_matches('/');
    let fits = matches!(url.scheme(), "redis" | "rediss") && url.has_host();
    (fits && (database.is_empty() || database.parse::<u32>().is_ok())).then_some(url)
}

/// The parts that are set in places above the URL's.
fn from_parts(settings: &Settings, whole: &FoundSetting, unheard: &mut Vec<String>) -> Result<Url, ConfigError> {
    let mut url = Url::parse(HERE).map_err(|error| ConfigError::new(format!("{HERE}: {error}")))?;
    for key in PARTS {
        let Some(found) = settings.find(key)? else { continue };
        if !whole.is_below(&found) {
            unheard.push(format!("{} is not read, because REDIS_HOST is set in a place that goes first", found.origin));
            continue;
        }
        match key {
            "redis.host" => found.parse("a host name", |text| url.set_host(Some(&host(text)?)).ok())?,
            "redis.port" => found.parse("a port, 1 to 65535", |text| {
                url.set_port(Some(text.trim().parse().ok().filter(|port| *port > 0)?)).ok()
            })?,
            "redis.password" => found.parse("a password", |text| {
                // As it is: a URL's own encoding leaves what looks encoded already.
                url.set_password(Some(&utf8_percent_encode(text, NON_ALPHANUMERIC).to_string())).ok()
            })?,
            _ => found.parse("the number of a database", |text| {
                let number: u32 = text.trim().parse().ok()?;
                url.set_path(&format!("/{number}"));
                Some(())
            })?,
        }
    }
    Ok(url)
}

/// A name or an address, as it stands in a URL.
fn host(text: &str) -> Option<String> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<Ipv6Addr>().is_ok() {
        return Some(format!("[{bare}]"));
    }
    let plain = |c: char| c.is_alphanumeric() || "-._".contains(c);
    (!text.is_empty() && text.chars().all(plain)).then(|| text.to_owned())
}

/// Parts beside a URL that counts: they are not read, and where that is not what their place says, it is an error.
fn check_parts(
    settings: &Settings,
    whole: &FoundSetting,
    url: Option<&Url>,
    unheard: &mut Vec<String>,
) -> Result<(), ConfigError> {
    for key in PARTS {
        let Some(found) = settings.find(key)? else { continue };
        let is_above = whole.is_below(&found);
        let is_beside = !is_above && !found.is_below(whole);
        if is_above && url.is_some() {
            let whole = &whole.origin;
            let why =
                format!("it is a part of an address, and {whole} is a whole one: set REDIS_HOST too, or REDIS_URL");
            return Err(found.error(&why));
        }
        if key == "redis.password" && is_beside && url.is_some_and(|url| url.password().is_none()) {
            return Err(
                found.error("it is not read beside REDIS_URL, which holds no password: write it into REDIS_URL")
            );
        }
        unheard.push(found.not_read(whole));
    }
    Ok(())
}

/// The authority, where the address asks for TLS; one of a place below the address's was for another address.
fn ca_cert(
    settings: &Settings,
    said: &FoundSetting,
    url: &Url,
    unheard: &mut Vec<String>,
) -> Result<Option<String>, ConfigError> {
    if url.scheme() == "rediss" {
        return settings.certificate("redis.ca_cert");
    }
    match settings.find("redis.ca_cert")? {
        Some(unused) if unused.is_below(said) => unheard.push(unused.not_read(said)),
        Some(unused) => {
            return Err(unused.error(
                "a certificate authority is of no use with redis://: write rediss:// in REDIS_URL, or take it out",
            ));
        }
        None => {}
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::super::Config;
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\\nabc\\n-----END CERTIFICATE-----";

    fn config(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_variables(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn redis_is_a_url_or_parts_or_off() {
        let redis =
            |variables: &[(&str, &str)]| config(variables).unwrap().redis.map(|r| r.url.expose_secret().to_owned());
        assert_eq!(redis(&[]).unwrap(), "redis://localhost:6379/0");
        assert_eq!(redis(&[("REDIS_URL", "")]), None);
        assert_eq!(redis(&[("REDIS_URL", "none")]), None);
        assert_eq!(redis(&[("REDIS_URL", "rediss://u:p@h:1/2"), ("REDIS_HOST", "x")]).unwrap(), "rediss://u:p@h:1/2");
        let parts = [("REDIS_HOST", "h"), ("REDIS_PORT", "7"), ("REDIS_PASSWORD", "p@:/"), ("REDIS_DB", "3")];
        assert_eq!(redis(&parts).unwrap(), "redis://:p%40%3A%2F@h:7/3");
        let address = config(&parts).unwrap().redis.unwrap().address;
        assert_eq!(address, "redis://h:7/3");
        assert!(config(&[("REDIS_URL", "localhost:6379")]).is_err());
        assert!(config(&[("REDIS_PORT", "0")]).is_err());
    }

    #[test]
    fn a_part_is_what_was_written() {
        let url =
            |variables: &[(&str, &str)]| config(variables).map(|c| c.redis.unwrap().url.expose_secret().to_owned());
        for password in ["a%41", "100%", "%", "p@:/?#[]", "ü ", "a+b&c=d"] {
            let url = Url::parse(&url(&[("REDIS_PASSWORD", password)]).unwrap()).unwrap();
            let decoded = percent_encoding::percent_decode_str(url.password().unwrap()).decode_utf8().unwrap();
            assert_eq!(decoded, password);
            assert_eq!(url.host_str(), Some("localhost"), "{password}");
        }
        assert_eq!(url(&[("REDIS_HOST", "::1")]).unwrap(), "redis://[::1]:6379/0");
        assert_eq!(url(&[("REDIS_HOST", "[::1]")]).unwrap(), "redis://[::1]:6379/0");
        assert_eq!(url(&[("REDIS_HOST", "my_redis")]).unwrap(), "redis://my_redis:6379/0");
        for host in ["h:7", "redis://h", "u@h", "h/1", "h?x"] {
            assert!(url(&[("REDIS_HOST", host)]).unwrap_err().to_string().starts_with("REDIS_HOST"), "{host}");
        }
        assert_eq!(url(&[("REDIS_URL", "redis://h:1?db=2")]).unwrap(), "redis://h:1/2");
        assert_eq!(url(&[("REDIS_URL", "redis://h:1/?db=2")]).unwrap(), "redis://h:1/2");
    }

    #[test]
    fn security_that_nothing_uses_is_refused() {
        let named = |variables: &[(&str, &str)], name: &str| {
            let error = config(variables).unwrap_err().to_string();
            assert!(error.starts_with(name) && !error.contains("hunter2"), "{error}");
        };
        named(&[("REDIS_CA_CERT", CERTIFICATE)], "REDIS_CA_CERT: ");
        named(&[("REDIS_CA_CERT", CERTIFICATE), ("REDIS_URL", "redis://h")], "REDIS_CA_CERT: ");
        assert!(config(&[("REDIS_CA_CERT", CERTIFICATE), ("REDIS_URL", "rediss://h")]).is_ok());
        named(&[("REDIS_PASSWORD", "hunter2"), ("REDIS_URL", "redis://h")], "REDIS_PASSWORD: ");
    }
}
