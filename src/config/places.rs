//! Tests: a thing that can be said in several ways is taken as a whole from the place that goes first.

use secrecy::ExposeSecret;

use super::file::File;
use super::settings::Settings;
use super::{Config, ConfigError, ElasticsearchAuth};

type Variables<'a> = &'a [(&'a str, &'a str)];

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\\nabc\\n-----END CERTIFICATE-----";

fn config(environment: Variables<'_>, dot_env: Variables<'_>, file: &str) -> Result<Config, ConfigError> {
    Config::read(&Settings::of_places(environment, dot_env, File::parse("m.toml", file)?))
}

fn redis(environment: Variables<'_>, dot_env: Variables<'_>, file: &str) -> String {
    let redis = config(environment, dot_env, file).unwrap().redis;
    redis.map_or_else(|| "off".to_owned(), |redis| redis.url.expose_secret().to_owned())
}

#[test]
fn an_address_is_a_whole_one() {
    let url = "[redis]\nurl = 'redis://:secret@f:1/9'\n";
    assert_eq!(redis(&[], &[], url), "redis://:secret@f:1/9");
    assert_eq!(redis(&[("REDIS_HOST", "e")], &[], url), "redis://e:6379/0");
    assert_eq!(redis(&[], &[("REDIS_HOST", "d")], url), "redis://d:6379/0");
    let all = [("REDIS_HOST", "e"), ("REDIS_PORT", "2"), ("REDIS_DB", "3"), ("REDIS_PASSWORD", "p")];
    assert_eq!(redis(&all, &[], url), "redis://:p@e:2/3");
    assert_eq!(redis(&[("REDIS_HOST", "e")], &[("REDIS_DB", "3")], url), "redis://e:6379/3");
    assert_eq!(redis(&[("REDIS_HOST", "e")], &[("REDIS_URL", "redis://d")], url), "redis://e:6379/0");
    assert_eq!(redis(&[("REDIS_URL", "redis://e")], &[("REDIS_HOST", "d")], url), "redis://e");
    assert_eq!(redis(&[("REDIS_URL", "none")], &[("REDIS_HOST", "d")], url), "off");
    assert_eq!(redis(&[("REDIS_HOST", "e")], &[("REDIS_URL", "none")], ""), "redis://e:6379/0");
    // Parts of one place and of the next are one address, while nobody gives a whole one.
    let parts = "[redis]\nhost = 'f'\nport = 5\n";
    assert_eq!(redis(&[("REDIS_PASSWORD", "p")], &[], parts), "redis://:p@f:5/0");
    assert_eq!(redis(&[("REDIS_HOST", "e")], &[], parts), "redis://e:5/0");
    assert_eq!(redis(&[("REDIS_URL", "redis://e:1")], &[], parts), "redis://e:1");
}

#[test]
fn what_a_whole_address_hides_is_named() {
    let unheard =
        |environment: Variables<'_>, dot_env: Variables<'_>, file| config(environment, dot_env, file).unwrap().unheard;
    let url = "[redis]\nurl = 'redis://f'\ndb = 3\n";
    let host = unheard(&[("REDIS_HOST", "e")], &[], url);
    assert!(host.iter().any(|what| what == "`redis.url` in m.toml is not read, because REDIS_HOST is set"), "{host:?}");
    assert!(host.iter().any(|what| what.starts_with("`redis.db` in m.toml is not read")), "{host:?}");
    let whole = unheard(&[("REDIS_URL", "redis://e")], &[("REDIS_PASSWORD", "p")], "");
    assert_eq!(whole, ["REDIS_PASSWORD in .env is not read, because REDIS_URL is set"]);
}

#[test]
fn a_part_that_would_change_a_whole_address_is_refused() {
    for (name, value) in [("REDIS_PORT", "1"), ("REDIS_DB", "2"), ("REDIS_PASSWORD", "hunter2")] {
        let error = config(&[(name, value)], &[], "[redis]\nurl = 'redis://f'\n").unwrap_err().to_string();
        assert!(error.starts_with(name) && error.contains("`redis.url` in m.toml"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn an_authority_of_another_address_is_not_asked_for() {
    let file = format!(
        "[redis]\nurl = 'rediss://f'\nca_cert = '{CERTIFICATE}'\n[elasticsearch]\nurl = 'https://f'\nca_cert = '{CERTIFICATE}'\n"
    );
    let here = [("REDIS_URL", "redis://localhost"), ("ELASTICSEARCH_URL", "http://localhost:9200")];
    let config = config(&here, &[], &file).unwrap();
    assert!(config.redis.unwrap().ca_cert.is_none() && config.elasticsearch.ca_cert.is_none());
    assert_eq!(config.unheard.len(), 2, "{:?}", config.unheard);
}

#[test]
fn one_way_to_authenticate_hides_those_of_places_below() {
    let auth = |environment: Variables<'_>, dot_env: Variables<'_>, file| {
        let config = config(environment, dot_env, file).unwrap();
        let auth = match config.elasticsearch.auth {
            ElasticsearchAuth::None => "none".to_owned(),
            ElasticsearchAuth::Basic { username, password } => format!("{username}:{}", password.expose_secret()),
            ElasticsearchAuth::ApiKey(key) => key.expose_secret().to_owned(),
        };
        (auth, config.unheard.len())
    };
    let basic = "[elasticsearch]\nusername = 'f'\npassword = 'p'\n";
    let key = [("ELASTICSEARCH_API_KEY", "key")];
    let url = [("ELASTICSEARCH_URL", "http://u:q@h:9200")];
    assert_eq!(auth(&[], &[], basic), ("f:p".to_owned(), 0));
    assert_eq!(auth(&key, &[], basic), ("key".to_owned(), 2));
    assert_eq!(auth(&url, &[], basic), ("u:q".to_owned(), 2));
    assert_eq!(auth(&url, &key, ""), ("u:q".to_owned(), 1));
    assert_eq!(auth(&key, &url, ""), ("key".to_owned(), 1));
    // Two halves of one way are one.
    assert_eq!(auth(&[("ELASTICSEARCH_PASSWORD", "e")], &key, basic), ("f:e".to_owned(), 1));
    assert!(config(&[key[0], url[0]], &[], "").is_err(), "in one place neither goes first");
}

#[test]
fn a_protocol_hides_what_it_has_no_use_for_in_places_below() {
    let file = "[kafka]\nusername = 'u'\npassword = 'p'\nsasl_mechanism = 'PLAIN'\n";
    assert_eq!(config(&[], &[], file).unwrap().kafka.security.protocol, "SASL_SSL");
    let plain = config(&[("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")], &[], file).unwrap();
    assert!(plain.kafka.security.sasl.is_none());
    assert_eq!(plain.unheard.len(), 3, "{:?}", plain.unheard);
    let both = format!("{file}security_protocol = 'PLAINTEXT'\n");
    assert!(config(&[], &[], &both).is_err(), "in one place it is a contradiction");
    assert!(config(&[("KAFKA_USERNAME", "e")], &[], "[kafka]\nsecurity_protocol = 'PLAINTEXT'\n").is_err());
}
