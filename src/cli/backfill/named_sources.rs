//! The sources of a backfill, as they are named on the command line.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use pipeline::sink::Order;

use crate::cli::CommandFailure;
use crate::config::Config;
use crate::maintenance::backfill::{
    HistoryPart, LinesPart, OffsetRange, PartitionPart, S3, STDIN, SourceError, SourcePart, SourceReading, files_of,
    objects_of,
};
use crate::run::blocking::blocking;
use crate::systems::{Definition, transactions, transactions_audit};

/// How a topic is named among the sources.
pub(super) const KAFKA: &str = "kafka:";

/// How a file is named by an address.
const FILE: &str = "file://";

/// The history of the audit.
pub(super) const AUDIT: &str = "audit:";

/// The parts of these sources, each once, in the order of their names.
pub(super) async fn parts(
    sources: &[String],
    partitions: &[i32],
    range: OffsetRange,
    reading: SourceReading,
    system: &Definition,
    config: &Config,
) -> Result<Vec<Box<dyn SourcePart>>, CommandFailure> {
    let history = history(sources, reading.time_ms, system, config)?;
    let (sources, partitions, client) = (sources.to_vec(), partitions.to_vec(), config.kafka.client_config());
    let stopped = |why| SourceError::Kafka(why);
    let found = blocking(stopped, move || {
        let topics: BTreeSet<&str> = sources.iter().filter_map(|word| word.strip_prefix(KAFKA)).collect();
        if topics.is_empty() && !partitions.is_empty() {
            return Err(SourceError::NoKafka);
        }
        let others = sources.iter().any(|word| !word.starts_with(KAFKA));
        if !range.is_all() && (topics.is_empty() || others) {
            return Err(SourceError::NoKafka);
        }
        let words: Vec<&String> = sources.iter().filter(|word| !word.starts_with(KAFKA) && *word != AUDIT).collect();
        let mut parts = files(&words, &reading)?;
        parts.extend(history);
        for topic in topics {
            for part in PartitionPart::of_topic(&client, topic, &partitions, range)? {
                parts.push(Box::new(part));
            }
        }
        Ok(parts)
    });
    found.await.map_err(|error| match error {
        SourceError::Kafka(_) | SourceError::Bucket(..) => CommandFailure::unavailable(error.to_string()),
        _ => CommandFailure::usage(error.to_string()),
    })
}

/// The audit's history, where it is asked for.
fn history(
    sources: &[String],
    time_ms: i64,
    system: &Definition,
    config: &Config,
) -> Result<Option<Box<dyn SourcePart>>, CommandFailure> {
    if !sources.iter().any(|word| word == AUDIT) {
        return Ok(None);
    }
    let primary = system.projection.map_or(system.name, |projection| projection.of);
    if primary != transactions::NAME || system.name == transactions_audit::NAME {
        let why =
            format!("the audit has the events of {}, and {} is written from others", transactions::NAME, system.name);
        return Err(CommandFailure::usage(SourceError::NoHistory(why).to_string()));
    }
    let audit = transactions_audit::DEFINITION.setup(config, Order::Any)?.bound;
    Ok(Some(Box::new(HistoryPart::new(audit.reader, audit.target, time_ms))))
}

fn files(words: &[&String], reading: &SourceReading) -> Result<Vec<Box<dyn SourcePart>>, SourceError> {
    let (mut files, mut objects) = (Vec::new(), BTreeMap::new());
    let mut stdin = 0;
    for word in words {
        match &***word {
            STDIN => stdin += 1,
            word if word.starts_with(S3) => {
                objects.extend(objects_of(word)?.into_iter().map(|object| (object.address().to_owned(), object)));
            }
            word if word.starts_with(FILE) => files.extend(files_of(&path_of(word)?)?),
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
    let next = |parts: &[Box<dyn SourcePart>]| i32::try_from(parts.len()).unwrap_or(i32::MAX);
    for (_, file) in files {
        parts.push(Box::new(LinesPart::file(&file, next(&parts), reading.clone())?));
    }
    for object in objects.into_values() {
        parts.push(Box::new(LinesPart::object(object, next(&parts), reading.clone())?));
    }
    if stdin == 1 {
        parts.push(Box::new(LinesPart::stdin(next(&parts), reading.clone())));
    }
    Ok(parts)
}

/// The path that such an address means.
fn path_of(word: &str) -> Result<String, SourceError> {
    let wrong = || SourceError::Missing(format!("{word}: an address of a file is {FILE}/PATH"));
    let path = word.strip_prefix(FILE).filter(|path| path.starts_with('/')).ok_or_else(wrong)?;
    percent_encoding::percent_decode_str(path).decode_utf8().map(Into::into).map_err(|_| wrong())
}
