//! The relay: publishes what stands in the outbox, each row at least once, the rows of a subject in their order.
//!
//! Of several relays one works: whoever holds the row lease, which needs no session of its own, so that a pool of transactions may
//! stand in between. A row is open until its publication is noted; nothing is remembered of how far it went. After a kill, what
//! was claimed and not noted goes out again under the same ids: at most one batch. What is old is not its business: [`super::reaction_upkeep`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::events::{EventProducer, EventProducerOptions, OutgoingEvent, ProducerError};
use futures_util::future::join_all;
use parking_lot::Mutex;
use pipeline::mutant;
use pipeline::sink::Failure;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::outbox::{Claim, OpenRow, Outbox};
use crate::config::Config;
use crate::stores::target::SetupError;

/// How long a lease is good for. Whoever takes the place of a relay that died waits this long at most.
const LEASE: Duration = Duration::from_secs(5);
/// How often the outbox is looked at where nobody says that there is something.
const LOOK: Duration = Duration::from_millis(50);
/// How often it is tried to take the lease of another.
const TRY: Duration = Duration::from_millis(500);
/// Most rows of a claim.
const BATCH: i64 = 1_000;
/// How long Kafka may take to acknowledge; with what is left of the lease before a claim it has to be over by the lease's end.
const ACKNOWLEDGED: Duration = Duration::from_secs(3);
/// How long the events of a topic that does not exist are left alone.
const WITHOUT_TOPIC: Duration = Duration::from_secs(5);
/// How long it may take to publish the last rows at a stop.
const LAST: Duration = Duration::from_millis(1_500);

/// Publishes what stands in an outbox.
pub struct Relay {
    outbox: Outbox,
    producer: EventProducer,
    /// Names this relay among others.
    holder: String,
    wake: Arc<Notify>,
    stop: CancellationToken,
    started: AtomicBool,
    running: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// What the relay remembers from one round to the next.
#[derive(Default)]
struct RelayMemory {
    fence: Option<i64>,
    /// The last round did not end as it should: what was claimed may have been published.
    doubtful: bool,
    /// Types whose topics do not exist, with the time until which they are left alone.
    without_topic: HashMap<String, Instant>,
    failed: bool,
    /// The number of the last row that was sent.
    cursor: i64,
}

/// What a round came to.
enum RelayRound {
    /// Another relay holds the lease.
    Elsewhere,
    /// So many rows were claimed, and so many of them noted.
    Claimed(usize, usize),
}

impl Relay {
    /// `wake` is told when something was put into the outbox. Connects nowhere yet.
    ///
    /// # Errors
    /// A sentence about the settings of Kafka.
    pub fn new(config: &Config, outbox: Outbox, wake: Arc<Notify>) -> Result<Arc<Self>, SetupError> {
        let options = EventProducerOptions {
            topic_prefix: config.event_topic_prefix.clone(),
            cloud_source: config.reactions.cloud_source.clone(),
            timeout: ACKNOWLEDGED,
            ..EventProducerOptions::default()
        };
        let mut client = config.kafka.client_config();
        client.set("linger.ms", "1");
        let producer =
            EventProducer::new(&client, options).map_err(|error| SetupError::Unusable(format!("Kafka: {error}")))?;
        Ok(Arc::new(Self {
            outbox,
            producer,
            holder: uuid::Uuid::new_v4().to_string(),
            wake,
            stop: CancellationToken::new(),
            started: AtomicBool::new(false),
            running: Mutex::new(None),
        }))
    }

    /// Begins, once.
    pub fn start(self: &Arc<Self>) {
        if !self.started.swap(true, Ordering::Relaxed) {
            *self.running.lock() = Some(AbortOnDropHandle::new(tokio::spawn(run(self.clone()))));
        }
    }

    /// Publishes what is there, as far as that goes within a moment, and gives the lease away.
    pub async fn close(&self) {
        self.stop.cancel();
        let running = self.running.lock().take();
        if let Some(running) = running
            && tokio::time::timeout(LAST, running).await.is_err()
        {
            tracing::info!("Not everything of the outbox is published yet; the next relay goes on");
        }
        self.outbox.release(&self.holder).await.ok();
    }

    async fn round(&self, memory: &mut RelayMemory) -> Result<RelayRound, Failure> {
        memory.without_topic.retain(|_, until| *until > Instant::now());
        let without: Vec<&str> = memory.without_topic.keys().map(String::as_str).collect();
        let good_until = Instant::now() + LEASE;
        // A number that is seen later may be lower: only a bug remembers how far it went.
        let cursor = if mutant!(RelayByCursor) { memory.cursor } else { 0 };
        let Some(claim) = self.outbox.claim(&self.holder, LEASE, &without, BATCH, cursor).await? else {
            memory.fence = None;
            return Ok(RelayRound::Elsewhere);
        };
        if memory.fence.replace(claim.fence) != Some(claim.fence) {
            tracing::info!(fence = claim.fence, "The outbox is relayed by this process");
            memory.doubtful = true;
        }
        self.count_again(&claim, memory);
        if claim.rows.is_empty() {
            return Ok(RelayRound::Claimed(0, 0));
        }
        memory.doubtful = true;
        if !self.still_holds(good_until, &claim).await? {
            return Ok(RelayRound::Claimed(claim.rows.len(), 0));
        }
        let noted = self.publish(&claim, memory).await?;
        memory.doubtful = noted < claim.rows.len();
        Ok(RelayRound::Claimed(claim.rows.len(), noted))
    }

    /// Whether the lease is good for as long as a publication may take. A process that was asleep, or whose claim took its time, asks
    /// once more.
    async fn still_holds(&self, good_until: Instant, claim: &Claim) -> Result<bool, Failure> {
        let enough = |until: Instant| until.saturating_duration_since(Instant::now()) >= ACKNOWLEDGED;
        if enough(good_until) {
            return Ok(true);
        }
        let good_until = Instant::now() + LEASE;
        Ok(self.outbox.renew(&self.holder, claim.fence, LEASE).await? && enough(good_until))
    }

    /// Rows that an earlier claim had may have been published by it.
    fn count_again(&self, claim: &Claim, memory: &RelayMemory) {
        let again = claim.rows.iter().filter(|row| row.order_number <= claim.claimed_before).count();
        if memory.doubtful && again > 0 {
            metrics::counter!("millrace_outbox_resent_total").increment(again as u64);
            tracing::info!(rows = again, "Rows of the outbox may be published a second time, under the same ids");
        }
    }

    /// Sends the rows and notes what became of them; returns how many are not open any more.
    async fn publish(&self, claim: &Claim, memory: &mut RelayMemory) -> Result<usize, Failure> {
        // In the order of the rows: what is enqueued first stands first in its partition.
        let sent = join_all(claim.rows.iter().map(|row| self.producer.send_outgoing(outgoing(row)))).await;
        let (mut published, mut parked) = (Vec::new(), Vec::new());
        let mut failed = None;
        for (row, sent) in claim.rows.iter().zip(sent) {
            match sent.map_err(|error| (refused(&error), error)) {
                Ok(_) => published.push(row.id.as_str()),
                Err((RefusedSend::Row, error)) => parked.push((row.id.as_str(), error.to_string())),
                Err((RefusedSend::Topic, _)) => {
                    if memory.without_topic.insert(row.event_type.clone(), Instant::now() + WITHOUT_TOPIC).is_none() {
                        tracing::warn!(topic = row.event_type, "Events wait in the outbox: their topic does not exist");
                    }
                }
                Err((RefusedSend::Now, error)) => failed = Some(error.to_string()),
            }
        }
        memory.cursor = claim.rows.last().map_or(memory.cursor, |row| row.order_number);
        self.outbox.note(&published, &parked).await?;
        metrics::counter!("millrace_outbox_published_total").increment(published.len() as u64);
        metrics::counter!("millrace_outbox_parked_total").increment(parked.len() as u64);
        for (id, why) in &parked {
            tracing::error!(id, why, "A row of the outbox is parked: Kafka does not take it");
        }
        match failed {
            Some(why) => Err(Failure::unavailable(format!("Kafka does not take what is to be published: {why}"))),
            None => Ok(published.len() + parked.len()),
        }
    }
}

/// Rounds, until it is told to stop and nothing is open.
async fn run(relay: Arc<Relay>) {
    let mut memory = RelayMemory::default();
    loop {
        let pause = match relay.round(&mut memory).await {
            Ok(RelayRound::Claimed(claimed, noted)) if claimed > 0 && noted > 0 => Duration::ZERO,
            Ok(RelayRound::Claimed(0, _)) if relay.stop.is_cancelled() => return,
            Ok(RelayRound::Claimed(..)) => LOOK,
            Ok(RelayRound::Elsewhere) if relay.stop.is_cancelled() => return,
            Ok(RelayRound::Elsewhere) => TRY,
            Err(_) if relay.stop.is_cancelled() => return,
            Err(failure) => {
                if !std::mem::replace(&mut memory.failed, true) {
                    tracing::warn!(reason = %failure.why, "The outbox is not relayed at the moment");
                }
                tokio::time::sleep(TRY).await;
                continue;
            }
        };
        memory.failed = false;
        if !pause.is_zero() {
            tokio::select! {
                () = relay.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = relay.stop.cancelled(), if !relay.stop.is_cancelled() => {}
            }
        }
    }
}

fn outgoing(row: &OpenRow) -> OutgoingEvent<'_> {
    OutgoingEvent { event_type: &row.event_type, key: &row.key, id: &row.id, payload: row.payload.as_bytes() }
}

/// Whom a refusal concerns.
enum RefusedSend {
    /// This row, for good.
    Row,
    /// Everything of its topic.
    Topic,
    /// Whatever is sent at the moment.
    Now,
}

fn refused(error: &ProducerError) -> RefusedSend {
    let ProducerError::Unacknowledged { error: KafkaError::MessageProduction(code), .. } = error else {
        return RefusedSend::Now;
    };
    match code {
        RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessage | RDKafkaErrorCode::InvalidRecord => {
            RefusedSend::Row
        }
        RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::UnknownTopicOrPartition
        | RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::InvalidTopic => RefusedSend::Topic,
        _ => RefusedSend::Now,
    }
}
