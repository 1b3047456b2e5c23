//! The ceilings: Kafka alone, read by its client and thrown away; the store alone, sent writes that were made beforehand.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pipeline::kafka::{ranges, read_ranges};
use pipeline::sink::{SinkLimits, Verdict, Waiting};
use pipeline::system::Decoded;
use pipeline::{Binding, Record};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::sync::mpsc;

use crate::cli::CommandFailure;
use crate::run::blocking::blocking;
use crate::run::clock::{Spent, Stopwatch};

/// Records whose writes are made before they are sent; about 40 MB.
const CHUNK: usize = 20_000;
/// How long the brokers may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// How writes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// Writes in a request.
    pub request: usize,
    /// Requests at the same time.
    pub in_flight: usize,
}

/// What is tried before the rounds; the best is the store's ceiling. Those with one request at a time are for
/// stores whose writes may not pass one another.
pub(super) const GRID: [Cell; 7] = [
    Cell { request: 500, in_flight: 4 },
    Cell { request: 1_000, in_flight: 2 },
    Cell { request: 1_000, in_flight: 4 },
    Cell { request: 2_000, in_flight: 4 },
    Cell { request: 5_000, in_flight: 2 },
    Cell { request: 1_000, in_flight: 1 },
    Cell { request: 5_000, in_flight: 1 },
];

/// Reads the topic from its start to its end, and looks at nothing. Blocks the thread.
pub(super) fn consume(client: &ClientConfig, topic: &str) -> Result<(u64, Spent), KafkaError> {
    let mut config = client.clone();
    config
        .set("group.id", topic)
        .set("enable.auto.commit", "false")
        .set("queued.min.messages", "100000")
        .set("fetch.queue.backoff.ms", "10");
    let mut left = 0;
    let mut list = TopicPartitionList::new();
    for (partition, (from, to)) in ranges(client, topic)? {
        left += u64::try_from(to - from).unwrap_or(0);
        list.add_partition_offset(topic, partition, Offset::Offset(from))?;
    }
    let consumer: BaseConsumer = config.create()?;
    consumer.assign(&list)?;
    let mut watch = Stopwatch::new();
    let (mut records, mut bytes) = (0, 0);
    while left > 0 {
        match consumer.poll(SILENCE) {
            Some(Ok(message)) => {
                if records == 0 {
                    watch.start();
                }
                records += 1;
                left -= 1;
                bytes += message.payload().map_or(0, <[u8]>::len);
            }
            Some(Err(error)) => return Err(error),
            None => return Err(KafkaError::MessageConsumption(rdkafka::error::RDKafkaErrorCode::OperationTimedOut)),
        }
    }
    watch.stop();
    // The payloads have to be looked at, or reading them might be left out.
    std::hint::black_box(bytes);
    Ok((records, watch.time_spent()))
}

/// Nobody waits for anything: there is no ladder here.
pub(super) struct NoLadder;

impl Waiting for NoLadder {
    fn may_wait(&self, _write: usize, _class: &str) -> bool {
        false
    }

    fn conflict_may_wait(&self, _write: usize, _class: &str, _may_clear: &dyn Fn(&str) -> bool) -> bool {
        false
    }
}

/// Sends the writes of the topic's events, at most so many, made beforehand and in the order of each partition.
pub(super) async fn write(
    client: &ClientConfig,
    topic: &str,
    binding: &dyn Binding,
    cell: Cell,
    most: u64,
) -> Result<(u64, Spent), CommandFailure> {
    let (sender, mut chunks) = mpsc::channel::<Vec<Record>>(1);
    let (client, topic) = (client.clone(), topic.to_owned());
    let reading = tokio::spawn(blocking(
        |why| why,
        move || {
            let mut chunk = Vec::with_capacity(CHUNK);
            let ranges = ranges(&client, &topic).map_err(|error| error.to_string())?;
            let read = read_ranges(&client, &topic, &ranges, |record| {
                chunk.push(record);
                if chunk.len() == CHUNK {
                    // Whoever has enough listens no more.
                    sender.blocking_send(std::mem::take(&mut chunk)).ok();
                }
            });
            sender.blocking_send(chunk).ok();
            read.map_err(|error| error.to_string())
        },
    ));
    let (mut watch, mut sent, mut seen) = (Stopwatch::new(), 0, HashSet::new());
    while let Some(chunk) = chunks.recv().await {
        sent += send(&chunk, binding, cell, &mut watch, &mut seen).await?;
        if sent >= most {
            return Ok((sent, watch.time_spent()));
        }
    }
    let read = reading.await.map_err(|error| CommandFailure::internal(error.to_string()))?;
    read.map_err(CommandFailure::unavailable)?;
    Ok((sent, watch.time_spent()))
}

/// Copies are left out, as the program leaves them out.
async fn send(
    records: &[Record],
    binding: &dyn Binding,
    cell: Cell,
    watch: &mut Stopwatch,
    seen: &mut HashSet<[u8; 32]>,
) -> Result<u64, CommandFailure> {
    let batch = binding.decode(records);
    let mut is_new = |decoded: &Decoded<'_>| match decoded {
        Decoded::Event(identity, ()) => identity.message.is_none_or(|message| seen.insert(message)),
        Decoded::Reject(_) | Decoded::Ignore => false,
    };
    let chosen: Vec<usize> =
        batch.as_slice().iter().enumerate().filter(|(_, decoded)| is_new(decoded)).map(|(number, _)| number).collect();
    let enriched = batch.enrich(&chosen).await;
    let writes: Vec<usize> = (0..enriched.writes.len()).collect();
    let document_of = |record: &usize| match batch.as_slice().get(*record) {
        Some(Decoded::Event(identity, ())) => &*identity.document,
        _ => "",
    };
    let documents: Vec<&str> = enriched.records.iter().map(document_of).collect();
    let cuts = cut(&documents, cell.request, binding.limits());
    watch.start();
    let requests = stream::iter(cuts).map(|cut| writes.get(cut).unwrap_or_default());
    let sent = requests.map(|request| enriched.writes.send(request, &NoLadder));
    let answered: Result<Vec<Vec<Verdict>>, _> = sent.buffer_unordered(cell.in_flight).try_collect().await;
    watch.stop();
    for verdicts in answered.map_err(|failure| refuse(&failure.why))? {
        check(&verdicts)?;
    }
    Ok(writes.len() as u64)
}

/// Cuts writes into requests of a size, in their order, by what the store takes at once.
fn cut(documents: &[&str], size: usize, limits: SinkLimits) -> Vec<Range<usize>> {
    let most = size.min(limits.items).max(1);
    let (mut cuts, mut first, mut seen) = (Vec::new(), 0, HashSet::new());
    for (number, document) in documents.iter().enumerate() {
        let is_new = seen.insert(*document) || !limits.one_write_a_document;
        if number - first == most || !is_new {
            cuts.push(first..number);
            first = number;
            seen.clear();
            seen.insert(*document);
        }
    }
    if first < documents.len() {
        cuts.push(first..documents.len());
    }
    cuts
}

pub(super) fn refuse(why: &str) -> CommandFailure {
    CommandFailure::again(format!("the store does not take the bare writes: {why}"))
}

/// Whether the store took all writes of a request.
pub(super) fn check(verdicts: &[Verdict]) -> Result<(), CommandFailure> {
    for verdict in verdicts {
        match verdict {
            Verdict::Applied | Verdict::Superseded => {}
            Verdict::Retry(failure) => return Err(refuse(&failure.why)),
            Verdict::Reject(reject) => return Err(refuse(&reject.why)),
            _ => return Err(refuse("it asks to wait")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_holds_a_document_once_where_the_store_takes_it_once() {
        let limits = |items, one_write_a_document| SinkLimits { items, bytes: 1, ordered: false, one_write_a_document };
        let documents = ["a", "b", "a", "a", "c", "d", "e"];
        assert_eq!(cut(&documents, 3, limits(100, false)), [0..3, 3..6, 6..7]);
        assert_eq!(cut(&documents, 3, limits(100, true)), [0..2, 2..3, 3..6, 6..7]);
        assert_eq!(cut(&documents, 3, limits(2, false)), [0..2, 2..4, 4..6, 6..7]);
        assert!(cut(&[], 3, limits(2, true)).is_empty());
    }
}
