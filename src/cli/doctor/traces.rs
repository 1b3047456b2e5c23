//! The database of `database`, its marks, and the rows in Redis.

use chrono::{DateTime, SecondsFormat, Utc};
use pipeline::dead_letters::topic_of;
use pipeline::kafka::{Inspection, inspect as inspect_topics};

use super::{Diagnosis, Level};
use crate::config::Config;
use crate::run::blocking::blocking;
use crate::run::consumer::redis;
use crate::stores::database::{OperationReader, OperationStore, OperationTraces};
use crate::stores::reader::StoreReader;

const PART: &str = "database";
const CACHE: &str = "cache";

pub(super) async fn look(config: &Config) -> Vec<Diagnosis> {
    let store = match OperationStore::new(&config.operations.server, 1) {
        Ok(store) => store,
        Err(why) => return vec![Diagnosis::failure(PART, why.to_string())],
    };
    let mut findings = vec![server(config, &store).await];
    let answers = findings.iter().all(|finding| finding.level != Level::Fault);
    findings.extend(marks(config, &store).await);
    findings.extend(results(config).await);
    findings.push(cache(config).await);
    let topic = config.topic(crate::systems::database::NAME);
    match store.traces(&topic).await {
        Ok(traces) => findings.extend(judge_left(&traces, config.operations.cache.is_some())),
        Err(failure) if answers => findings.push(Diagnosis::failure(PART, failure.why)),
        // It is told already.
        Err(_) => {}
    }
    findings
}

async fn server(config: &Config, store: &OperationStore) -> Diagnosis {
    match store.inspect(&config.operations).await {
        Err(failure) => Diagnosis::failure(PART, failure.why),
        Ok(server) if server.missing.is_empty() => {
            let packet = server.packet.map(|bytes| format!(", packets up to {bytes} bytes")).unwrap_or_default();
            Diagnosis::ok(PART, format!("{}, {}{packet}", config.operations.server.address(), server.version))
        }
        Ok(server) => {
            let tables = server.missing.join(", ");
            let advice = "make them, set DATABASE_CREATE_TABLES=true, or correct DATABASE_ENTITIES";
            Diagnosis::fault(PART, format!("these tables of entities are not there: {tables}"), advice)
        }
    }
}

/// Whether what was purged of the marks may come again.
async fn marks(config: &Config, store: &OperationStore) -> Option<Diagnosis> {
    let horizon =
        OperationReader::new(store.clone(), config.operations.entities.clone(), None).horizon().await.ok()??;
    let topic = config.topic(crate::systems::database::NAME);
    let found = topics(config, vec![topic.clone(), topic_of(&topic)]).await?;
    let now = Utc::now().timestamp_micros();
    let kept = |topic: &&pipeline::kafka::Topic| {
        let since = topic.retention_ms.filter(|ms| *ms >= 0).map(|ms| now.saturating_sub(ms.saturating_mul(1_000)));
        since.is_none_or(|since| since < horizon)
    };
    let topic = found.topics.iter().flatten().find(kept)?;
    let before = DateTime::from_timestamp_micros(horizon)?.to_rfc3339_opts(SecondsFormat::Secs, true);
    let what = format!("marks of before {before} were purged, and {} may hold operations of then", topic.name);
    let advice = "lower its retention.ms to what it was at the purge: read again, they would be applied twice";
    Some(Diagnosis::note(PART, what, advice))
}

/// Kafka's own trouble is told by the look at Kafka.
pub(super) async fn topics(config: &Config, names: Vec<String>) -> Option<Inspection> {
    let client = config.kafka.client_config();
    blocking(|why| why, move || inspect_topics(&client, &names)).await.ok()
}

/// Whether there is a topic for result events, where they are asked for.
async fn results(config: &Config) -> Option<Diagnosis> {
    let topic = config.operations.results.clone()?;
    let found = topics(config, vec![topic.clone()]).await?;
    Some(match found.topics.first() {
        Some(Some(_)) => Diagnosis::ok(PART, format!("result events go to {topic}")),
        _ => {
            let advice = "create it: no operation is done before its result is told";
            Diagnosis::fault(PART, format!("the topic {topic} for result events does not exist"), advice)
        }
    })
}

/// The Redis of the rows.
async fn cache(config: &Config) -> Diagnosis {
    let Some(settings) = &config.operations.cache else {
        return Diagnosis::ok(CACHE, "rows in Redis are left alone (REDIS_URL and DATABASE_CACHE)");
    };
    let address = &settings.redis.address;
    let server = match redis(config, "doctor", "doctor") {
        Ok(Some(marks)) => marks.server().await,
        Ok(None) => Err("it is switched off".to_owned()),
        Err(why) => Err(why.to_string()),
    };
    match server {
        Err(why) => Diagnosis::fault(
            CACHE,
            format!("{address} does not answer ({why})"),
            "check REDIS_URL, or set DATABASE_CACHE=off: keys of rows that are written are kept in millrace_dirty_keys meanwhile",
        ),
        Ok(server) if server.epoch.is_empty() => Diagnosis::fault(
            CACHE,
            format!("version {} at {address} names no history (master_replid)", server.version),
            "readers tell by it what is old; use a server that has it",
        ),
        // What is evicted refuses, and is read again.
        Ok(server) => {
            let policy = if server.eviction.is_empty() { "not told" } else { server.eviction.as_str() };
            let (version, epoch) = (&server.version, &server.epoch);
            Diagnosis::ok(CACHE, format!("version {version} at {address}, maxmemory-policy {policy}, epoch {epoch}"))
        }
    }
}

/// What the consumer has left in the database.
fn judge_left(traces: &OperationTraces, cached: bool) -> Vec<Diagnosis> {
    let OperationTraces { dirty, dirty_seconds, rows, scattered, unknown } = traces;
    let mut findings = Vec::new();
    if *dirty > 0 {
        let what = format!("{dirty} keys of rows wait to be taken out of Redis, the oldest for {dirty_seconds} s");
        let advice = match cached {
            true => "they are worked off while `run` reaches Redis; until then readers may see what is old",
            false => {
                "nobody works them off while the cache is off: name the Redis in REDIS_URL, or empty millrace_dirty_keys"
            }
        };
        findings.push(Diagnosis::note(CACHE, what, advice));
    }
    if *scattered > 0 {
        let what =
            format!("of {rows} rows that were looked at, {scattered} have operations from more than one partition");
        let advice = "order is kept within a partition alone: let producers key each record by entity and id";
        findings.push(Diagnosis::note(PART, what, advice));
    }
    for (code, letters) in unknown {
        let what = format!("the error code {code} is not in the table of codes, and made {letters} letters");
        let advice = "it went up the ladder first; report it, and see docs/database.md for what is known";
        findings.push(Diagnosis::note(PART, what, advice));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_with_what_to_do() {
        assert_eq!(judge_left(&OperationTraces { rows: 5, ..OperationTraces::default() }, true), []);
        let unknown = [("9999".to_owned(), 2)].into();
        let traces = OperationTraces { dirty: 3, dirty_seconds: 40, rows: 5, scattered: 1, unknown };
        let found = judge_left(&traces, false);
        assert!(found.iter().all(|finding| finding.level == Level::Note && finding.advice.is_some()));
        let said: Vec<&str> = found.iter().map(|finding| finding.what.as_str()).collect();
        assert!(said[0].contains("3 keys") && said[0].contains("40 s"), "{said:?}");
        assert!(said[1].contains("of 5 rows") && said[2].contains("9999"), "{said:?}");
        assert_ne!(judge_left(&traces, true)[0].advice, found[0].advice);
    }
}
