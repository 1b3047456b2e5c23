//! The report of one event of a system without documents: where it stands, its letters, and what the store knows of it.

use std::collections::BTreeSet;

use pipeline::dead_letters::topic_of;
use pipeline::kafka::read_topic;
use pipeline::sink::Order;

use super::ExplainError;
use crate::config::Config;
use crate::maintenance::dead_letters::StoredDeadLetter;
use crate::run::blocking::blocking;
use crate::systems::Definition;
use crate::walk::Walk;

/// What is known of an event.
#[derive(Clone, Debug, Default)]
pub struct EventTrace {
    /// Topic, partition and offset of each record that has its id.
    pub records: Vec<(String, i32, i64)>,
    /// Where the record of a letter stood, the consumer that made it, and why.
    pub letters: Vec<((String, i32, i64), String, String)>,
    /// What the store knows, in a sentence each.
    pub known: Vec<String>,
}

/// Tells what is known of an event.
///
/// # Errors
/// Why it could not be told.
pub async fn trace(system: &Definition, config: &Config, id: &str) -> Result<EventTrace, ExplainError> {
    let Some(group) = (system.groups)(config).into_iter().next() else { return Ok(EventTrace::default()) };
    let setup = system.setup_of(config, group, Order::Any)?;
    let Some(known) = setup.bound.reader.trace(id).await? else {
        return Err(system.has_documents().map_or_else(ExplainError::Setup, |()| ExplainError::NoTopic(id.to_owned())));
    };
    let (client, walk, topics) = (config.kafka.client_config(), setup.walk, system.topics(config));
    let wanted = id.to_owned();
    let (records, letters) = blocking(ExplainError::Kafka, move || {
        let (mut records, mut letters) = (Vec::new(), Vec::new());
        let asked = |error: rdkafka::error::KafkaError| ExplainError::Kafka(error.to_string());
        for topic in topics {
            read_topic(&client, &topic, |record| {
                if is_it(walk, &record, &wanted) {
                    records.push((record.at.topic.to_string(), record.at.partition, record.offset));
                }
            })
            .map_err(asked)?;
            read_topic(&client, &topic_of(&topic), |letter| {
                let letter = StoredDeadLetter::read(letter).filter(|letter| is_it(walk, &letter.record, &wanted));
                if let Some(StoredDeadLetter { record, system, class, reason, .. }) = letter {
                    let at = (record.at.topic.to_string(), record.at.partition, record.offset);
                    letters.push((at, system, format!("{class}: {reason}")));
                }
            })
            .map_err(asked)?;
        }
        Ok((records, letters))
    })
    .await?;
    // A record that is read twice by a letter's replay is one letter still.
    let letters: BTreeSet<((String, i32, i64), String, String)> = letters.into_iter().collect();
    Ok(EventTrace { records, letters: letters.into_iter().collect(), known })
}

fn is_it(walk: Walk, record: &pipeline::Record, id: &str) -> bool {
    walk(record).is_some_and(|walked| walked.id == id)
}
