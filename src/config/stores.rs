//! Settings of the stores: Elasticsearch and Redis.
//!
//! It guarantees that an address which is kept for messages holds no credentials.

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::settings::{Found, Settings};
use super::{ConfigError, address, values};

/// Where documents go.
#[derive(Clone, Debug)]
pub struct Elasticsearch {
    /// The nodes, without credentials.
    pub urls: Vec<Url>,
    /// The alias that is written to.
    pub index: String,
    pub auth: ElasticsearchAuth,
    /// PEM text.
    pub ca_cert: Option<String>,
    pub gzip: bool,
}

/// Who we are to Elasticsearch.
#[derive(Clone, Debug)]
pub enum ElasticsearchAuth {
    None,
    Basic { username: String, password: SecretString },
    ApiKey(SecretString),
}

impl Elasticsearch {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let nodes = settings.require("elasticsearch.url")?;
        let expected = "a list of URLs such as http://localhost:9200, with the same user in each, without parameters";
        let (urls, in_url) = nodes.parse(expected, node_list)?;
        if urls.iter().any(|url| url.scheme() == "http")
            && let Some(found) = settings.find("elasticsearch.ca_cert")?
        {
            return Err(found.error(
                "a certificate authority is of no use with http://: write https:// for each node of ELASTICSEARCH_URL, or \
                 take it out",
            ));
        }
        let index = settings.require("elasticsearch.index")?;
        let index = index.parse("the name of an alias: lower case, without spaces, commas or wildcards", alias)?;
        Ok(Self {
            urls,
            index,
            auth: authentication(settings, in_url)?,
            ca_cert: settings.certificate("elasticsearch.ca_cert")?,
            gzip: settings.require("elasticsearch.gzip")?.parse("true or false", values::switch)?,
        })
    }
}

type Login = (String, SecretString);

fn node_list(text: &str) -> Option<(Vec<Url>, Option<Login>)> {
    let mut login: Option<Login> = None;
    let mut urls = Vec::new();
    for part in values::list(text) {
        let mut url =
            Url::parse(&part).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())?;
        // Messages show the address, and a parameter may be a key.
        if url.query().is_some() || url.fragment().is_some() {
            return None;
        }
        if !url.username().is_empty() {
            let (user, password) = (decoded(url.username())?, decoded(url.password().unwrap_or_default())?);
            let other = |(known, secret): &Login| *known != user || secret.expose_secret() != password;
            if login.as_ref().is_some_and(other) {
                return None;
            }
            login = Some((user, SecretString::from(password)));
            url.set_username("").ok()?;
        } else if url.password().is_some() {
            return None;
        }
        url.set_password(None).ok()?;
        urls.push(url);
    }
    (!urls.is_empty()).then_some((urls, login))
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
}

fn alias(text: &str) -> Option<String> {
    let wrong = |c: char| c.is_uppercase() || c.is_whitespace() || "\\/*?\"<>|,#:".contains(c);
    let fits = !text.is_empty() && !text.starts_with(['-', '_', '+']) && !text.contains(wrong) && text.len() <= 255;
    fits.then(|| text.to_owned())
}

fn authentication(settings: &Settings, in_url: Option<Login>) -> Result<ElasticsearchAuth, ConfigError> {
    let user = settings.find("elasticsearch.username")?;
    let password = settings.secret("elasticsearch.password")?;
    let key = settings.secret("elasticsearch.api_key")?;
    match (user, password, key, in_url) {
        (Some(_), _, Some(_), _) | (_, _, Some(_), Some(_)) => Err(ConfigError::new(
            "ELASTICSEARCH_API_KEY is set, and a user name too: keep one way to authenticate".to_owned(),
        )),
        (Some(_), _, None, Some(_)) | (None, Some(_), _, Some(_)) => Err(ConfigError::new(
            "ELASTICSEARCH_URL holds a login, and ELASTICSEARCH_USERNAME or ELASTICSEARCH_PASSWORD is set too: keep one"
                .to_owned(),
        )),
        (_, Some(_), Some(_), None) => Err(ConfigError::new(
            "ELASTICSEARCH_API_KEY is set, and ELASTICSEARCH_PASSWORD too: keep one way to authenticate".to_owned(),
        )),
        (_, None, Some(key), None) => Ok(ElasticsearchAuth::ApiKey(key)),
        (Some(user), Some(password), None, None) => Ok(ElasticsearchAuth::Basic { username: user.text, password }),
        (Some(user), None, None, None) => Err(user.error("a user name needs a password: set ELASTICSEARCH_PASSWORD")),
        (None, None, None, Some((username, password))) => Ok(ElasticsearchAuth::Basic { username, password }),
        (None, Some(_), None, None) => Err(ConfigError::new(
            "ELASTICSEARCH_PASSWORD is set, but no user name: set ELASTICSEARCH_USERNAME".to_owned(),
        )),
        (None, None, None, None) => Ok(ElasticsearchAuth::None),
    }
}

/// Where marks of processed messages are kept.
#[derive(Clone, Debug)]
pub struct Redis {
    /// With credentials.
    pub url: SecretString,
    /// The same without, for messages.
    pub address: String,
    /// PEM text.
    pub ca_cert: Option<String>,
}

impl Redis {
    /// `None` when it is switched off; what is ignored of its address is added to `ignored`.
    pub(super) fn read(settings: &Settings, ignored: &mut Vec<String>) -> Result<Option<Self>, ConfigError> {
        let found = settings.require("redis.url")?;
        if found.text.trim().is_empty() || found.text.trim().eq_ignore_ascii_case("none") {
            return Ok(None);
        }
        let is_default = found.origin.starts_with("the default");
        let mut url = found.parse("a URL such as redis://localhost:6379/0, or none", redis_url)?;
        // The parts count only where nobody gave a whole URL.
        if is_default {
            from_parts(settings, &mut url)?;
        } else if url.password().is_none()
            && let Some(unused) = settings.find("redis.password")?
        {
            return Err(
                unused.error("it is not read beside REDIS_URL, which holds no password: write it into REDIS_URL")
            );
        }
        if url.scheme() == "redis"
            && let Some(unused) = settings.find("redis.ca_cert")?
        {
            return Err(unused.error(
                "a certificate authority is of no use with redis://: write rediss:// in REDIS_URL, or take it out",
            ));
        }
        let names = address::redis(&mut url).map_err(|why| found.error(&why))?;
        ignored.extend(found.ignoring(names));
        let mut address = url.clone();
        let cleared = address.set_password(None).and_then(|()| address.set_username(""));
        let address = cleared.map_or_else(|()| "redis".to_owned(), |()| address.to_string());
        let ca_cert = settings.certificate("redis.ca_cert")?;
        Ok(Some(Self { url: SecretString::from(url.to_string()), address, ca_cert }))
    }
}

fn redis_url(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok()?;
    let database = url.path().trim_start_matches('/');
    let fits = matches!(url.scheme(), "redis" | "rediss") && url.has_host();
    (fits && (database.is_empty() || database.parse::<u32>().is_ok())).then_some(url)
}

fn from_parts(settings: &Settings, url: &mut Url) -> Result<(), ConfigError> {
    let set = |found: Option<Found>, expected: &str, change: &mut dyn FnMut(&str) -> Option<()>| match found {
        Some(found) => found.parse(expected, change),
        None => Ok(()),
    };
    set(settings.find("redis.host")?, "a host name", &mut |text| url.set_host(Some(text)).ok())?;
    set(settings.find("redis.port")?, "a port, 1 to 65535", &mut |text| {
        url.set_port(Some(text.parse().ok().filter(|port| *port > 0)?)).ok()
    })?;
    set(settings.find("redis.password")?, "a password", &mut |text| url.set_password(Some(text)).ok())?;
    set(settings.find("redis.db")?, "the number of a database", &mut |text| {
        let number: u32 = text.parse().ok()?;
        url.set_path(&format!("/{number}"));
        Some(())
    })
}

#[cfg(test)]
mod tests {
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
    fn nodes_are_a_list_and_hold_no_credentials() {
        let url = "http://elastic:hunter%402@a:9200, http://elastic:hunter%402@b:9201";
        let elastic = config(&[("ELASTICSEARCH_URL", url)]).unwrap().elasticsearch;
        assert_eq!(elastic.urls.len(), 2);
        assert!(!format!("{:?}", elastic.urls).contains("hunter"));
        match elastic.auth {
            ElasticsearchAuth::Basic { username, password } => {
                assert_eq!((username.as_str(), password.expose_secret()), ("elastic", "hunter@2"));
            }
            other => panic!("{other:?}"),
        }
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
        named(&[("ELASTICSEARCH_CA_CERT", CERTIFICATE)], "ELASTICSEARCH_CA_CERT: ");
        let mixed = ("ELASTICSEARCH_URL", "https://a,http://b");
        named(&[("ELASTICSEARCH_CA_CERT", CERTIFICATE), mixed], "ELASTICSEARCH_CA_CERT: ");
        let encrypted = ("ELASTICSEARCH_URL", "https://a,https://b");
        assert!(config(&[("ELASTICSEARCH_CA_CERT", CERTIFICATE), encrypted]).is_ok());
        for url in ["http://:hunter2@a", "http://u:hunter2@a,http://u:p@b"] {
            named(&[("ELASTICSEARCH_URL", url)], "ELASTICSEARCH_URL ");
        }
    }

    #[test]
    fn there_is_one_way_to_authenticate() {
        let in_url = ("ELASTICSEARCH_URL", "http://u:p@a");
        assert!(config(&[in_url, ("ELASTICSEARCH_PASSWORD", "q")]).is_err());
        assert!(config(&[in_url, ("ELASTICSEARCH_USERNAME", "v"), ("ELASTICSEARCH_PASSWORD", "q")]).is_err());
        assert!(config(&[("ELASTICSEARCH_API_KEY", "k"), ("ELASTICSEARCH_PASSWORD", "q")]).is_err());
        assert!(config(&[("ELASTICSEARCH_USERNAME", "u")]).is_err());
        assert!(config(&[("ELASTICSEARCH_PASSWORD", "p")]).is_err());
        assert!(config(&[("ELASTICSEARCH_API_KEY", "k"), ("ELASTICSEARCH_USERNAME", "u")]).is_err());
        let key = config(&[("ELASTICSEARCH_API_KEY", "k")]).unwrap().elasticsearch.auth;
        assert!(matches!(key, ElasticsearchAuth::ApiKey(_)));
    }

    #[test]
    fn wrong_values_are_named() {
        for (name, value) in [
            ("ELASTICSEARCH_URL", "localhost:9200"),
            ("ELASTICSEARCH_URL", ","),
            ("ELASTICSEARCH_URL", "http://a:9200?api_key=hunter2"),
            ("ELASTICSEARCH_URL", "http://a:9200#hunter2"),
            ("ELASTICSEARCH_INDEX", "Transactions"),
            ("ELASTICSEARCH_GZIP", "maybe"),
            ("ELASTICSEARCH_CA_CERT", "/nowhere/ca.pem"),
        ] {
            let error = config(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name) && !error.contains("hunter2"), "{error}");
        }
    }
}
