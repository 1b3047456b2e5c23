//! A certificate by which a server knows its client, and the key to it.

use secrecy::SecretString;

use super::settings::Settings;
use super::{ConfigError, values};

/// Certificate and key, as PEM text.
#[derive(Clone, Debug)]
pub struct ClientCert {
    /// With its chain.
    pub cert: String,
    pub key: SecretString,
    /// `None`: the key has none.
    pub key_password: Option<SecretString>,
}

impl ClientCert {
    /// Reads what is set for a service; `None` where nothing is.
    pub(super) fn read(settings: &Settings, service: &str) -> Result<Option<Self>, ConfigError> {
        let (cert_key, key_key) = (format!("{service}.client_cert"), format!("{service}.client_key"));
        let names = service.to_ascii_uppercase();
        let (cert, key) = (settings.certificate(&cert_key)?, settings.find(&key_key)?);
        let (cert, key) = match (cert, key) {
            (None, None) => return Ok(None),
            (Some(cert), Some(key)) => (cert, key),
            (Some(_), None) => {
                let what = format!("{names}_CLIENT_CERT is set, and no key: set {names}_CLIENT_KEY");
                return Err(ConfigError::new(what));
            }
            (None, Some(_)) => {
                let what = format!("{names}_CLIENT_KEY is set, and no certificate: set {names}_CLIENT_CERT");
                return Err(ConfigError::new(what));
            }
        };
        // Never quoted: it is a key, or the path of one.
        let expected = "a private key in PEM form, or the path of one that can be read";
        let key = key.parse(expected, |text| values::pem(text).ok().filter(|pem| pem.contains("PRIVATE KEY")))?;
        let key_password = match service {
            "kafka" => settings.secret("kafka.client_key_password")?,
            _ => None,
        };
        Ok(Some(Self { cert, key: SecretString::from(key), key_password }))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::super::Config;

    const CERT: &str = "-----BEGIN CERTIFICATE-----\\nabc\\n-----END CERTIFICATE-----";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\\nhunter2\\n-----END PRIVATE KEY-----";

    fn config(variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_variables(variables).map_err(|error| error.to_string())
    }

    #[test]
    fn certificate_and_key_go_together() {
        let https = ("ELASTICSEARCH_URL", "https://a");
        let (cert, key) = (("ELASTICSEARCH_CLIENT_CERT", CERT), ("ELASTICSEARCH_CLIENT_KEY", KEY));
        let both = config(&[https, cert, key]).unwrap().elasticsearch.client_cert.unwrap();
        assert!(both.key.expose_secret().contains("\nhunter2\n") && both.cert.contains("\nabc\n"));
        assert!(config(&[https]).unwrap().elasticsearch.client_cert.is_none());
        for (variables, says) in [
            (&[https, cert][..], "set ELASTICSEARCH_CLIENT_KEY"),
            (&[https, key], "set ELASTICSEARCH_CLIENT_CERT"),
            (&[cert, key], "of no use with http://"),
            (&[https, cert, ("ELASTICSEARCH_CLIENT_KEY", "/hunter2")], "(not shown)"),
            (&[https, cert, ("ELASTICSEARCH_CLIENT_KEY", CERT)], "(not shown)"),
            (&[("KAFKA_CLIENT_CERT", CERT)], "set KAFKA_CLIENT_KEY"),
            (
                &[("KAFKA_CLIENT_CERT", CERT), ("KAFKA_CLIENT_KEY", KEY), ("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")],
                "KAFKA_CLIENT_CERT",
            ),
        ] {
            let why = config(variables).unwrap_err();
            assert!(why.contains(says) && !why.contains("hunter2"), "{variables:?}: {why}");
        }
    }

    #[test]
    fn tokens_need_an_endpoint_and_an_endpoint_tokens() {
        let login = [("KAFKA_USERNAME", "id"), ("KAFKA_PASSWORD", "hunter2")];
        let mechanism = ("KAFKA_SASL_MECHANISM", "oauthbearer");
        let url = ("KAFKA_OAUTH_TOKEN_URL", "https://a/token");
        for (variables, says) in [
            ([&login[..], &[mechanism]].concat(), "KAFKA_OAUTH_TOKEN_URL must be set"),
            ([&login[..], &[url]].concat(), "KAFKA_SASL_MECHANISM=OAUTHBEARER"),
            ([&login[..], &[mechanism, ("KAFKA_OAUTH_TOKEN_URL", "https://u:hunter2@a")]].concat(), "(not shown)"),
            ([&login[..], &[mechanism, ("KAFKA_OAUTH_TOKEN_URL", "a/token")]].concat(), "a token endpoint"),
        ] {
            let why = config(&variables).unwrap_err();
            assert!(why.contains(says) && !why.contains("hunter2"), "{variables:?}: {why}");
        }
        let kafka = config(&[&login[..], &[mechanism, url]].concat());
        if !cfg!(feature = "oidc") {
            assert!(kafka.unwrap_err().contains("--features oidc"));
            return;
        }
        let kafka = kafka.unwrap().kafka;
        assert_eq!(kafka.security.protocol, "SASL_SSL");
        let client = kafka.client_config();
        assert_eq!(client.get("sasl.oauthbearer.client.id"), Some("id"));
        assert_eq!(client.get("sasl.oauthbearer.token.endpoint.url"), Some("https://a/token"));
        assert_eq!(client.get("sasl.username"), None);
    }
}
