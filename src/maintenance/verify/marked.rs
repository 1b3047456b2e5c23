//! Verification of a system whose store holds no documents: each event of the log is marked, or it is a letter.
//!
//! It takes the logs' ends first and waits until the groups have committed them. Memory is bounded: the marks of a chunk of
//! records are looked up, and what a repair has to mend and where letters stood is held.

use futures_util::future::try_join_all;
use pipeline::Record;
use pipeline::sink::Order;

use super::compare::LogPosition;
use super::name::DifferenceName;
use super::reading::Letters;
use super::topic_log::VerifyLog;
use super::{Finding, Listener, VerifyError, VerifyOptions, VerifyReport, VerifyStep, finding, note, repair_events};
use crate::config::Config;
use crate::run::consumer::engine_options;
use crate::systems::{ConsumerGroup, Definition, Setup};

/// A group with its logs.
struct MarkedGroup {
    setup: Setup,
    log: VerifyLog,
}

/// As [`super::verify`].
pub(super) async fn verify_marks(
    system: &Definition,
    config: &Config,
    options: &VerifyOptions,
    listener: &mut dyn Listener,
) -> Result<VerifyReport, VerifyError> {
    // Side by side: most of it is waiting for the brokers, a topic at a time.
    let opened = (system.groups)(config).into_iter().map(|group| open(system, config, group, options));
    let (mut groups, mut letters) = (Vec::new(), Letters::new());
    for (group, dead) in try_join_all(opened).await? {
        // What one group has made a letter of, the others ignore.
        letters.extend(dead);
        groups.push(group);
    }
    let mut report = VerifyReport { letters: letters.len() as u64, ..VerifyReport::default() };
    for MarkedGroup { setup, log } in &groups {
        let reader = &setup.bound.reader;
        report.store = reader.name();
        let horizon_ms = reader.mark_horizon().await?;
        let mut missing = Vec::new();
        let (fetching, mut chunks) = log.chunks();
        while let Some((topic, chunk)) = chunks.recv().await {
            report.records += chunk.len() as u64;
            let events = events(setup, topic, &chunk, &letters);
            let ids: Vec<String> = events.iter().map(|(id, ..)| id.clone()).collect();
            let marked = reader.find_marked(&ids).await?.unwrap_or_default();
            report.documents += ids.len() as u64;
            report.held += marked.len() as u64;
            for (id, at, recorded_ms) in events.into_iter().filter(|(id, ..)| !marked.contains(id)) {
                let old = recorded_ms.is_some_and(|ms| ms < horizon_ms);
                let name = if old { DifferenceName::Unexplained } else { DifferenceName::Missing };
                let at_topic = chunk.first().map(|record| record.at.topic.to_string()).unwrap_or_default();
                let reason = Some(format!("the group {} has no mark of it", setup.group.id));
                let place = Some((at_topic, at.partition, at.offset));
                note(&mut report, listener, Finding { at: place, reason, ..finding(name, &id, &[], None) });
                missing.push(at);
            }
            listener.at(VerifyStep::Log(report.records, log.offsets()));
        }
        fetching.await.map_err(|error| VerifyError::Kafka(error.to_string()))??;
        if options.repair {
            report.repaired += repair_events(setup, log, &engine_options(config, &setup.group.id), missing).await?;
        }
        for end in reader.loose_ends().await? {
            note(&mut report, listener, finding(DifferenceName::Derived, &end, &[], None));
        }
    }
    Ok(report)
}

/// Opens a group's logs, and waits until the group has committed their ends; with its letters.
async fn open(
    system: &Definition,
    config: &Config,
    group: ConsumerGroup,
    options: &VerifyOptions,
) -> Result<(MarkedGroup, Letters), VerifyError> {
    let (topics, id, consumer) = (group.topics.clone(), group.id.clone(), group.consumer);
    let setup = system.setup_of(config, group, Order::Any)?;
    // Whether it has marks is asked first.
    if setup.bound.reader.find_marked(&[]).await?.is_none() {
        return Err(system.has_documents().map_or_else(VerifyError::Setup, |()| VerifyError::NoTopic(id)));
    }
    let log = VerifyLog::open(config.kafka.client_config(), topics, id).await?;
    log.await_committed(options.wait).await?;
    let letters = log.letters(consumer).await?;
    Ok((MarkedGroup { setup, log }, letters))
}

/// The events among some records, but for those that are letters: id, place, the record's own time.
fn events(setup: &Setup, topic: u8, records: &[Record], letters: &Letters) -> Vec<(String, LogPosition, Option<i64>)> {
    let event = |record: &Record| {
        let coordinates = (record.at.topic.to_string(), record.at.partition, record.offset);
        let walked = (setup.walk)(record).filter(|_| !letters.contains(&coordinates))?;
        let at = LogPosition { topic, partition: record.at.partition, offset: record.offset };
        Some((walked.id, at, record.time_ms()))
    };
    records.iter().filter_map(event).collect()
}
