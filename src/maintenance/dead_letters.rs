//! Dead letters as they are read back: the record as it was, and why it is here.

use std::sync::Arc;

use pipeline::dead_letters::header;
use pipeline::offsets::settled::LetterKey;
use pipeline::{Record, TopicPartition};

/// A letter as it was read: the record as it was before it died, and what its headers tell.
#[derive(Clone, Debug)]
pub struct StoredDeadLetter {
    pub record: Record,
    pub system: String,
    pub group: String,
    pub class: String,
    pub reason: String,
    pub attempts: String,
    pub failed_at: String,
}

impl StoredDeadLetter {
    /// Names it in the state topic.
    pub fn key(&self) -> LetterKey {
        let Record { at, offset, timestamp_ms, .. } = &self.record;
        LetterKey(self.group.clone(), at.topic.to_string(), at.partition, *offset, *timestamp_ms)
    }

    /// Reads a letter; `None` for a message that is none of ours.
    pub fn read(mut record: Record) -> Option<Self> {
        let text = |name: &str| {
            let found = record.headers.iter().find(|header| header.name == name)?;
            String::from_utf8(found.value.as_ref()?.to_vec()).ok()
        };
        let at = TopicPartition::new(
            Arc::from(text(header::CONNECT_TOPIC)?),
            text(header::CONNECT_PARTITION)?.parse().ok()?,
        );
        let offset = text(header::CONNECT_OFFSET)?.parse().ok()?;
        let timestamp_ms = text(header::TIMESTAMP).and_then(|text| text.parse().ok());
        let (system, group, class) = (text(header::SYSTEM)?, text(header::GROUP)?, text(header::CLASS)?);
        let optional = |name: &str| text(name).unwrap_or_default();
        let (reason, attempts) = (optional(header::REASON), optional(header::ATTEMPTS));
        let failed_at = optional(header::FIRST_FAILED_AT);
        record.headers.retain(|header| !header::ALL.contains(&header.name.as_str()));
        Some(Self {
            record: Record { at, offset, timestamp_ms, ..record },
            system,
            group,
            class,
            reason,
            attempts,
            failed_at,
        })
    }
}
