//! Brokers, topics, dead-letter topics and where the groups stand.

use pipeline::dead_letters::topic_of;
use pipeline::kafka::{StateTopic, Topic, inspect, letter_bytes, standings};
use pipeline::state::LossBook;
use rdkafka::ClientConfig;

use super::Diagnosis;
use crate::config::Config;
use crate::run::blocking::blocking;
use crate::systems::{Chosen, groups_of};

const PART: &str = "kafka";
/// Letters are data that is nowhere else; a week is little to notice and mend.
const SHORT_RETENTION_MS: i64 = 7 * 24 * 3600 * 1000;

pub(super) async fn look(config: &Config, chosen: &[Chosen]) -> Vec<Diagnosis> {
    let client = config.kafka.client_config();
    let groups: Vec<(String, Vec<String>)> =
        groups_of(chosen, config).into_iter().map(|group| (group.id, group.topics)).collect();
    let servers = config.kafka.bootstrap_servers.clone();
    let user = config.kafka.security.sasl.is_some();
    let state = config.kafka.state_topic.clone();
    let asked = blocking(std::convert::identity, move || Ok(ask(&client, &servers, user, &groups, &state)));
    asked.await.unwrap_or_else(|why| vec![Diagnosis::fault(PART, why, "ask again")])
}

fn ask(
    client: &ClientConfig,
    servers: &str,
    user: bool,
    groups: &[(String, Vec<String>)],
    state: &str,
) -> Vec<Diagnosis> {
    let mut topics: Vec<String> = groups.iter().flat_map(|(_, topics)| topics.clone()).collect();
    topics.sort();
    topics.dedup();
    let mut names: Vec<String> = topics.iter().flat_map(|topic| [topic.clone(), topic_of(topic)]).collect();
    names.push(state.to_owned());
    let found = match inspect(client, &names) {
        Ok(found) => found,
        Err(why) => {
            let login = if user { ", KAFKA_USERNAME and KAFKA_PASSWORD" } else { "" };
            let advice = format!("check KAFKA_BOOTSTRAP_SERVERS{login}, and that the brokers run");
            return vec![Diagnosis::fault(PART, format!("{servers} does not answer ({why})"), advice)];
        }
    };
    let mut findings = vec![Diagnosis::ok(PART, format!("brokers at {servers}: {}", found.brokers))];
    for (name, pair) in topics.iter().zip(found.topics.chunks_exact(2)) {
        let [source, letters] = pair else { continue };
        findings.push(source_topic(name, source.as_ref(), found.brokers));
        findings.extend(letter_topic(name, source.as_ref(), letters.as_ref()));
    }
    let state_topic_found = found.topics.last().and_then(Option::as_ref);
    findings.push(state_topic(state, state_topic_found, found.brokers));
    let names: Vec<&str> = groups.iter().map(|(group, _)| group.as_str()).collect();
    if state_topic_found.is_some() {
        findings.extend(losses(&StateTopic::new(client, state), &names));
    }
    for (group, topics) in groups {
        let there = found.topics.iter().flatten().filter(|topic| topics.contains(&topic.name));
        findings.extend(there.map(|topic| standing(client, topic, group)));
    }
    findings
}

fn source_topic(name: &str, topic: Option<&Topic>, brokers: usize) -> Diagnosis {
    let Some(topic) = topic else {
        let what = format!("the topic {name} does not exist; run waits for it");
        return Diagnosis::fault(PART, what, "create it, or let `millrace publish` make it");
    };
    let what = format!("topic {name}: partitions {}, copies {}", topic.partitions, topic.copies);
    if topic.compacted {
        return Diagnosis::note(
            PART,
            what,
            "it is compacted, so a rebuilt store or audit misses what was compacted away",
        );
    }
    if topic.copies < 2 && brokers > 1 {
        return Diagnosis::note(PART, what, "a broker's disk can take records with it: give it more copies");
    }
    Diagnosis::ok(PART, what)
}

fn state_topic(name: &str, topic: Option<&Topic>, brokers: usize) -> Diagnosis {
    let Some(topic) = topic else {
        return Diagnosis::note(PART, format!("the topic {name} does not exist"), "run creates it");
    };
    if !topic.compacted {
        let what = format!("the topic {name} is not compacted, so it forgets which records were lost");
        let advice = format!("kafka-configs --alter --topic {name} --add-config cleanup.policy=compact");
        return Diagnosis::fault(PART, what, advice);
    }
    let what = format!("topic {name}: compacted, copies {}", topic.copies);
    if topic.copies < 2 && brokers > 1 {
        return Diagnosis::note(PART, what, "a broker's disk can take it along: give it more copies");
    }
    Diagnosis::ok(PART, what)
}

/// Losses that nobody has acknowledged.
fn losses(state: &StateTopic, groups: &[&str]) -> Vec<Diagnosis> {
    match state.losses() {
        Ok(book) => groups.iter().filter_map(|group| find_unacknowledged(&book, group)).collect(),
        Err(error) => vec![Diagnosis::fault(PART, error.to_string(), "check its rights")],
    }
}

fn find_unacknowledged(book: &LossBook, group: &str) -> Option<Diagnosis> {
    let (places, records) = book.standing(group).fold((0, 0), |(places, sum), loss| (places + 1, sum + loss.lost));
    let what =
        format!("group {group}: {records} records were deleted by retention before they were read (places: {places})");
    let advice = "`millrace losses` names them; send them again, then `millrace losses --acknowledge-all`";
    (places > 0).then(|| Diagnosis::fault(PART, what, advice))
}

fn letter_topic(name: &str, source: Option<&Topic>, letters: Option<&Topic>) -> Option<Diagnosis> {
    let dead_letters = topic_of(name);
    let Some(letters) = letters else {
        return Some(Diagnosis::note(PART, format!("the topic {dead_letters} does not exist"), "run creates it"));
    };
    let (Some(holds), Some(takes)) = (source?.max_message_bytes, letters.max_message_bytes) else {
        let what = format!("the size limits of {name} and {dead_letters} cannot be seen");
        return Some(Diagnosis::note(PART, what, "allow this user to describe the configuration of both"));
    };
    let needs = letter_bytes(holds);
    if takes < needs {
        let what = format!("{dead_letters} takes messages of {takes} bytes, and a letter may have {needs}");
        let advice = format!("kafka-configs --alter --topic {dead_letters} --add-config max.message.bytes={needs}");
        return Some(Diagnosis::fault(PART, what, advice));
    }
    if letters.retention_ms.is_some_and(|ms| (0..SHORT_RETENTION_MS).contains(&ms)) {
        let what = format!("{dead_letters} forgets letters in less than a week");
        return Some(Diagnosis::note(PART, what, "raise its retention.ms; they are nowhere else"));
    }
    let twice = if needs == 2 * holds { " (twice the source's limit, as compressed)" } else { "" };
    Some(Diagnosis::ok(PART, format!("topic {dead_letters}: room for letters of {takes} bytes{twice}")))
}

fn standing(client: &ClientConfig, topic: &Topic, group: &str) -> Diagnosis {
    let standings = match standings(client, topic, group) {
        Ok(standings) => standings,
        Err(why) => {
            return Diagnosis::fault(PART, format!("group {group} cannot be asked for ({why})"), "check its rights");
        }
    };
    let lost: i64 = standings.iter().map(pipeline::kafka::GroupPosition::count_lost).sum();
    if lost > 0 {
        let what = format!("group {group}: {lost} records of {} were deleted before they were read", topic.name);
        return Diagnosis::fault(PART, what, "raise the topic's retention; what is gone has to be sent again");
    }
    let lag: i64 = standings.iter().map(pipeline::kafka::GroupPosition::lag).sum();
    let begun = standings.iter().any(|standing| standing.committed.is_some());
    let state = if begun { "" } else { ", nothing committed yet" };
    Diagnosis::ok(PART, format!("group {group}: lag {lag}{state}"))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn topic(max_message_bytes: u64, retention_ms: i64) -> Topic {
        let (max_message_bytes, retention_ms) = (Some(max_message_bytes), Some(retention_ms));
        Topic { name: "t".into(), partitions: 1, copies: 1, max_message_bytes, retention_ms, compacted: false }
    }

    #[test]
    fn letters_need_room_and_time() {
        let level = |letters: Option<&Topic>| letter_topic("t", Some(&topic(1_000, -1)), letters).unwrap().level;
        assert_eq!(level(None), Level::Note);
        assert_eq!(level(Some(&topic(1_000, -1))), Level::Fault);
        assert_eq!(level(Some(&topic(letter_bytes(1_000), 1_000))), Level::Note);
        assert_eq!(level(Some(&topic(letter_bytes(1_000), -1))), Level::Ok);
        assert_eq!(
            level(Some(&Topic { max_message_bytes: None, ..topic(1, -1) })),
            Level::Note,
            "nothing is promised unseen"
        );
    }

    #[test]
    fn the_state_topic_is_compacted() {
        let compacted = |compacted| Topic { compacted, ..topic(1, 1) };
        assert_eq!(state_topic("s", None, 1).level, Level::Note);
        assert_eq!(state_topic("s", Some(&compacted(false)), 1).level, Level::Fault);
        assert_eq!(state_topic("s", Some(&compacted(true)), 1).level, Level::Ok);
        assert_eq!(state_topic("s", Some(&compacted(true)), 3).level, Level::Note);
    }

    #[test]
    fn a_source_topic_is_there_or_waited_for() {
        assert_eq!(source_topic("t", None, 1).level, Level::Fault);
        assert_eq!(source_topic("t", Some(&topic(1, 1)), 1).level, Level::Ok);
        assert_eq!(source_topic("t", Some(&topic(1, 1)), 3).level, Level::Note);
        assert_eq!(source_topic("t", Some(&Topic { compacted: true, ..topic(1, 1) }), 1).level, Level::Note);
    }
}
