//! The sources of a backfill, as they are named on the command line.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use crate::cli::CommandFailure;
use crate::config::Config;
use crate::maintenance::backfill::{LinesPart, PartitionPart, STDIN, SourceError, SourcePart, SourceReading, files_of};
use crate::run::blocking::blocking;

/// How a topic is named among the sources.
const KAFKA: &str = "kafka:";

/// The parts of these sources, each once, in the order of their names.
pub(super) async fn parts(
    sources: &[String],
    partitions: &[i32],
    reading: SourceReading,
    config: &Config,
) -> Result<Vec<Box<dyn SourcePart>>, CommandFailure> {
    let (sources, partitions, client) = (sources.to_vec(), partitions.to_vec(), config.kafka.client_config());
    let stopped = |why| SourceError::Kafka(why);
    let found = blocking(stopped, move || {
        let topics: BTreeSet<&str> = sources.iter().filter_map(|word| word.strip_prefix(KAFKA)).collect();
        if topics.is_empty() && !partitions.is_empty() {
            return Err(SourceError::NoKafka);
        }
        let words: Vec<&String> = sources.iter().filter(|word| !word.starts_with(KAFKA)).collect();
        let mut parts = files(&words, &reading)?;
        for topic in topics {
            for part in PartitionPart::of_topic(&client, topic, &partitions)? {
                parts.push(Box::new(part));
            }
        }
        Ok(parts)
    });
    found.await.map_err(|error| match error {
        SourceError::Kafka(_) => CommandFailure::unavailable(error.to_string()),
        _ => CommandFailure::usage(error.to_string()),
    })
}

fn files(words: &[&String], reading: &SourceReading) -> Result<Vec<Box<dyn SourcePart>>, SourceError> {
    let mut files = Vec::new();
    let mut stdin = 0;
    for word in words {
        match &***word {
            STDIN => stdin += 1,
            word => files.extend(files_of(word)?),
        }
    }
    if stdin > 1 {
        return Err(SourceError::StdinTwice);
    }
    // By what they are, so that one that is named twice is read once, and has the same number in every run.
    let mut known: HashMap<PathBuf, PathBuf> = HashMap::new();
    for file in files {
        known.entry(file.canonicalize().unwrap_or_else(|_| file.clone())).or_insert(file);
    }
    let mut files: Vec<_> = known.into_iter().collect();
    files.sort();
    let mut parts: Vec<Box<dyn SourcePart>> = Vec::new();
    for ((_, file), number) in files.into_iter().zip(0..) {
        parts.push(Box::new(LinesPart::file(&file, number, reading.clone())?));
    }
    if stdin == 1 {
        parts.push(Box::new(LinesPart::stdin(i32::try_from(parts.len()).unwrap_or(i32::MAX), reading.clone())));
    }
    Ok(parts)
}
