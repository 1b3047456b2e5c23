//! The database of `reactions`, its outbox, and how long its marks are kept.

use std::time::Duration;

use pipeline::dead_letters::topic_of;

use super::Diagnosis;
use super::traces::topics;
use crate::config::Config;
use crate::stores::reactions::outbox::Outbox;
use crate::systems::reactions;

const PART: &str = "reactions";

pub(super) async fn look(config: &Config) -> Vec<Diagnosis> {
    let postgres = match reactions::database(config) {
        Ok(postgres) => postgres,
        Err(why) => return vec![Diagnosis::fault(PART, why.to_string(), "set REACTIONS_DATABASE_URL")],
    };
    let (address, schema) = (postgres.address(), &config.reactions.schema);
    let mut findings = match postgres.inspect().await {
        Err(failure) => return vec![Diagnosis::failure(PART, failure.why)],
        Ok(server) if server.is_standby => {
            let advice = "name the primary in REACTIONS_DATABASE_URL";
            vec![Diagnosis::fault(PART, format!("{address} only follows another server, and takes no writes"), advice)]
        }
        Ok(server) => vec![Diagnosis::ok(PART, format!("{address}, version {}, schema {schema}", server.version))],
    };
    // Before the first run the tables are not there.
    if let Ok(waiting) = Outbox::new(postgres.clone()).waiting().await {
        if waiting.parked > 0 {
            let what = format!("events of the outbox that Kafka does not take: {}", waiting.parked);
            let advice = "look at why of outbox; mend the topic, then set parked_at to null where they are to go again";
            findings.push(Diagnosis::fault(PART, what, advice));
        }
        if waiting.is_late() {
            let what = format!("the oldest event of the outbox waits for {:.0} s", waiting.oldest_seconds);
            let advice = "see that `run reactions` runs somewhere, and that the topics of the events exist";
            findings.push(Diagnosis::fault(PART, what, advice));
        }
        findings.push(Diagnosis::ok(PART, format!("{} subjects have not arrived yet", waiting.stubs)));
    }
    findings.extend(check_retention(config).await);
    findings
}

/// Topics that keep records for longer than the marks are kept.
async fn check_retention(config: &Config) -> Option<Diagnosis> {
    let read = reactions::DEFINITION.topics(config);
    let names: Vec<String> = read.iter().cloned().chain(read.iter().map(|topic| topic_of(topic))).collect();
    let found = topics(config, names).await?;
    let most = config.reactions.retention;
    let longer =
        |ms: Option<i64>| ms.is_some_and(|ms| u64::try_from(ms).map_or(true, |ms| Duration::from_millis(ms) > most));
    let longer = found.topics.iter().flatten().filter(|topic| longer(topic.retention_ms));
    let names: Vec<&str> = longer.map(|topic| topic.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let what =
        format!("marks are kept for {} days, and records for longer in {}", most.as_secs() / 86_400, names.join(", "));
    let advice =
        "raise REACTIONS_RETENTION: what is read again after that changes the state, and leads to nothing further";
    Some(Diagnosis::note(PART, what, advice))
}
