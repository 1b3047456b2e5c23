//! The relay: publishes what stands in the outbox, each row at least once, the rows of a subject in their order.
//!
//! Of several relays one works: whoever holds the row lease, which needs no session of its own, so that a pool of transactions may
//! stand in between. A row is open until its publication is noted; nothing is remembered of how far it went. After a kill, what
//! was claimed and not noted goes out again under the same ids: at most one batch. What is old is not its business: [`super::reaction_upkeep`].

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ::events::{EventProducer, EventProducerOptions, OutgoingEvent, ProducerError};
use async_trait::async_trait;
use futures_util::future::join_all;
use pipeline::mutant;
use pipeline::sink::Failure;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::background::{BackgroundTask, RoundEnd, RoundWork, go_in_rounds};
use super::outbox::{Claim, OpenRow, Outbox};
use super::signal::OutboxSignal;
use crate::config::Config;
use crate::stores::target::SetupError;

/// How long a lease is good for. Whoever takes the place of a relay that died waits this long at most.
const LEASE: Duration = Duration::from_secs(5);
/// How often the outbox is looked at where other processes cannot tell that there is something.
const LOOK: Duration = Duration::from_millis(50);
/// How often it is looked at where they can: word may be lost.
const LOOK_ALL_THE_SAME: Duration = Duration::from_millis(500);
/// How often it is tried to take the lease of another.
const TRY: Duration = Duration::from_millis(500);
/// Most rows of a claim.
const BATCH: i64 = 1_000;
/// How long Kafka may take to acknowledge; with what is left of the lease before a claim it has to be over by the lease's end.
const ACKNOWLEDGED: Duration = Duration::from_secs(3);
/// How long the events of a topic that does not exist are left alone.
const WITHOUT_TOPIC: Duration = Duration::from_secs(5);
/// Publishes what stands in an outbox.
struct Relay {
    outbox: Outbox,
    signal: OutboxSignal,
    producer: EventProducer,
    /// Names this relay among others.
    holder: String,
    fence: Option<i64>,
    /// The last round did not end as it should: what was claimed may have been published.
    doubtful: bool,
    /// Types whose topics do not exist, with the time until which they are left alone.
    without_topic: HashMap<String, Instant>,
    /// The number of the last row that was sent.
    cursor: i64,
}

/// The relay of an outbox; `signal` tells when something was put into it. Connects nowhere yet.
///
/// # Errors
/// A sentence about the settings of Kafka.
pub fn relay(config: &Config, outbox: Outbox, signal: OutboxSignal) -> Result<BackgroundTask, SetupError> {
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
    let wake = signal.wake.clone();
    let relay = Relay {
        outbox,
        signal,
        producer,
        holder: uuid::Uuid::new_v4().to_string(),
        fence: None,
        doubtful: false,
        without_topic: HashMap::new(),
        cursor: 0,
    };
    Ok(BackgroundTask::new(|stop| go_in_rounds(relay, wake, stop)))
}

#[async_trait]
impl RoundWork for Relay {
    const STANDSTILL: &'static str = "The outbox is not relayed at the moment";
    const AWAY: Duration = TRY;

    async fn round(&mut self) -> Result<RoundEnd, Failure> {
        self.without_topic.retain(|_, until| *until > Instant::now());
        let without: Vec<&str> = self.without_topic.keys().map(String::as_str).collect();
        let good_until = Instant::now() + LEASE;
        // A number that is seen later may be lower: only a bug remembers how far it went.
        let cursor = if mutant!(RelayByCursor) { self.cursor } else { 0 };
        let Some(claim) = self.outbox.claim(&self.holder, LEASE, &without, BATCH, cursor).await? else {
            self.fence = None;
            return Ok(RoundEnd::Idle(TRY));
        };
        if self.fence.replace(claim.fence) != Some(claim.fence) {
            tracing::info!(fence = claim.fence, "The outbox is relayed by this process");
            self.doubtful = true;
        }
        self.count_again(&claim);
        if claim.rows.is_empty() {
            return Ok(RoundEnd::Idle(if self.signal.hears_others() { LOOK_ALL_THE_SAME } else { LOOK }));
        }
        self.doubtful = true;
        if !self.still_holds(good_until, &claim).await? {
            return Ok(RoundEnd::Left(LOOK));
        }
        let noted = self.publish(&claim).await?;
        self.doubtful = noted < claim.rows.len();
        Ok(if noted > 0 { RoundEnd::More } else { RoundEnd::Left(LOOK) })
    }

    /// Gives the lease away.
    async fn finish(&mut self, whole: bool) {
        if !whole {
            tracing::info!("Not everything of the outbox is published yet; the next relay goes on");
        }
        self.outbox.release(&self.holder).await.ok();
    }
}

impl Relay {
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
    fn count_again(&self, claim: &Claim) {
        let again = claim.rows.iter().filter(|row| row.order_number <= claim.claimed_before).count();
        if self.doubtful && again > 0 {
            metrics::counter!("millrace_outbox_resent_total").increment(again as u64);
            tracing::info!(rows = again, "Rows of the outbox may be published a second time, under the same ids");
        }
    }

    /// Sends the rows and notes what became of them; returns how many are not open any more.
    async fn publish(&mut self, claim: &Claim) -> Result<usize, Failure> {
        // In the order of the rows: what is enqueued first stands first in its partition.
        let sent = join_all(claim.rows.iter().map(|row| self.producer.send_outgoing(outgoing(row)))).await;
        let (mut published, mut parked) = (Vec::new(), Vec::new());
        let mut failed = None;
        for (row, sent) in claim.rows.iter().zip(sent) {
            match sent.map_err(|error| (judge_send(&error), error)) {
                Ok(_) => published.push(row.id.as_str()),
                Err((RefusedSend::Row, error)) => parked.push((row.id.as_str(), error.to_string())),
                Err((RefusedSend::Topic, _)) => {
                    if self.without_topic.insert(row.event_type.clone(), Instant::now() + WITHOUT_TOPIC).is_none() {
                        tracing::warn!(topic = row.event_type, "Events wait in the outbox: their topic does not exist");
                    }
                }
                Err((RefusedSend::Now, error)) => failed = Some(error.to_string()),
            }
        }
        self.cursor = claim.rows.last().map_or(self.cursor, |row| row.order_number);
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

fn judge_send(error: &ProducerError) -> RefusedSend {
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
