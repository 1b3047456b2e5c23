//! How connections to the brokers are secured, and who we are to them.
//!
//! It guarantees that nothing which is set for security goes unused without a word.

use rdkafka::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::ConfigError;
use super::client_cert::ClientCert;
use super::found::FoundSetting;
use super::settings::Settings;

/// How connections to the brokers are secured.
#[derive(Clone, Debug)]
pub struct Security {
    /// librdkafka's name of it.
    pub protocol: &'static str,
    pub sasl: Option<Sasl>,
    /// PEM text.
    pub ca_cert: Option<String>,
    pub client_cert: Option<ClientCert>,
}

/// Who we are to the brokers.
#[derive(Clone, Debug)]
pub struct Sasl {
    pub mechanism: &'static str,
    /// With OAUTHBEARER the client id.
    pub username: String,
    /// With OAUTHBEARER the client secret.
    pub password: SecretString,
    /// Of OAUTHBEARER alone.
    pub oauth: Option<Oauth>,
}

/// Where tokens come from, which librdkafka asks for and renews.
#[derive(Clone, Debug)]
pub struct Oauth {
    pub token_url: String,
    pub scope: Option<String>,
    /// `name=value`, separated by commas, as some brokers want them.
    pub extensions: Option<String>,
}

const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
/// What a protocol may have no use for.
const OF_SECURITY: [&str; 10] = [
    "kafka.username",
    "kafka.password",
    "kafka.sasl_mechanism",
    "kafka.oauth_token_url",
    "kafka.oauth_scope",
    "kafka.oauth_extensions",
    "kafka.ca_cert",
    "kafka.client_cert",
    "kafka.client_key",
    "kafka.client_key_password",
];
/// Of them, what TLS has a use for.
const OF_TLS: [&str; 4] = ["kafka.ca_cert", "kafka.client_cert", "kafka.client_key", "kafka.client_key_password"];
const OF_OAUTH: [&str; 3] = ["kafka.oauth_token_url", "kafka.oauth_scope", "kafka.oauth_extensions"];
const OAUTHBEARER: &str = "OAUTHBEARER";
const MECHANISMS: [&str; 4] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", OAUTHBEARER];

impl Security {
    /// Sets librdkafka's properties.
    pub(super) fn apply(&self, config: &mut ClientConfig) {
        config.set("security.protocol", self.protocol);
        if let Some(sasl) = &self.sasl {
            config.set("sasl.mechanism", sasl.mechanism);
            match &sasl.oauth {
                None => {
                    config.set("sasl.username", &sasl.username);
                    config.set("sasl.password", sasl.password.expose_secret());
                }
                Some(oauth) => {
                    config.set("sasl.oauthbearer.method", "oidc");
                    config.set("sasl.oauthbearer.client.id", &sasl.username);
                    config.set("sasl.oauthbearer.client.secret", sasl.password.expose_secret());
                    config.set("sasl.oauthbearer.token.endpoint.url", &oauth.token_url);
                    let more = [("scope", &oauth.scope), ("extensions", &oauth.extensions)];
                    for (name, value) in more {
                        if let Some(value) = value {
                            config.set(format!("sasl.oauthbearer.{name}"), value);
                        }
                    }
                }
            }
        }
        if let Some(pem) = &self.ca_cert {
            config.set("ssl.ca.pem", pem);
        }
        if let Some(client) = &self.client_cert {
            config.set("ssl.certificate.pem", &client.cert);
            config.set("ssl.key.pem", client.key.expose_secret());
            if let Some(password) = &client.key_password {
                config.set("ssl.key.password", password.expose_secret());
            }
        }
    }

    pub(super) fn read(settings: &Settings, unheard: &mut Vec<String>) -> Result<Self, ConfigError> {
        let said = settings.find("kafka.security_protocol")?;
        let used = |key| Self::find_used(settings, said.as_ref(), key);
        let (username, authority) = (used("kafka.username")?, used("kafka.ca_cert")?);
        let ca_cert = if authority.is_some() { settings.certificate("kafka.ca_cert")? } else { None };
        let named = used("kafka.client_cert")?.is_some() || used("kafka.client_key")?.is_some();
        let client_cert = if named { ClientCert::read(settings, "kafka")? } else { None };
        let protocol = match &said {
            Some(found) => {
                found.parse("PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", |text| one_of(&PROTOCOLS, text))?
            }
            None if username.is_some() => "SASL_SSL",
            None if ca_cert.is_some() || client_cert.is_some() => "SSL",
            None => "PLAINTEXT",
        };
        let mechanism = settings.require("kafka.sasl_mechanism")?;
        let mechanism =
            mechanism.parse("PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER", |text| one_of(&MECHANISMS, text))?;
        let sasl = match (username, protocol.starts_with("SASL")) {
            (None, false) => None,
            (None, true) => {
                let what =
                    format!("KAFKA_SECURITY_PROTOCOL is {protocol}, so KAFKA_USERNAME and KAFKA_PASSWORD must be set");
                return Err(ConfigError::new(what));
            }
            (Some(found), false) => {
                let what = format!("a user name is of no use with KAFKA_SECURITY_PROTOCOL {protocol}: use SASL_SSL");
                return Err(found.error(&what));
            }
            (Some(found), true) => {
                let missing = || found.error("a user name needs a password: set KAFKA_PASSWORD");
                let password = settings.secret("kafka.password")?.ok_or_else(missing)?;
                let oauth = (mechanism == OAUTHBEARER).then(|| Oauth::read(settings)).transpose()?;
                Some(Sasl { mechanism, username: found.text, password, oauth })
            }
        };
        let security = Self { protocol, sasl, ca_cert, client_cert };
        security.check(settings, said.as_ref())?;
        if let Some(said) = &said {
            for key in OF_SECURITY {
                unheard.extend(
                    settings
                        .find_given(key)?
                        .filter(|found| hides(found, Some(said), key))
                        .map(|found| found.not_read(said)),
                );
            }
        }
        Ok(security)
    }

    /// What is set, unless a protocol that has no use for it is said in a place that goes first.
    fn find_used(
        settings: &Settings,
        said: Option<&FoundSetting>,
        key: &str,
    ) -> Result<Option<FoundSetting>, ConfigError> {
        Ok(settings.find_given(key)?.filter(|found| !hides(found, said, key)))
    }

    /// Refuses what asks for security that the protocol does not give.
    fn check(&self, settings: &Settings, said: Option<&FoundSetting>) -> Result<(), ConfigError> {
        let used = |key| Self::find_used(settings, said, key);
        let protocol = self.protocol;
        let encrypted = protocol.ends_with("SSL");
        let unused = |what: &str, instead: &str| {
            format!("{what} is of no use with KAFKA_SECURITY_PROTOCOL {protocol}: use {instead}, or take it out")
        };
        for key in OF_TLS.into_iter().filter(|_| !encrypted) {
            if let Some(found) = used(key)? {
                return Err(found.error(&unused("a certificate or its key", "SSL or SASL_SSL")));
            }
        }
        let without_tokens = self.sasl.as_ref().is_none_or(|sasl| sasl.oauth.is_none());
        for key in OF_OAUTH.into_iter().filter(|_| without_tokens) {
            if let Some(found) = used(key)? {
                return Err(
                    found.error("it is of no use without KAFKA_SASL_MECHANISM=OAUTHBEARER: set that, or take it out")
                );
            }
        }
        if self.sasl.is_none()
            && let Some(found) = used("kafka.password")?
        {
            return Err(found.error("a password is of no use without a user name: set KAFKA_USERNAME, or take it out"));
        }
        if self.sasl.is_none()
            && let Some(found) = used("kafka.sasl_mechanism")?
        {
            return Err(found.error("a mechanism is of no use without a user name: set KAFKA_USERNAME, or take it out"));
        }
        let (file, properties) = settings.properties();
        let useless = |name: &str| {
            (!encrypted && (name.starts_with("ssl.") || name == "enable.ssl.certificate.verification"))
                || (self.sasl.is_none() && name.starts_with("sasl."))
        };
        match properties.keys().find(|name| useless(name)) {
            Some(name) => {
                let why = unused("it", if name.starts_with("sasl.") { "SASL_SSL" } else { "SSL or SASL_SSL" });
                Err(ConfigError::new(format!("`kafka.properties.{name}` in {file}: {why}")))
            }
            None => Ok(()),
        }
    }
}

impl Oauth {
    fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let missing = || {
            let what = "KAFKA_SASL_MECHANISM is OAUTHBEARER, so KAFKA_OAUTH_TOKEN_URL must be set, with the client's id in \
                 KAFKA_USERNAME and its secret in KAFKA_PASSWORD";
            ConfigError::new(what.to_owned())
        };
        let url = settings.find("kafka.oauth_token_url")?.ok_or_else(missing)?;
        let text = |key| Ok(settings.find(key)?.map(|found| found.text));
        Ok(Self {
            // Messages may show the address.
            token_url: url.parse(
                "the URL of a token endpoint, http:// or https://, without a login in it",
                |text| {
                    let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
                    (url.username().is_empty() && url.password().is_none()).then(|| url.to_string())
                },
            )?,
            scope: text("kafka.oauth_scope")?,
            extensions: text("kafka.oauth_extensions")?,
        })
    }
}

/// Whether a protocol that has no use for a setting is said in a place that goes before the setting's.
fn hides(found: &FoundSetting, said: Option<&FoundSetting>, key: &str) -> bool {
    let Some((protocol, said)) = said.and_then(|said| Some((one_of(&PROTOCOLS, &said.text)?, said))) else {
        return false;
    };
    let has_use = if OF_TLS.contains(&key) { protocol.ends_with("SSL") } else { protocol.starts_with("SASL") };
    !has_use && found.is_below(said)
}

fn one_of<const N: usize>(names: &[&'static str; N], text: &str) -> Option<&'static str> {
    let text = text.trim().replace('_', "-");
    names.iter().copied().find(|name| name.replace('_', "-").eq_ignore_ascii_case(&text))
}
