//! One consumer: an engine, the Kafka feed that fills it, and what has to stand before the first record.
//!
//! It waits for the services and does not give up on them. It guarantees that nothing is read before the dead-letter
//! topics and the store are ready, and that a stop drains, commits and says what stayed behind.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipeline::dedupe::MarkStore;
use pipeline::engine::batcher::BatchLimits;
use pipeline::engine::delivery::Delivery;
use pipeline::kafka::{
    FeedError, FeedOptions, KafkaDeadLetters, KafkaFeed, RateLimiter, StateTopic, ensure_dead_letter_topics,
    fit_largest_message,
};
use pipeline::offsets::offset_tracker::Frontier;
use pipeline::{
    Engine, EngineError, EngineOptions, EngineParts, Proceed, RedisMarks, RetryPolicy, Status, Tally, feed,
};
use rdkafka::ClientConfig;
use secrecy::ExposeSecret;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::Config;
use crate::run::blocking::blocking;
use crate::run::pace::{Pace, PaceMeter};
use crate::run::tuned;
use crate::stores::follow_up::FollowUps;
use crate::stores::target::{Closing, ClosingStep, Prepare, SetupError, StaticFuture};
use crate::systems::{ConsumerGroup, Setup};

/// Marks of recent records kept in memory, in 26 MB at most.
const DEDUPE_WINDOW: NonZeroUsize = NonZeroUsize::new(500_000).unwrap();
/// How often a service that is not there is asked again before anything is read.
const PREPARE_AGAIN: Duration = Duration::from_secs(2);

/// How long an engine may take to end after its feed has: by then everything was finished, committed or given up.
const ENGINE_END: Duration = Duration::from_secs(2);

/// Why a consumer ended otherwise than by a stop.
#[derive(Debug, Error)]
pub enum ConsumerError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Feed(#[from] FeedError),
    #[error("the poll thread could not be started: {0}")]
    Thread(std::io::Error),
    #[error("the poll thread ended without a word, which is a bug")]
    Silent,
}

/// How a run was asked for.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Stop at the end of the log.
    pub once: bool,
    pub stop: CancellationToken,
}

/// What a consumer came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunSummary {
    pub tally: Tally,
    /// Whether a run to the end of the log got there.
    pub reached_end: bool,
    /// `None` where there were no two batches.
    pub pace: Option<Pace>,
}

/// What is shown of a consumer.
#[derive(Clone)]
pub struct ConsumerView {
    pub status: Arc<Status>,
    pub proceed: Arc<dyn Proceed>,
    /// The counts so far.
    pub tally: watch::Receiver<Tally>,
    /// How far each partition is finished.
    pub frontier: watch::Receiver<Frontier>,
    /// What is done after records were stored, with what was refused of it.
    pub follow_ups: Option<Arc<FollowUps>>,
    /// Where the store is tuned to.
    pub delivery: Option<Arc<Delivery>>,
    /// Where a rate was set.
    pub rate: Option<Arc<RateLimiter>>,
}

/// A consumer that is ready to run.
pub struct Consumer {
    pub name: &'static str,
    /// What it reads.
    pub topics: Vec<String>,
    /// The store that it writes to, without any login.
    pub target: String,
    pub shown: ConsumerView,
    pub task: StaticFuture<Result<RunSummary, ConsumerError>>,
}

impl Consumer {
    /// Puts the parts together. Must be called inside a tokio runtime; connects nowhere yet.
    ///
    /// # Errors
    /// A sentence about the configuration.
    pub fn new(setup: Setup, config: &Config, run: &RunOptions) -> Result<Self, SetupError> {
        let client = config.kafka.client_config();
        let name = setup.bound.binding.system();
        let status = Arc::new(Status::of(name));
        status.raise("start", "waiting for the services");
        let (intake, feed) = feed::channel(config.kafka.session_timeout);
        let frontier = intake.frontier.clone();
        let parts = EngineParts {
            binding: setup.bound.binding,
            dead_letters: Arc::new(
                KafkaDeadLetters::new(&client).map_err(|error| SetupError::Unusable(format!("Kafka: {error}")))?,
            ),
            marks: marks(config, &setup.group.id, &setup.bound.target)?,
            status: status.clone(),
        };
        let (delivery, rate) = (tuned::delivery(name, config), tuned::rate(name, config));
        let options = EngineOptions { delivery: delivery.clone(), ..engine_options(config, &setup.group.id) };
        let engine = Engine::new(parts, feed, options);
        let (proceed, tally) = (engine.proceed(), engine.tally());
        let feed_options = FeedOptions {
            delivery: delivery.clone(),
            rate: rate.clone(),
            ..feed_options(config, setup.group, run.once)
        };
        let replication = config.kafka.topic_replication.map(i32::from);
        let (stop, shared, prepare) = (run.stop.child_token(), status.clone(), setup.bound.prepare);
        let (close, target, topics) = (setup.bound.close, setup.bound.target, feed_options.topics.clone());
        let follow_ups = setup.bound.reader.follow_ups();
        let (unfinished, every) = (follow_ups.clone(), config.reviews.retry);
        let task = async move {
            tokio::select! {
                () = prepare_all(&client, &feed_options, replication, &prepare, &shared) => {}
                () = stop.cancelled() => return Ok(RunSummary::default()),
            }
            let client = fit_client(client, &feed_options.topics).await;
            tracing::info!(system = name, "Kafka Consumer connected");
            let topics = feed_options.topics.clone();
            let feed = KafkaFeed::new(&client, feed_options, intake, shared.clone(), stop.clone())?;
            topics.iter().for_each(|topic| tracing::info!(system = name, "Subscribed to topic: {topic}"));
            // The feed has raised what it waits for, so the status is not green in between.
            shared.clear("start");
            let driven = close_after(drive(engine, feed), close, stop);
            match unfinished {
                Some(follow_ups) => tokio::select! {
                    finished = driven => finished,
                    () = follow_ups.keep_trying(every) => Err(ConsumerError::Silent),
                },
                None => driven.await,
            }
        };
        let shown = ConsumerView { status, proceed, tally, frontier, follow_ups, delivery, rate };
        Ok(Self { name, topics, target, shown, task: Box::pin(task) })
    }
}

/// How long a consumer takes to stop at most, whatever does not answer.
pub(crate) fn stop_limit(config: &Config) -> Duration {
    pipeline::kafka::stop_limit(config.kafka.session_timeout) + 2 * ENGINE_END
}

/// Closes what the store holds open, step by step, as the consumer stops.
async fn close_after<T>(driven: impl Future<Output = T>, close: Option<Closing>, stop: CancellationToken) -> T {
    let Some(close) = close else { return driven.await };
    let mut driven = std::pin::pin!(driven);
    let early = tokio::select! {
        ended = &mut driven => Some(ended),
        () = async { stop.cancelled().await; close(ClosingStep::Stopping).await; } => None,
    };
    let ended = match early {
        Some(ended) => ended,
        None => driven.await,
    };
    tracing::info!("Kafka Consumer disconnected");
    if tokio::time::timeout(ENGINE_END, close(ClosingStep::Ended)).await.is_err() {
        tracing::warn!("The store's connections do not close; left");
    }
    ended
}

/// Runs both ends until the feed is at its end; an engine that fails ends the feed as well.
async fn drive(engine: Engine, feed: KafkaFeed) -> Result<RunSummary, ConsumerError> {
    let (ended, answer) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("poll".into())
        .spawn(move || ended.send(feed.run()).ok())
        .map_err(ConsumerError::Thread)?;
    let (so_far, meter) = (engine.tally(), PaceMeter::default());
    let _watching = AbortOnDropHandle::new(tokio::spawn(meter.clone().watch(engine.tally())));
    let engine = AbortOnDropHandle::new(tokio::spawn(engine.run()));
    let fed = answer.await.map_err(|_| ConsumerError::Silent);
    let tally = match tokio::time::timeout(ENGINE_END, engine).await {
        Ok(Ok(tally)) => tally?,
        Ok(Err(panicked)) => return Err(EngineError::Panicked(panicked).into()),
        Err(_) => {
            tracing::warn!("What is in flight does not end; left, and read again");
            *so_far.borrow()
        }
    };
    Ok(RunSummary { tally, reached_end: fed??, pace: meter.pace() })
}

/// The client with a receive limit that fits the topics.
async fn fit_client(client: ClientConfig, topics: &[String]) -> ClientConfig {
    let (asking, topics) = (client.clone(), topics.to_vec());
    let fit = move || Ok(fit_largest_message(&asking, &topics));
    blocking(std::convert::identity::<String>, fit).await.unwrap_or(client)
}

/// Waits until the state topic, the dead-letter topics and the store are in place.
async fn prepare_all(
    client: &ClientConfig,
    options: &FeedOptions,
    replication: Option<i32>,
    prepare: &Prepare,
    status: &Status,
) {
    let state = StateTopic::new(client, &options.state_topic);
    loop {
        match state.ensure(replication).await {
            Ok(()) => status.clear("state"),
            Err(error) => status.raise("state", error.to_string()),
        }
        let dead_letters = ensure_dead_letter_topics(client, &options.topics, replication).await;
        match dead_letters {
            Ok(()) => status.clear("dead letters"),
            Err(error) => status.raise("dead letters", error.to_string()),
        }
        match prepare().await {
            Ok(()) => status.clear("store"),
            Err(why) => status.raise("store", why.to_string()),
        }
        if status.standing().iter().all(|reason| reason.source == "start") {
            return;
        }
        tokio::time::sleep(PREPARE_AGAIN).await;
    }
}

fn marks(config: &Config, group: &str, target: &str) -> Result<Option<Arc<dyn MarkStore>>, SetupError> {
    Ok(redis(config, group, target)?.map(|marks| Arc::new(marks) as Arc<dyn MarkStore>))
}

pub(crate) fn redis(config: &Config, group: &str, target: &str) -> Result<Option<RedisMarks>, SetupError> {
    let Some(redis) = &config.redis else { return Ok(None) };
    let marks = RedisMarks::new(redis.url.expose_secret(), redis.ca_cert.as_deref(), group, target);
    // The error may quote the URL, and with it a password.
    let unusable = |_| SetupError::unusable_redis(&redis.address);
    marks.map(Some).map_err(unusable)
}

pub(crate) fn engine_options(config: &Config, group: &str) -> EngineOptions {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EngineOptions {
        group: group.to_owned(),
        max_in_flight: NonZeroUsize::new(config.max_in_flight).unwrap_or(NonZeroUsize::MIN),
        max_bytes: config.memory_budget / 2,
        retry: RetryPolicy {
            attempts: config.retries.attempts,
            delay: config.retries.delay,
            max_delay: config.retries.max_delay,
        },
        dedupe_window: DEDUPE_WINDOW,
        seed: since.as_nanos() as u64,
        delivery: None,
    }
}

/// The byte budget is split in four: the client's prefetch, two for what is in flight (records and the bodies made of
/// them), and the batches that are filled, in hand and on offer.
fn feed_options(config: &Config, group: ConsumerGroup, once: bool) -> FeedOptions {
    let quarter = config.memory_budget / 4;
    FeedOptions {
        system: group.consumer,
        topics: group.topics,
        group: group.id,
        state_topic: config.kafka.state_topic.clone(),
        session_timeout: config.kafka.session_timeout,
        heartbeat_interval: config.kafka.heartbeat_interval,
        limits: BatchLimits {
            records: config.batch.size,
            bytes: config.batch.bytes.min(quarter / 3).max(1),
            age: config.batch.timeout,
        },
        prefetch_bytes: quarter,
        stuck: config.kafka.stuck,
        once,
        delivery: None,
        rate: None,
    }
}
