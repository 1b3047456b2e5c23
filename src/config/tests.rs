use std::time::Duration;

use secrecy::ExposeSecret;

use super::file::File;
use super::settings::Settings;
use super::*;

fn config(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_variables(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn message(variables: &[(&str, &str)]) -> String {
    config(variables).unwrap_err().to_string()
}

fn with_properties(toml: &str) -> Result<Config, ConfigError> {
    let file = File::parse("millrace.toml", &format!("[kafka.properties]\n{toml}\n"))?;
    Config::read(&Settings::of_file(file))
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = config(&[]).unwrap();
    assert_eq!(config.kafka.bootstrap_servers, "localhost:9092");
    assert_eq!(config.kafka.client_id, "millrace");
    assert_eq!(config.kafka.session_timeout, Duration::from_secs(30));
    assert_eq!(config.kafka.heartbeat_interval, Duration::from_secs(3));
    assert_eq!(config.kafka.stuck, Some(Duration::from_secs(300)));
    assert_eq!(config.kafka.topic_replication, None);
    assert_eq!((config.batch.size, config.batch.timeout), (10, Duration::from_secs(5)));
    assert_eq!((config.retries.attempts, config.retries.delay), (3, Duration::from_secs(1)));
    assert_eq!((config.memory_budget, config.max_in_flight), (256 << 20, 4));
    assert_eq!((config.adaptive, config.max_rate), (None, None));
    assert_eq!(config.elasticsearch.urls[0].as_str(), "http://localhost:9200/");
    assert_eq!(config.elasticsearch.index, "transactions");
    assert_eq!(config.topic("transactions"), "transactions");
    assert_eq!(config.group("transactions"), "transaction_indexer");
    assert_eq!(config.topic("database"), "db-operations-buffer");
    assert_eq!(config.group("database"), "database-writer-group");
    assert_eq!((config.http.addr.to_string().as_str(), config.http.port), ("127.0.0.1", 8080));
    assert_eq!((config.log.level.as_str(), config.log.format), ("info", None));
    assert_eq!(config.systems, ["transactions"]);
    assert_eq!(config.tombstone_age, Duration::from_secs(90 * 24 * 3600));
}

#[test]
fn brokers_may_come_as_addresses() {
    let brokers = |text: &str| config(&[("KAFKA_BROKERS", text)]).map(|config| config.kafka.bootstrap_servers);
    assert_eq!(brokers("kafka://a:1, b:2").unwrap(), "a:1,b:2");
    assert_eq!(brokers("kafka://a:1/").unwrap(), "a:1");
    for wrong in ["kafka+ssl://a:1", "http://a:1", "kafka://"] {
        assert!(brokers(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn half_of_a_pair_is_refused() {
    assert!(message(&[("KAFKA_SASL_MECHANISM", "PLAIN")]).contains("KAFKA_USERNAME"));
    let why = message(&[("ALGOLIA_API_KEY", "hunter2")]);
    assert!(why.contains("ALGOLIA_APP_ID") && !why.contains("hunter2"), "{why}");
}

#[test]
fn security_follows_from_what_is_set() {
    let security = |variables: &[(&str, &str)]| config(variables).unwrap().kafka.security;
    assert_eq!(security(&[]).protocol, "PLAINTEXT");
    let user = [("KAFKA_USERNAME", "u"), ("KAFKA_PASSWORD", "hunter2")];
    let sasl = security(&user);
    assert_eq!(sasl.protocol, "SASL_SSL");
    assert_eq!(sasl.sasl.unwrap().mechanism, "PLAIN");
    let scram =
        [user[0], user[1], ("KAFKA_SECURITY_PROTOCOL", "sasl_plaintext"), ("KAFKA_SASL_MECHANISM", "scram-sha-512")];
    let kafka = config(&scram).unwrap().kafka;
    let client = kafka.client_config();
    assert_eq!(client.get("security.protocol"), Some("SASL_PLAINTEXT"));
    assert_eq!(client.get("sasl.mechanism"), Some("SCRAM-SHA-512"));
    assert_eq!(client.get("sasl.password"), Some("hunter2"));
    assert_eq!(kafka.security.sasl.as_ref().unwrap().password.expose_secret(), "hunter2");
    assert!(!format!("{kafka:?}").contains("hunter2"));
}

#[test]
fn half_of_a_login_is_an_error() {
    assert!(message(&[("KAFKA_USERNAME", "u")]).contains("KAFKA_PASSWORD"));
    assert!(message(&[("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")]).contains("KAFKA_USERNAME"));
    let plain = [("KAFKA_USERNAME", "u"), ("KAFKA_PASSWORD", "p"), ("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")];
    assert!(message(&plain).starts_with("KAFKA_USERNAME"));
}

#[test]
fn security_that_the_protocol_does_not_give_is_refused() {
    let authority = ("KAFKA_CA_CERT", "-----BEGIN CERTIFICATE-----");
    let login = [("KAFKA_USERNAME", "u"), ("KAFKA_PASSWORD", "hunter2")];
    let protocol = |name| ("KAFKA_SECURITY_PROTOCOL", name);
    assert!(message(&[authority, protocol("PLAINTEXT")]).starts_with("KAFKA_CA_CERT: "));
    assert!(message(&[authority, login[0], login[1], protocol("SASL_PLAINTEXT")]).starts_with("KAFKA_CA_CERT: "));
    assert!(message(&[login[1]]).starts_with("KAFKA_PASSWORD: "));
    for name in ["ssl.crl.location", "enable.ssl.certificate.verification", "sasl.kerberos.keytab"] {
        let error = with_properties(&format!("\"{name}\" = 'hunter2'")).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("use S") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn wrong_values_name_the_variable_and_what_was_expected() {
    assert_eq!(
        message(&[("CONSUMER_BATCH_SIZE", "ten")]),
        "CONSUMER_BATCH_SIZE is \"ten\": expected a number from 1 to 100000"
    );
    for (name, value) in [
        ("CONSUMER_BATCH_SIZE", "0"),
        ("CONSUMER_BATCH_TIMEOUT", "0"),
        ("CONSUMER_BATCH_BYTES", "3 parsecs"),
        ("CONSUMER_SESSION_TIMEOUT", "10"),
        ("CONSUMER_HEARTBEAT_INTERVAL", "30000"),
        ("MEMORY_BUDGET", "1MiB"),
        ("CONSUMER_MAX_IN_FLIGHT", "0"),
        ("CONSUMER_ADAPTIVE", "a bit"),
        ("CONSUMER_ADAPTIVE_MAX_BATCH_SIZE", "0"),
        ("CONSUMER_ADAPTIVE_MAX_IN_FLIGHT", "2000"),
        ("CONSUMER_MAX_RATE", "0"),
        ("MAX_RETRY_ATTEMPTS", "-1"),
        ("TOPIC_REPLICATION", "0"),
        ("KAFKA_SASL_MECHANISM", "GSSAPI"),
        ("KAFKA_TRANSACTIONS_TOPIC", "a b"),
        ("TOMBSTONE_DAYS", "0"),
        ("HTTP_ADDR", "somewhere"),
        ("HTTP_PORT", "65536"),
        ("LOG_LEVEL", "info,=,"),
        ("LOG_FORMAT", "xml"),
    ] {
        let text = message(&[(name, value)]);
        assert!(text.starts_with(&format!("{name} is {value:?}: expected ")), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
}

#[test]
fn a_batch_never_exceeds_its_share_of_the_budget() {
    let config = config(&[("MEMORY_BUDGET", "16MiB"), ("CONSUMER_BATCH_BYTES", "64MiB")]).unwrap();
    assert_eq!(config.batch.bytes, 4 << 20);
}

#[test]
fn tuning_never_has_less_room_than_where_it_begins() {
    let tuned = |variables: &[(&str, &str)]| {
        let config = config(&[&[("CONSUMER_ADAPTIVE", "on")], variables].concat()).unwrap();
        let adaptive = config.adaptive.unwrap();
        (adaptive.max_batch_size, adaptive.max_in_flight, config.connections())
    };
    assert_eq!(tuned(&[]), (5_000, 8, 9));
    assert_eq!(tuned(&[("CONSUMER_BATCH_SIZE", "6000"), ("CONSUMER_MAX_IN_FLIGHT", "10")]), (6_000, 10, 11));
    assert_eq!(tuned(&[("CONSUMER_ADAPTIVE_MAX_IN_FLIGHT", "6")]).1, 6);
}

#[test]
fn properties_pass_through_save_those_that_could_lose_data() {
    let kafka = with_properties("\"fetch.wait.max.ms\" = 50\nsocket.keepalive.enable = true").unwrap().kafka;
    assert_eq!(kafka.client_config().get("fetch.wait.max.ms"), Some("50"));
    assert_eq!(kafka.client_config().get("socket.keepalive.enable"), Some("true"));
    assert_eq!(kafka.client_config().get("socket.nagle.disable"), Some("true"));
    let held_back = with_properties("\"socket.nagle.disable\" = false").unwrap().kafka;
    assert_eq!(held_back.client_config().get("socket.nagle.disable"), Some("false"));
    for name in ["enable.auto.commit", "auto.offset.reset", "group.id", "acks", "bootstrap.servers", "topic.blacklist"]
    {
        let error = with_properties(&format!("\"{name}\" = 'x'")).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`kafka.properties.{name}` in millrace.toml cannot be set: ")), "{error}");
    }
}

#[test]
fn properties_that_librdkafka_does_not_know_are_errors() {
    let error = with_properties("\"fetch.wait.maxx.ms\" = 50").unwrap_err().to_string();
    assert!(error.contains("kafka.properties.fetch.wait.maxx.ms"), "{error}");
    let error = with_properties("\"socket.nagle.disable\" = 'hunter2'").unwrap_err().to_string();
    assert!(error.contains("nagle") && !error.contains("hunter2"), "{error}");
}
