//! Settings of the Kafka clients, and what users may not change about them.
//!
//! It guarantees that every client of the program is made from [`Kafka::client_config`], and that no property which
//! would break a rule against losing data comes through.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::security::Security;
use super::settings::Settings;
use super::{ConfigError, values};

/// How to reach the brokers.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// Separated by commas.
    pub bootstrap_servers: String,
    pub client_id: String,
    pub session_timeout: Duration,
    pub heartbeat_interval: Duration,
    /// After this long a partition that is not fetched while others are is assigned anew; `None`: never.
    pub stuck: Option<Duration>,
    pub security: Security,
    /// Where losses are written down.
    pub state_topic: String,
    /// Replication factor of the topics that are created; `None` leaves it to the cluster.
    pub topic_replication: Option<u16>,
    /// librdkafka's own properties, from the file.
    pub properties: Properties,
}

/// librdkafka's own properties. Their values may be secrets, so only the names are ever printed.
#[derive(Clone, Default)]
pub struct Properties(pub BTreeMap<String, String>);

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What users may not set, and why.
#[rustfmt::skip]
const REFUSED: &[(&str, &[&str])] = &[
    ("it has a variable of its own, KAFKA_BOOTSTRAP_SERVERS", &["bootstrap.servers", "metadata.broker.list"]),
    ("it has a variable of its own, KAFKA_CLIENT_ID", &["client.id"]),
    ("it has a variable of its own, CONSUMER_SESSION_TIMEOUT", &["session.timeout.ms"]),
    ("it has a variable of its own, CONSUMER_HEARTBEAT_INTERVAL", &["heartbeat.interval.ms"]),
    ("it has a variable of its own, KAFKA_SECURITY_PROTOCOL", &["security.protocol"]),
    ("it has a variable of its own, KAFKA_SASL_MECHANISM", &["sasl.mechanism", "sasl.mechanisms"]),
    ("it has a variable of its own, KAFKA_USERNAME", &["sasl.username"]),
    ("it has a variable of its own, KAFKA_PASSWORD", &["sasl.password"]),
    ("it has a variable of its own, KAFKA_CA_CERT", &["ssl.ca.pem", "ssl.ca.location"]),
    ("it has a variable of its own, KAFKA_CLIENT_CERT", &["ssl.certificate.pem", "ssl.certificate.location"]),
    ("it has a variable of its own, KAFKA_CLIENT_KEY", &["ssl.key.pem", "ssl.key.location"]),
    ("it has a variable of its own, KAFKA_CLIENT_KEY_PASSWORD", &["ssl.key.password"]),
    ("it has a variable of its own, KAFKA_OAUTH_TOKEN_URL", &["sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.method"]),
    ("it has a variable of its own, KAFKA_USERNAME", &["sasl.oauthbearer.client.id"]),
    ("it has a variable of its own, KAFKA_PASSWORD", &["sasl.oauthbearer.client.secret"]),
    ("it has a variable of its own, KAFKA_OAUTH_SCOPE", &["sasl.oauthbearer.scope"]),
    ("it has a variable of its own, KAFKA_OAUTH_EXTENSIONS", &["sasl.oauthbearer.extensions"]),
    ("each system has its own group", &["group.id"]),
    ("an offset is committed only when everything below it is finished", &[
        "enable.auto.commit", "auto.commit.enable", "enable.auto.offset.store", "auto.commit.interval.ms",
        "offset.store.method", "offset.store.path", "offset.store.sync.interval.ms",
    ]),
    ("a new group starts at the earliest record, or it would skip some", &["auto.offset.reset"]),
    ("records of aborted transactions must not be indexed", &["isolation.level"]),
    ("the end of a partition is how --once and readiness are judged", &["enable.partition.eof"]),
    ("lag and progress are measured with it", &["statistics.interval.ms"]),
    ("MEMORY_BUDGET decides what is fetched", &[
        "queued.max.messages.kbytes", "queued.min.messages", "fetch.max.bytes", "fetch.message.max.bytes",
        "max.partition.fetch.bytes",
    ]),
    ("a dead letter must have room for the largest record", &["message.max.bytes"]),
    ("a dead letter counts when every replica has it, once", &[
        "acks", "request.required.acks", "enable.idempotence", "delivery.report.only.error", "transactional.id",
    ]),
    ("the order of the records of a document depends on it", &["partitioner", "queuing.strategy"]),
    ("rebalances are handled for the classic group protocol", &["group.protocol", "group.remote.assignor"]),
    ("a missing source topic is waited for, not made up", &["allow.auto.create.topics"]),
    ("a hidden topic is never read", &["topic.blacklist"]),
    ("it replaces the brokers by a toy in memory", &["test.mock.num.brokers", "test.mock.broker.rtt"]),
    ("plugins can change and drop records", &["plugin.library.paths"]),
];

/// How large a batch may be, compressed and after decompression.
const RECEIVE: &str = "receive.message.max.bytes";

impl Kafka {
    /// What to check when the brokers cannot be reached, from librdkafka's account of why: the variables that matter.
    pub fn advice(&self, why: &str) -> &'static str {
        let why = why.to_ascii_lowercase();
        if why.contains("oauthbearer") {
            "check KAFKA_OAUTH_TOKEN_URL, KAFKA_USERNAME (the client's id) and KAFKA_PASSWORD (its secret)"
        } else if why.contains("authentication") {
            "check KAFKA_USERNAME and KAFKA_PASSWORD"
        } else if why.contains("certificate required") || why.contains("bad certificate") {
            "the brokers want a client's certificate: set KAFKA_CLIENT_CERT and KAFKA_CLIENT_KEY to one that they trust"
        } else if !why.contains("certificate") {
            "is KAFKA_BOOTSTRAP_SERVERS right?"
        } else if self.security.ca_cert.is_some() {
            "KAFKA_CA_CERT is not the authority that signed the certificate of the brokers"
        } else {
            "KAFKA_CA_CERT is not set: set it to the authority that signed the certificate of the brokers"
        }
    }

    /// Settings that nobody reads are added to `unheard`.
    pub(super) fn read(settings: &Settings, unheard: &mut Vec<String>) -> Result<Self, ConfigError> {
        let servers = settings.require("kafka.bootstrap_servers")?;
        let bootstrap_servers = servers.parse("a list of host:port, without a scheme or with kafka://", |text| {
            let list = values::list(text);
            let hosts: Option<Vec<&str>> = list.iter().map(|server| host(server)).collect();
            hosts.filter(|hosts| !hosts.is_empty()).map(|hosts| hosts.join(","))
        })?;
        let session = settings.require("kafka.session_timeout_ms")?;
        let session_timeout = session.parse("milliseconds, 1000 to 3600000", |text| {
            values::millis(text).filter(|time| (1_000..=3_600_000).contains(&time.as_millis()))
        })?;
        let heartbeat_interval = settings.require("kafka.heartbeat_interval_ms")?.parse(
            &format!("milliseconds, at least 1 and less than the session timeout of {}", session_timeout.as_millis()),
            |text| values::millis(text).filter(|time| !time.is_zero() && *time < session_timeout),
        )?;
        let replication = settings.find("kafka.topic_replication")?;
        let expected = "the number of copies, 1 to 32767";
        let copies = |text: &str| text.trim().parse::<u16>().ok().filter(|n| (1..=32767).contains(n));
        let stuck = settings
            .require("kafka.stuck_seconds")?
            .parse("seconds, 0 to 86400", |text| values::seconds(text).filter(|time| time.as_secs() <= 86_400))?;
        let kafka = Self {
            bootstrap_servers,
            client_id: settings.require("kafka.client_id")?.text,
            session_timeout,
            heartbeat_interval,
            stuck: Some(stuck).filter(|time| !time.is_zero()),
            security: Security::read(settings, unheard)?,
            state_topic: settings.require("kafka.state_topic")?.text,
            topic_replication: replication.map(|found| found.parse(expected, copies)).transpose()?,
            properties: properties(settings)?,
        };
        kafka.check(settings)?;
        Ok(kafka)
    }

    /// What every client needs: brokers, client id, security, and the properties passed through.
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        // Else the end of a request may wait until the broker has acknowledged its beginning: up to 40 ms.
        config.set("socket.nagle.disable", "true");
        for (name, value) in &self.properties.0 {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.bootstrap_servers);
        config.set("client.id", &self.client_id);
        self.security.apply(&mut config);
        config
    }

    // librdkafka knows its properties best: what it will not take is said now, not when the client starts.
    fn check(&self, settings: &Settings) -> Result<(), ConfigError> {
        let error = match self.client_config().create_native_config() {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let (file, _) = settings.properties();
        match error {
            KafkaError::ClientConfig(_, _, name, _) if self.properties.0.contains_key(&name) => {
                Err(ConfigError::new(format!(
                    "`kafka.properties.{name}` in {file}: librdkafka does not know the name, or does not take the value"
                )))
            }
            KafkaError::ClientConfig(_, _, name, _)
                if name.starts_with("sasl.oauthbearer.") && !cfg!(feature = "oidc") =>
            {
                let what = "KAFKA_SASL_MECHANISM is OAUTHBEARER, which this program was built without: build it with --features oidc";
                Err(ConfigError::new(what.to_owned()))
            }
            KafkaError::ClientConfig(_, why, name, _) => {
                Err(ConfigError::new(format!("the Kafka settings are not accepted: {name}: {why}")))
            }
            _ => Err(ConfigError::new("the Kafka settings are not accepted by librdkafka".to_owned())),
        }
    }
}

/// `host:port` of a broker; other schemes than `kafka://` say something of security that nothing here would hear.
fn host(server: &str) -> Option<&str> {
    let host = server.strip_prefix("kafka://").unwrap_or(server).trim_end_matches('/');
    (!host.is_empty() && !host.contains("://")).then_some(host)
}

fn properties(settings: &Settings) -> Result<Properties, ConfigError> {
    let (file, properties) = settings.properties();
    for name in properties.keys() {
        if let Some((why, _)) = REFUSED.iter().find(|(_, names)| names.contains(&name.as_str())) {
            return Err(ConfigError::new(format!("`kafka.properties.{name}` in {file} cannot be set: {why}")));
        }
    }
    // It is raised to fit the topics in any case.
    if let Some(value) = properties.get(RECEIVE)
        && !value.trim().parse().is_ok_and(|bytes: u64| (100_000_000..=2_147_483_647).contains(&bytes))
    {
        let expected = "bytes, 100000000 to 2147483647: it can only be raised";
        return Err(ConfigError::new(format!("`kafka.properties.{RECEIVE}` in {file} has to be {expected}")));
    }
    Ok(Properties(properties.clone()))
}
