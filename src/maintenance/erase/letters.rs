//! Dead letters of a person: they keep where the record stood and why, and nothing of the record.
//!
//! Kafka can take away what lies before an offset, and nothing else. So what lies before the last of the person's letters is
//! written once more, theirs empty and those of others to the letter, and then taken away. A letter is known by its group and
//! coordinates, so one that is there twice for a moment, or after a crash, counts once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pipeline::dead_letters::{header, topic_of};
use pipeline::kafka::{Ranges, copy_headers, letters_client, ranges, read_ranges};
use pipeline::{Binding, Header, Record};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::errors::EraseError;
use crate::config::Config;
use crate::maintenance::dead_letters::StoredDeadLetter;
use crate::stores::whose::owner_of;

/// How long the brokers may take to acknowledge what is written, and to take away what is not wanted.
const BROKERS: Duration = Duration::from_secs(60);
/// What an empty letter says in place of the reason.
const REASON: &str = "erased: what the record held of a person was taken out on request";

/// Whose letters.
pub(super) struct WhoseLetters {
    pub person: String,
    /// Documents of the person.
    pub ids: BTreeSet<String>,
    pub bindings: Vec<Arc<dyn Binding>>,
}

/// What was done in a topic; what would be, where it only looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LettersErased {
    pub topic: String,
    /// Letters that are empty now.
    pub emptied: u64,
    /// Letters of others that were written once more.
    pub rewritten: u64,
    /// Why the old copies are still there.
    pub left: Option<String>,
}

/// Notes the first letter that was not acknowledged.
#[derive(Default)]
struct Acknowledged(Mutex<Option<KafkaError>>);

impl Acknowledged {
    fn failure(&self) -> Option<KafkaError> {
        self.0.lock().clone()
    }
}

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().get_or_insert_with(|| error.clone());
        }
    }
}

impl WhoseLetters {
    /// Whether a letter holds values of the person.
    fn is_theirs(&self, letter: &Record) -> bool {
        let named = |bytes: &Option<bytes::Bytes>| bytes.as_deref() == Some(self.person.as_bytes());
        let Some(payload) = letter.payload.as_deref() else { return named(&letter.key) };
        let about = |id: &String| self.bindings.iter().any(|binding| binding.is_about(letter, id));
        owner_of(payload, &self.person).or(|| named(&letter.key) || self.ids.iter().any(about))
    }
}

/// Erases the letters of the records of a topic; `None` where no letter is the person's.
///
/// # Errors
/// Names the topic.
pub(super) async fn erase(
    config: &Config,
    source: &str,
    wanted: &WhoseLetters,
    dry_run: bool,
) -> Result<Option<LettersErased>, EraseError> {
    let topic = topic_of(source);
    let client = config.kafka.client_config();
    let failed = |error: KafkaError| EraseError::Letters { topic: topic.clone(), error };
    let (found, emptied) = tokio::task::block_in_place(|| find_last(&client, &topic, wanted)).map_err(failed)?;
    if emptied == 0 {
        return Ok(None);
    }
    let mut erased = LettersErased { topic: topic.clone(), emptied, rewritten: 0, left: None };
    if !dry_run {
        erased.rewritten = tokio::task::block_in_place(|| rewrite(&client, &topic, &found, wanted)).map_err(failed)?;
        erased.left = take_away(&client, &topic, &found).await.err().map(|why| why.to_string());
    }
    Ok(Some(erased))
}

/// From each partition's start to its last letter of the person, and how many there are.
fn find_last(client: &ClientConfig, topic: &str, wanted: &WhoseLetters) -> Result<(Ranges, u64), KafkaError> {
    let all = ranges(client, topic)?;
    let mut found: BTreeMap<i32, i64> = BTreeMap::new();
    let mut count = 0;
    read_ranges(client, topic, &all, |letter| {
        if wanted.is_theirs(&letter) {
            found.insert(letter.at.partition, letter.offset + 1);
            count += 1;
        }
    })?;
    let start = |partition: &i32| all.get(partition).map_or(0, |(from, _)| *from);
    Ok((found.into_iter().map(|(partition, to)| (partition, (start(&partition), to))).collect(), count))
}

/// Writes the letters in these ranges once more; gives how many were of others. Blocks the thread.
fn rewrite(client: &ClientConfig, topic: &str, ranges: &Ranges, wanted: &WhoseLetters) -> Result<u64, KafkaError> {
    let mut config = letters_client(client);
    // A broker judges a batch by its size: each letter came through alone.
    config.set("batch.num.messages", "1");
    let producer: ThreadedProducer<Acknowledged> = config.create_with_context(Acknowledged::default())?;
    let (mut others, mut refused) = (0, None);
    read_ranges(client, topic, ranges, |letter| {
        let theirs = wanted.is_theirs(&letter);
        others += u64::from(!theirs);
        let letter = if theirs { empty_letter(letter) } else { letter };
        if refused.is_none()
            && let Err(error) = send(&producer, topic, &letter)
        {
            refused = Some(error);
        }
    })?;
    producer.flush(BROKERS)?;
    match refused.or_else(|| producer.context().failure()) {
        Some(error) => Err(error),
        None => Ok(others),
    }
}

fn send(producer: &ThreadedProducer<Acknowledged>, topic: &str, letter: &Record) -> Result<(), KafkaError> {
    let mut record: BaseRecord<'_, [u8], [u8]> =
        BaseRecord::to(topic).partition(letter.at.partition).headers(copy_headers(&letter.headers));
    record.key = letter.key.as_deref();
    record.payload = letter.payload.as_deref();
    // So that it lives no longer than it would have.
    record.timestamp = letter.timestamp_ms;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.flush(BROKERS)?;
                record = back;
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// The letter without key, payload and the record's own headers.
fn empty_letter(letter: Record) -> Record {
    // One that is none of ours is emptied as well.
    let known = StoredDeadLetter::read(letter.clone()).is_some();
    let ours = |header: &Header| known && header::ALL.contains(&header.name.as_str());
    let said = |header: Header| match header.name.as_str() {
        header::REASON | header::CONNECT_MESSAGE => Header { value: Some(REASON.into()), ..header },
        _ => header,
    };
    let headers = letter.headers.into_iter().filter(ours).map(said).collect();
    Record { key: None, payload: None, headers, ..letter }
}

/// Takes away what lies before the ends of these ranges.
async fn take_away(client: &ClientConfig, topic: &str, ranges: &Ranges) -> Result<(), EraseError> {
    let failed = |error: KafkaError| EraseError::OldCopies { topic: topic.to_owned(), error };
    let mut before = TopicPartitionList::new();
    for (partition, (_, to)) in ranges {
        before.add_partition_offset(topic, *partition, Offset::Offset(*to)).map_err(failed)?;
    }
    let admin: AdminClient<DefaultClientContext> = client.create().map_err(failed)?;
    let options = AdminOptions::new().operation_timeout(Some(BROKERS)).request_timeout(Some(BROKERS));
    let answer = admin.delete_records(&before, &options).await.map_err(failed)?;
    answer.elements().iter().try_for_each(|element| element.error()).map_err(failed)
}
