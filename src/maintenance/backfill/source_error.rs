//! What can be wrong with a source before anything of it is written.

use std::io;

use thiserror::Error;

/// Why something is no source.
#[derive(Debug, Error)]
pub enum SourceError {
    #[error("there is no {0}")]
    Missing(String),
    #[error("nothing matches {0}")]
    NoMatch(String),
    #[error("{0} is no pattern of files: {1}")]
    Pattern(String, glob::PatternError),
    #[error("{0} is a directory: name its files, such as '{0}/*.ndjson'")]
    Directory(String),
    #[error("{0} is no regular file: give it as standard input, `millrace backfill SYSTEM - < {0}`")]
    Irregular(String),
    #[error("{0} cannot be read: {1}; check the address and AWS_* in the environment")]
    Bucket(String, String),
    #[error("{0} cannot be opened: {1}")]
    Unreadable(String, io::Error),
    #[error("{0}: {1}")]
    Format(String, io::Error),
    #[error("{0} is one JSON array and not a line an object: `jq -c '.[]' {0} | millrace backfill SYSTEM -`")]
    Array(String),
    #[error("standard input can be read once: name it once")]
    StdinTwice,
    #[error("{0}")]
    NoHistory(String),
    #[error("there is no topic {0}")]
    NoTopic(String),
    #[error("the topic {topic} has no partition {partition}")]
    NoPartition { topic: String, partition: i32 },
    #[error("--partition, and --from and --to with an offset, are for sources such as kafka:TOPIC alone")]
    NoKafka,
    #[error(
        "the log of {topic}/{partition} begins at offset {low}: what is before is gone; give --from {low} or later"
    )]
    Gone { topic: String, partition: i32, low: i64 },
    #[error("Kafka does not answer ({0}); check KAFKA_BOOTSTRAP_SERVERS")]
    Kafka(String),
}
