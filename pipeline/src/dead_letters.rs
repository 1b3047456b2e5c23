//! Dead letters: records that can never be written, kept byte for byte with the reason.
//!
//! It owns the shape of a letter: the original key, payload and headers, and headers that say where it came from and
//! why it is here. Letters are identified by consumer group and coordinates, so a second letter of a redelivery is the same one.

use async_trait::async_trait;
use bytes::Bytes;

use crate::record::{Header, Record};
use crate::sink::{Failure, Reject};

/// The name of the topic that takes the dead letters of a topic.
pub fn topic_of(topic: &str) -> String {
    format!("{topic}.dlq")
}

/// Names of the headers that a letter adds. `__connect.errors.*` are those of Kafka Connect
/// (`ErrorReporter`'s context headers, KIP-298), `kafka_dlt-original-topic` is that of Spring Kafka, so that existing tools read letters.
pub mod header {
    pub const CLASS: &str = "millrace.error.class";
    pub const REASON: &str = "millrace.error.reason";
    pub const ATTEMPTS: &str = "millrace.error.attempts";
    pub const SYSTEM: &str = "millrace.error.system";
    pub const GROUP: &str = "millrace.error.group";
    pub const FIRST_FAILED_AT: &str = "millrace.error.first_failed_at";
    /// The record's own Kafka timestamp, in milliseconds since 1970.
    pub const TIMESTAMP: &str = "millrace.error.record_timestamp";
    pub const CONNECT_TOPIC: &str = "__connect.errors.topic";
    pub const CONNECT_PARTITION: &str = "__connect.errors.partition";
    pub const CONNECT_OFFSET: &str = "__connect.errors.offset";
    pub const CONNECT_MESSAGE: &str = "__connect.errors.exception.message";
    pub(crate) const SPRING_TOPIC: &str = "kafka_dlt-original-topic";

    pub const ALL: [&str; 12] = [
        CLASS,
        REASON,
        ATTEMPTS,
        SYSTEM,
        GROUP,
        FIRST_FAILED_AT,
        TIMESTAMP,
        CONNECT_TOPIC,
        CONNECT_PARTITION,
        CONNECT_OFFSET,
        CONNECT_MESSAGE,
        SPRING_TOPIC,
    ];

    /// Left out when the broker refuses the letter for its size.
    pub const OPTIONAL: [&str; 4] = [REASON, CONNECT_MESSAGE, SPRING_TOPIC, FIRST_FAILED_AT];
}

/// The longest reason that a header carries, in bytes.
const REASON_BYTES: usize = 1_000;

/// A record and why it is dead.
#[derive(Clone, Debug)]
pub struct DeadLetter<'a> {
    pub record: &'a Record,
    pub reject: Reject,
    /// Times that the write was tried; 0 where the record could not be read.
    pub attempts: u32,
    pub system: &'static str,
    pub group: &'a str,
    /// RFC 3339, UTC.
    pub failed_at: String,
}

impl DeadLetter<'_> {
    /// The letter's headers: the record's own, then ours. Ours of an earlier life are replaced, so they do not grow with replays.
    pub fn headers(&self) -> Vec<Header> {
        let ours = |name: &str| header::ALL.contains(&name);
        let mut headers: Vec<Header> = self.record.headers.iter().filter(|h| !ours(&h.name)).cloned().collect();
        let mut add = |name: &str, value: String| {
            headers.push(Header { name: name.to_owned(), value: Some(Bytes::from(value)) });
        };
        let reason = cut(&self.reject.why, REASON_BYTES);
        add(header::CLASS, self.reject.class.to_string());
        add(header::REASON, reason.to_owned());
        add(header::ATTEMPTS, self.attempts.to_string());
        add(header::SYSTEM, self.system.to_owned());
        add(header::GROUP, self.group.to_owned());
        add(header::FIRST_FAILED_AT, self.failed_at.clone());
        if let Some(timestamp) = self.record.timestamp_ms {
            add(header::TIMESTAMP, timestamp.to_string());
        }
        add(header::CONNECT_TOPIC, self.record.at.topic.to_string());
        add(header::CONNECT_PARTITION, self.record.at.partition.to_string());
        add(header::CONNECT_OFFSET, self.record.offset.to_string());
        add(header::CONNECT_MESSAGE, format!("{}: {reason}", self.reject.class));
        add(header::SPRING_TOPIC, self.record.at.topic.to_string());
        headers
    }
}

/// The longest prefix of at most `bytes` bytes that ends between characters.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text.get(..end).unwrap_or(text)
}

/// Takes letters and answers when the broker has them.
#[async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// Sends letters to the broker. Gives one answer a letter, in their order: acknowledged, or why it has to be sent again.
    async fn send(&self, letters: &[DeadLetter<'_>]) -> Vec<Result<(), Failure>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TopicPartition;

    #[test]
    fn headers_keep_the_records_own_and_replace_ours_of_an_earlier_life() {
        let header =
            |name: &str, value: &[u8]| Header { name: name.to_owned(), value: Some(Bytes::copy_from_slice(value)) };
        let record = Record {
            at: TopicPartition::new("orders", 3),
            offset: 42,
            timestamp_ms: Some(1_700_000_000_000),
            key: None,
            payload: Some(Bytes::from_static(b"{")),
            headers: vec![
                header("traceparent", b"\xff\x00"),
                header(header::CLASS, b"old"),
                Header { name: "empty".into(), value: None },
            ],
        };
        let letter = DeadLetter {
            record: &record,
            reject: Reject::new("not_json", "é".repeat(900)),
            attempts: 0,
            system: "orders",
            group: "indexer",
            failed_at: "2026-01-01T00:00:00Z".into(),
        };
        let headers = letter.headers();
        assert_eq!(headers[0], record.headers[0]);
        assert_eq!(headers[1], record.headers[2]);
        assert_eq!(headers.len(), 2 + header::ALL.len());
        let value = |name: &str| {
            let found: Vec<_> = headers.iter().filter(|h| h.name == name).collect();
            assert_eq!(found.len(), 1, "{name} once");
            String::from_utf8(found[0].value.clone().unwrap().to_vec()).unwrap()
        };
        assert_eq!(value(header::CLASS), "not_json");
        assert_eq!(value(header::REASON).len(), REASON_BYTES);
        assert_eq!(value(header::CONNECT_TOPIC), "orders");
        assert_eq!(value(header::CONNECT_PARTITION), "3");
        assert_eq!(value(header::CONNECT_OFFSET), "42");
        assert_eq!(value(header::SPRING_TOPIC), "orders");
        assert_eq!(value(header::TIMESTAMP), "1700000000000");
    }
}
