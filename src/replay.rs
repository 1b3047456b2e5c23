//! Replay: records that were dead-lettered go through the engine again, out of order and so only where the store holds
//! nothing newer. What is rejected again stays the letter that it is; nothing is written to the dead letters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pipeline::batcher::{Batch, BatchLimits, Batcher};
use pipeline::dead_letters::{DeadLetters, Letter};
use pipeline::sink::{Answer, Failure, Reject};
use pipeline::{Engine, Epoch, Options, Parts, Record, Status, System, Tally, TopicPartition, feed};

use crate::consumer::Setup;

/// Letters replayed by one engine. Its breaker would stop at as many rejects, which here are findings and no disaster.
const CHUNK: usize = 500;
/// No group watches over a replay, so its session never ends.
const SESSION: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a replay came to.
#[derive(Debug, Default)]
pub struct Replayed {
    pub tally: Tally,
    /// What is rejected still: where it stands in the log, and why.
    pub rejected: Vec<(TopicPartition, i64, Reject)>,
}

/// Notes rejects instead of sending letters.
#[derive(Debug, Default)]
struct Findings(Mutex<Vec<(TopicPartition, i64, Reject)>>);

impl DeadLetters for Findings {
    fn send<'a>(&'a self, letters: &'a [Letter<'a>]) -> Answer<'a, Vec<Result<(), Failure>>> {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.extend(letters.iter().map(|l| (l.record.at.clone(), l.record.offset, l.reject.clone())));
        let answers = letters.iter().map(|_| Ok(())).collect();
        Box::pin(async move { answers })
    }
}

/// Writes the records through the system's engine; waits for the store without end once it was reached.
///
/// # Errors
/// A sentence about the configuration or the store.
pub async fn replay<S: System + Clone>(
    setup: &Setup<S>,
    options: Options,
    records: Vec<Record>,
) -> Result<Replayed, String> {
    (setup.prepare)().await?;
    let findings = Arc::new(Findings::default());
    let mut replayed = Replayed::default();
    for chunk in records.chunks(CHUNK) {
        let (intake, engine_end) = feed::channel(SESSION);
        let batches = batches(chunk, |at| intake.leases.grant(at));
        let parts = Parts {
            system: setup.system.clone(),
            sink: setup.sink.clone(),
            dead_letters: findings.clone(),
            marks: None,
            status: Arc::new(Status::default()),
        };
        let engine = tokio::spawn(Engine::new(parts, engine_end, options.clone()).run());
        for batch in batches {
            // The engine is gone only when it failed, which its own answer tells.
            intake.batches.send(batch).await.ok();
        }
        drop(intake);
        let tally = engine.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        replayed.tally.merge(tally);
    }
    replayed.rejected = std::mem::take(&mut *findings.0.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(replayed)
}

/// Cuts records into batches.
fn batches(records: &[Record], mut grant: impl FnMut(&TopicPartition) -> Epoch) -> Vec<Batch> {
    let limits = BatchLimits { records: CHUNK, bytes: 4 << 20, age: SESSION };
    let mut batcher = Batcher::new(limits);
    let mut epochs: BTreeMap<TopicPartition, Epoch> = BTreeMap::new();
    let now = Instant::now();
    let mut batches = Vec::new();
    for record in records {
        let epoch = *epochs.entry(record.at.clone()).or_insert_with(|| grant(&record.at));
        batches.extend(batcher.push(record.clone(), epoch, now));
    }
    batches.extend(batcher.cut());
    batches
}
