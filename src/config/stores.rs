//! Settings of Elasticsearch.
//!
//! It guarantees that an address which is kept for messages holds no credentials.

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::client_cert::ClientCert;
use super::found::FoundSetting;
use super::settings::Settings;
use super::{ConfigError, values};

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
    pub client_cert: Option<ClientCert>,
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
    /// Settings that nobody reads are added to `unheard`.
    pub(super) fn read(settings: &Settings, unheard: &mut Vec<String>) -> Result<Self, ConfigError> {
        let nodes = settings.require("elasticsearch.url")?;
        let expected = "a list of URLs such as http://localhost:9200, with the same user in each, without parameters";
        let (urls, in_url) = nodes.parse(expected, node_list)?;
        let plain = urls.iter().any(|url| url.scheme() == "http");
        let ca_cert = match settings.find("elasticsearch.ca_cert")? {
            // It was for other nodes.
            Some(unused) if plain && unused.is_below(&nodes) => {
                unheard.push(unused.not_read(&nodes));
                None
            }
            Some(unused) if plain => {
                return Err(unused.error(
                    "a certificate authority is of no use with http://: write https:// for each node of \
                     ELASTICSEARCH_URL, or take it out",
                ));
            }
            _ => settings.certificate("elasticsearch.ca_cert")?,
        };
        let client_cert = match settings.find("elasticsearch.client_cert")? {
            Some(unused) if plain && unused.is_below(&nodes) => {
                unheard.push(unused.not_read(&nodes));
                None
            }
            Some(unused) if plain => {
                return Err(
                    unused.error("a client's certificate is of no use with http://: write https://, or take it out")
                );
            }
            _ => ClientCert::read(settings, "elasticsearch")?,
        };
        let index = settings.require("elasticsearch.index")?;
        let index = index.parse("the name of an alias: lower case, without spaces, commas or wildcards", alias)?;
        Ok(Self {
            urls,
            index,
            auth: authentication(settings, &nodes, in_url, unheard)?,
            ca_cert,
            client_cert,
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
            let (user, password) = (decode(url.username())?, decode(url.password().unwrap_or_default())?);
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

fn decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
}

fn alias(text: &str) -> Option<String> {
    let wrong = |c: char| c.is_uppercase() || c.is_whitespace() || "\\/*?\"<>|,#:".contains(c);
    let fits = !text.is_empty() && !text.starts_with(['-', '_', '+']) && !text.contains(wrong) && text.len() <= 255;
    fits.then(|| text.to_owned())
}

/// Of several ways to authenticate the one counts, as a whole, that is given in the place that goes first.
fn authentication(
    settings: &Settings,
    nodes: &FoundSetting,
    mut in_url: Option<Login>,
    unheard: &mut Vec<String>,
) -> Result<ElasticsearchAuth, ConfigError> {
    let mut user = settings.find("elasticsearch.username")?;
    let mut password = settings.find("elasticsearch.password")?;
    let mut key = settings.find("elasticsearch.api_key")?;
    let basic = FoundSetting::pick_first([user.as_ref(), password.as_ref()]).cloned();
    let first = FoundSetting::pick_first([basic.as_ref(), key.as_ref(), in_url.as_ref().map(|_| nodes)]).cloned();
    if let Some(first) = first {
        if basic.is_some_and(|basic| basic.is_below(&first)) {
            unheard.extend(user.take().into_iter().chain(password.take()).map(|found| found.not_read(&first)));
        }
        unheard.extend(key.take_if(|key| key.is_below(&first)).map(|key| key.not_read(&first)));
        if nodes.is_below(&first) && in_url.take().is_some() {
            unheard.push(format!("the login in {} is not read, because {} is set", nodes.origin, first.origin));
        }
    }
    let secret = |found: FoundSetting| SecretString::from(found.text);
    let (password, key) = (password.map(secret), key.map(secret));
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

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\\nabc\\n-----END CERTIFICATE-----";

    fn config(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_variables(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
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
