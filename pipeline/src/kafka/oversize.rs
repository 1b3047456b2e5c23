//! Records that are larger than the client may take: their partitions stand still, and somebody has to raise a limit.
//!
//! librdkafka says of an answer that is too large only which broker it came from, and of a batch that grows too large when it is
//! decompressed only its offset. It guarantees that the reason names the partitions that may be meant, and goes when they move.

use rdkafka::Statistics;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::assignment::{Assignment, of};
use crate::record::TopicPartition;
use crate::status::Status;

const SOURCE: &str = "record size";

/// What librdkafka said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    /// An answer of this broker, by its id, is too large.
    Answer(Option<i32>),
    /// A batch cannot be decompressed, or fetched; it begins at this offset.
    Batch(Option<i64>),
}

/// Watches one consumer.
#[derive(Debug, Default)]
pub(super) struct Oversize {
    said: Option<Said>,
    /// Who stands still, and where.
    still: Vec<(TopicPartition, i64)>,
}

impl Oversize {
    /// Hears an error of the client with its reason. Returns whether it is one of these.
    pub(super) fn hear(&mut self, error: &KafkaError, reason: Option<&str>) -> bool {
        let said = classify(error, reason.unwrap_or_default());
        let heard = said.is_some();
        if heard {
            self.said = said;
        }
        heard
    }

    /// Whether a partition stands still because of such a record.
    pub(super) fn stands(&self) -> bool {
        self.said.is_some() || !self.still.is_empty()
    }

    /// Looks, about each second, who stands still and who has moved.
    pub(super) fn look(&mut self, statistics: &Statistics, assignment: &Assignment, status: &Status) {
        let Some(said) = self.said.take() else {
            if self.still.is_empty() {
                return;
            }
            let moved = |(at, polled): &(TopicPartition, i64)| {
                assignment.iter().find(|held| held.at == *at).is_none_or(|held| held.position() != *polled)
            };
            self.still.retain(|still| !moved(still));
            if self.still.is_empty() {
                status.clear(SOURCE);
            }
            return;
        };
        let mut behind: Vec<(TopicPartition, i64)> = Vec::new();
        for held in assignment.iter() {
            let found = of(statistics, &held.at);
            let meant = found.is_some_and(|found| {
                let here = match said {
                    Said::Answer(broker) => broker.is_none_or(|broker| found.broker == broker),
                    Said::Batch(offset) => offset.is_none_or(|offset| offset <= held.position().max(found.next_offset)),
                };
                here && held.position() < found.hi_offset.max(found.ls_offset)
            });
            if meant {
                behind.push((held.at.clone(), held.position()));
            }
        }
        if let Said::Batch(Some(offset)) = said
            && behind.iter().any(|(_, polled)| *polled == offset)
        {
            behind.retain(|(_, polled)| *polled == offset);
        }
        if behind.is_empty() {
            return;
        }
        let names: Vec<String> = behind.iter().map(|(at, polled)| format!("{at}@{polled}")).collect();
        self.still = behind;
        status.raise(
            SOURCE,
            format!(
                "{} stands still: a batch there is larger than this client takes, as it is compressed or after decompression; raise \
                 receive.message.max.bytes in [kafka.properties] of millrace.toml above it (at most 2147483647), and \
                 MEMORY_BUDGET with it",
                names.join(", ")
            ),
        );
    }
}

fn classify(error: &KafkaError, reason: &str) -> Option<Said> {
    // librdkafka has no code of its own for these two: the connection counts as broken.
    if reason.contains("Invalid frame size") || reason.contains("Invalid response size") {
        return Some(Said::Answer(broker(reason)));
    }
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::BadCompression | RDKafkaErrorCode::MessageSizeTooLarge) => {
            Some(Said::Batch(offset(reason)))
        }
        _ => None,
    }
}

/// The id in `host:port/id: …`.
fn broker(reason: &str) -> Option<i32> {
    reason.split(": ").find_map(|part| part.rsplit_once('/')?.1.parse().ok())
}

/// The number after `message at` or `Message at offset`.
fn offset(reason: &str) -> Option<i64> {
    let (_, rest) = reason.split_once("essage at ")?;
    rest.trim_start_matches("offset ").split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_librdkafka_says_is_understood() {
        let transport = KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure);
        let reason = "127.0.0.1:9092/3: Receive failed: Invalid frame size 120000123 (after 3ms in state UP)";
        assert_eq!(classify(&transport, reason), Some(Said::Answer(Some(3))));
        assert_eq!(classify(&transport, "127.0.0.1:9092/3: Connect failed: refused"), None);
        let compression = KafkaError::MessageConsumption(RDKafkaErrorCode::BadCompression);
        let reason = "Decompression (codec 0x4) of message at 17 of 4711 bytes failed: Local: Invalid compressed data";
        assert_eq!(classify(&compression, reason), Some(Said::Batch(Some(17))));
        assert_eq!(classify(&compression, ""), Some(Said::Batch(None)));
        let large = KafkaError::MessageConsumption(RDKafkaErrorCode::MessageSizeTooLarge);
        let reason = "Message at offset 8 might be too large to fetch, try increasing receive.message.max.bytes";
        assert_eq!(classify(&large, reason), Some(Said::Batch(Some(8))));
    }
}
