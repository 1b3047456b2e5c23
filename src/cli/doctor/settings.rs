//! Settings that contradict each other, or that one would rather know of.

use std::path::Path;

use super::Diagnosis;
use crate::config::{Config, ElasticsearchAuth, FILE_NAME, IndexStore};
use crate::systems::{Definition, SYSTEMS, find_shared};

const PART: &str = "settings";

pub(super) fn look(config: &Config) -> Vec<Diagnosis> {
    let mut findings = Vec::new();
    let files: Vec<&str> = [".env", FILE_NAME].into_iter().filter(|name| Path::new(name).exists()).collect();
    let files = if files.is_empty() { "no file".to_owned() } else { files.join(", ") };
    findings.push(Diagnosis::ok(PART, format!("read from the environment and {files}")));
    findings.extend(config.unheard.iter().map(|what| Diagnosis::note(PART, what, "keep one of them")));
    findings.extend(config.ignored.iter().map(|what| Diagnosis::note(PART, what, "take it out")));
    findings.extend(contradictions(config));
    findings
}

fn contradictions(config: &Config) -> Vec<Diagnosis> {
    let mut findings = Vec::new();
    let kafka = &config.kafka;
    if kafka.heartbeat_interval * 3 > kafka.session_timeout {
        findings.push(Diagnosis::note(
            PART,
            format!(
                "CONSUMER_HEARTBEAT_INTERVAL ({} ms) is more than a third of CONSUMER_SESSION_TIMEOUT ({} ms), so two lost \
                 heartbeats lose the partitions",
                kafka.heartbeat_interval.as_millis(),
                kafka.session_timeout.as_millis()
            ),
            "make the one shorter or the other longer",
        ));
    }
    if kafka.security.protocol == "SASL_PLAINTEXT" {
        findings.push(Diagnosis::note(
            PART,
            "KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT, so the login goes over the wire unencrypted",
            "use SASL_SSL where the brokers offer it",
        ));
    }
    if config.database.is_some() && !config.transactions.audit {
        findings.push(Diagnosis::note(
            PART,
            "DATABASE_URL is set, and CONSUMER_ENABLE_AUDIT_DB switches the audit off, so nothing is written there",
            "set it to true, or leave DATABASE_URL out",
        ));
    }
    let elastic = &config.elasticsearch;
    let plain = elastic.urls.iter().any(|url| url.scheme() == "http");
    let by_store = config.transactions.store == IndexStore::Elasticsearch;
    if by_store && plain && !matches!(elastic.auth, ElasticsearchAuth::None) {
        findings.push(Diagnosis::note(
            PART,
            "ELASTICSEARCH_URL is http, so the login goes over the wire unencrypted",
            "use https and ELASTICSEARCH_CA_CERT",
        ));
    }
    if by_store && elastic.ca_cert.is_some() && elastic.urls.iter().all(|url| url.scheme() == "http") {
        findings.push(Diagnosis::note(
            PART,
            "ELASTICSEARCH_CA_CERT is set, and ELASTICSEARCH_URL is http, so it is of no use",
            "use https, or leave it out",
        ));
    }
    // Those of one process are refused; these may run in several.
    let all: Vec<&Definition> = SYSTEMS.iter().collect();
    findings.extend(
        find_shared(&all, config).into_iter().map(|why| Diagnosis::note(PART, why, "unless only one of them runs")),
    );
    if config.batch.size < 100 {
        findings.push(Diagnosis::note(
            PART,
            format!("batches of {} suit small streams; throughput comes from large ones", config.batch.size),
            "CONSUMER_BATCH_SIZE=1000 with CONSUMER_BATCH_TIMEOUT=0.5",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Vec<String> {
        let given = [&[("CONSUMER_BATCH_SIZE", "1000")], variables].concat();
        let variables = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::from_variables(variables).unwrap();
        look(&config).into_iter().filter(|finding| finding.level != Level::Ok).map(|finding| finding.line()).collect()
    }

    #[test]
    fn the_defaults_contradict_nothing() {
        assert_eq!(found(&[]), Vec::<String>::new());
    }

    #[test]
    fn contradictions_name_both_sides() {
        for (variables, says) in [
            (&[("CONSUMER_HEARTBEAT_INTERVAL", "20000")][..], "CONSUMER_SESSION_TIMEOUT (30000 ms)"),
            (&[("DATABASE_URL", "sqlite:x"), ("CONSUMER_ENABLE_AUDIT_DB", "no")], "CONSUMER_ENABLE_AUDIT_DB"),
            (&[("KAFKA_REVIEWS_GROUP", "g"), ("KAFKA_RATINGS_GROUP", "g")], "KAFKA_RATINGS_GROUP"),
            (&[("ELASTICSEARCH_URL", "http://u:p@h:1")], "unencrypted"),
            (&[("CONSUMER_BATCH_SIZE", "10")], "CONSUMER_BATCH_SIZE=1000"),
            (&[("KAFKA_BOOTSTRAP_SERVERS", "a:1"), ("KAFKA_BROKERS", "b:1")], "KAFKA_BROKERS"),
            (&[("REDIS_URL", "redis://a:1"), ("REDIS_HOST", "b")], "REDIS_HOST"),
            (
                &[("KAFKA_USERNAME", "u"), ("KAFKA_PASSWORD", "p"), ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")],
                "SASL_PLAINTEXT",
            ),
        ] {
            let found = found(variables);
            assert!(found.iter().any(|line| line.contains(says)), "{variables:?}: {found:?}");
        }
    }
}
