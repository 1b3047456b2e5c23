//! Records of the messages that the client holds.

use bytes::Bytes;
use rdkafka::Timestamp;
use rdkafka::message::{BorrowedMessage, Headers, Message};

use crate::record::{Header, Record, TopicPartition};

/// Copies a message out of the client's memory, once.
pub(super) fn record_of(message: &BorrowedMessage<'_>, at: TopicPartition) -> Record {
    Record {
        at,
        offset: message.offset(),
        timestamp_ms: match message.timestamp() {
            Timestamp::NotAvailable => None,
            Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => Some(ms),
        },
        key: message.key().map(Bytes::copy_from_slice),
        payload: message.payload().map(Bytes::copy_from_slice),
        headers: message.headers().map(|headers| headers.iter().map(copy_header).collect()).unwrap_or_default(),
    }
}

fn copy_header(header: rdkafka::message::Header<'_, &[u8]>) -> Header {
    Header { name: header.key.to_owned(), value: header.value.map(Bytes::copy_from_slice) }
}
