//! A dead letter's payload in a file, and the mended one sent to the source topic.

use std::path::Path;
use std::time::Duration;

use pipeline::Record;
use pipeline::kafka::copy_headers;
use pipeline::offsets::settled::{MendedAs, Settled};
use pipeline::sink::Order;
use pipeline::system::Decoded;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{CommandFailure, coordinates, print};
use crate::config::Config;
use crate::maintenance::dead_letters::StoredDeadLetter;
use crate::systems::Definition;

/// How long the brokers may take to acknowledge the record.
const DELIVERY: Duration = Duration::from_secs(30);

/// Headers of a mended record: where the bad one stood, and the SHA-256 of both payloads, in hexadecimal.
const FROM: &str = "millrace.mended.from";
const ORIGINAL: &str = "millrace.mended.original_sha256";
const MENDED: &str = "millrace.mended.payload_sha256";

/// The one letter that is meant.
fn only(letters: Vec<StoredDeadLetter>) -> Result<StoredDeadLetter, CommandFailure> {
    let mut letters = letters.into_iter();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => Ok(letter),
        (None, _) => Err(CommandFailure::usage("there is no such letter; `millrace dlq show --all` names each")),
        _ => Err(CommandFailure::usage("name one letter with --at TOPIC/PARTITION/OFFSET")),
    }
}

/// Writes the payload of a letter to a file, byte for byte.
pub(super) fn save(letters: Vec<StoredDeadLetter>, file: &Path) -> Result<(), CommandFailure> {
    let letter = only(letters)?;
    let payload = letter.record.payload.as_deref().unwrap_or_default();
    let failed = |error| CommandFailure::internal(format!("cannot write {}: {error}", file.display()));
    std::fs::write(file, payload).map_err(failed)?;
    print(&json!({"at": coordinates(&letter.record), "file": file, "bytes": payload.len()}).to_string())
}

/// Sends the mended payload to where the bad record stood: key, headers and time are the record's own.
pub(super) async fn send(
    system: &Definition,
    config: &Config,
    letters: Vec<StoredDeadLetter>,
    file: &Path,
) -> Result<(), CommandFailure> {
    let letter = only(letters)?;
    let failed = |error| CommandFailure::usage(format!("cannot read {}: {error}", file.display()));
    let payload = std::fs::read(file).map_err(failed)?;
    let original = letter.record.payload.clone().unwrap_or_default();
    if original == payload {
        return Err(CommandFailure::usage("the file holds what the letter holds: mend it first"));
    }
    let mended = Record { payload: Some(payload.into()), ..letter.record.clone() };
    check(system, config, &letter.group, &mended)?;
    let headers = headers(&mended, &coordinates(&letter.record), &original);
    let place = produce(config, &mended, headers).await?;
    super::settle(config, &[(letter, Settled::now(Some(place.clone())))]).await?;
    let sent_as = format!("{}/{}/{}", place.topic, place.partition, place.offset);
    print(&json!({"system": system.name, "at": coordinates(&mended), "mended_as": sent_as}).to_string())
}

/// Whether the system takes it for an event; what its store says of it, the consumer will hear.
fn check(system: &Definition, config: &Config, group: &str, mended: &Record) -> Result<(), CommandFailure> {
    let known = (system.groups)(config).into_iter().find(|known| known.id == group);
    let unknown = || CommandFailure::usage(format!("{} has no group {group}", system.name));
    let setup = system.setup_of(config, known.ok_or_else(unknown)?, Order::Any)?;
    let events = setup.bound.binding.decode(std::slice::from_ref(mended));
    match events.as_slice() {
        [Decoded::Event(..)] => Ok(()),
        [Decoded::Reject(reject)] => {
            Err(CommandFailure::findings(format!("not sent, it is rejected still: {}: {}", reject.class, reject.why)))
        }
        _ => Err(CommandFailure::findings("not sent: it is no event of this system")),
    }
}

fn headers(mended: &Record, from: &str, original: &[u8]) -> OwnedHeaders {
    let digest = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let (before, now) = (digest(original), digest(mended.payload.as_deref().unwrap_or_default()));
    let ours = [(FROM, from), (ORIGINAL, &before), (MENDED, &now)];
    // A letter that was mended before and died again says where it stands now.
    let theirs = mended.headers.iter().filter(|header| !ours.iter().any(|(name, _)| *name == header.name));
    ours.iter().fold(copy_headers(theirs), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }))
}

async fn produce(config: &Config, mended: &Record, headers: OwnedHeaders) -> Result<MendedAs, CommandFailure> {
    let mut client = config.kafka.client_config();
    client.set("enable.idempotence", "true").set("acks", "all").set("message.max.bytes", "1000000000");
    let brokers = &config.kafka.bootstrap_servers;
    let failed = |error: rdkafka::error::KafkaError| {
        CommandFailure::unavailable(format!("the record could not be sent ({error}); brokers: {brokers}"))
    };
    let producer: FutureProducer = client.create().map_err(failed)?;
    let mut record: FutureRecord<'_, [u8], [u8]> =
        FutureRecord::to(&mended.at.topic).partition(mended.at.partition).headers(headers);
    (record.key, record.payload) = (mended.key.as_deref(), mended.payload.as_deref());
    record.timestamp = mended.timestamp_ms;
    let delivery = producer.send(record, DELIVERY).await.map_err(|(error, _)| failed(error))?;
    Ok(MendedAs { topic: mended.at.topic.to_string(), partition: delivery.partition, offset: delivery.offset })
}
