//! `millrace run`: the consumers, their HTTP server, and an orderly end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::sink::Order;
use pipeline::{Outcome, Proceed, Status, Tally};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Failure, RunArgs, leaving};
use crate::config::Config;
use crate::consumer::{self, Consumer, ConsumerError, Finished, RunOptions};
use crate::http::{Continued, Health, Reason, Server};
use crate::sinks::follow_up::{FollowUps, Refusal};
use crate::systems::{self, Chosen};
use crate::telemetry;

/// What comes after the consumers have stopped: the HTTP server's end, the summaries, the runtime's end.
const AFTERWARDS: Duration = Duration::from_secs(4);

/// A system as the HTTP server sees it.
struct Watched {
    name: &'static str,
    brought_along: bool,
    status: Arc<Status>,
    proceed: Arc<dyn Proceed>,
    tally: watch::Receiver<Tally>,
    follow_ups: Option<Arc<FollowUps>>,
}

/// Refused follow-ups that `/health` names; it counts them all.
const NAMED: usize = 10;

struct Systems(Vec<Watched>);

impl Systems {
    fn reasons_of(&self, brought_along: bool) -> Vec<Reason> {
        let reasons = |system: &Watched| {
            let name = system.name;
            let reason = move |standing: pipeline::status::Reason| Reason {
                source: format!("{name}: {}", standing.source),
                reason: standing.why,
            };
            system.status.standing().into_iter().map(reason).collect::<Vec<_>>()
        };
        self.0.iter().filter(|system| system.brought_along == brought_along).flat_map(reasons).collect()
    }
}

impl Health for Systems {
    fn reasons(&self) -> Vec<Reason> {
        self.reasons_of(false)
    }

    fn projections(&self) -> Vec<Reason> {
        self.reasons_of(true)
    }

    fn details(&self) -> Value {
        let detail = |system: &Watched| {
            let standing = system.status.standing();
            let reasons: Vec<Value> =
                standing.iter().map(|reason| json!({"source": reason.source, "reason": reason.why})).collect();
            let outcomes = outcomes(*system.tally.borrow());
            let mut detail = json!({"ready": reasons.is_empty(), "reasons": reasons, "outcomes": outcomes});
            if let (Some(detail), Some(follow_ups)) = (detail.as_object_mut(), &system.follow_ups) {
                detail.insert("refused_follow_ups".to_owned(), refused(&follow_ups.standing()));
            }
            (system.name.to_owned(), detail)
        };
        self.0.iter().map(detail).collect::<serde_json::Map<_, _>>().into()
    }

    fn proceed(&self, system: &str) -> Continued {
        match self.0.iter().find(|watched| watched.name == system) {
            Some(watched) if watched.proceed.proceed() => Continued::Yes,
            Some(_) => Continued::NotOpen,
            None => Continued::Unknown,
        }
    }
}

fn refused(standing: &[Refusal]) -> Value {
    let named = standing.iter().take(NAMED);
    let named: Vec<Value> = named.map(|one| json!({"document": one.document, "reason": one.why})).collect();
    json!({"count": standing.len(), "documents": named})
}

/// Runs the named systems, or those of the configuration, until a signal or, with `--once`, the end of the log.
///
/// # Errors
/// A configuration that does not fit, an address that is taken, or a consumer that failed for good.
pub async fn run(args: RunArgs, config: Config) -> Result<(), Failure> {
    let names = if args.systems.is_empty() { &config.systems } else { &args.systems };
    let options = RunOptions { once: args.once, stop: CancellationToken::new() };
    let consumers = consumers(names, &config, &options)?;
    let metrics = telemetry::metrics().map_err(|error| Failure::internal(error.to_string()))?;
    let server = Server::bind(&config.http).await.map_err(|error| Failure::unavailable(error.to_string()))?;
    let serving = CancellationToken::new();
    let http = tokio::spawn(server.serve(health(&consumers), metrics, serving.clone()));
    stop_on_signal(&consumers, &config, &options.stop)?;

    let (ended, failed) = all(consumers, &options.stop).await;
    serving.cancel();
    // The consumers' answer is the one that counts.
    http.await.ok();
    let mut short = None;
    for (name, finished, took) in ended.into_iter().filter(|_| args.once) {
        super::print_json(&summary(name, finished, took))?;
        if !finished.reached_end {
            let stopped = format!("{name}: stopped before the end of the log; what is left is read by the next run");
            short = Some(Failure::again(stopped));
        }
    }
    failed.or(short).map_or(Ok(()), Err)
}

/// A consumer, and whether its primary brought it along.
pub(super) type Member = (Consumer, bool);

/// What the consumers came to and how long they took, by their names, and why one of them failed.
pub(super) type Ended = (Vec<(&'static str, Finished, Duration)>, Option<Failure>);

/// Makes the consumers of these systems and of the projections that they bring along.
pub(super) fn consumers(names: &[String], config: &Config, options: &RunOptions) -> Result<Vec<Member>, Failure> {
    let chosen = systems::choose(names, config).map_err(Failure::usage)?;
    let config = config.shared_by(chosen.len());
    let made = |Chosen { system, brought_along }: Chosen| {
        let setup = system.setup(&config, Order::Log).map_err(Failure::config)?;
        let consumer = Consumer::new(setup, &config, options).map_err(Failure::config)?;
        Ok((consumer, brought_along))
    };
    chosen.into_iter().map(made).collect()
}

/// What the HTTP server says of them.
pub(super) fn health(consumers: &[Member]) -> Arc<dyn Health> {
    let watched = consumers.iter().map(|(consumer, brought_along)| Watched {
        name: consumer.name,
        brought_along: *brought_along,
        status: consumer.status.clone(),
        proceed: consumer.proceed.clone(),
        tally: consumer.tally.clone(),
        follow_ups: consumer.follow_ups.clone(),
    });
    Arc::new(Systems(watched.collect()))
}

/// Stops at the first signal, in order; at the second, or when that takes too long, at once.
pub(super) fn stop_on_signal(consumers: &[Member], config: &Config, stop: &CancellationToken) -> Result<(), Failure> {
    let tallies: Vec<_> = consumers.iter().map(|(consumer, _)| (consumer.name, consumer.tally.clone())).collect();
    let left = move || {
        let finished = |(name, tally): &(&str, watch::Receiver<Tally>)| format!("{name} {}", tally.borrow().total());
        let finished: Vec<_> = tallies.iter().map(finished).collect();
        format!("whatever is in flight; it is read again by the next run; records finished: {}", finished.join(", "))
    };
    leaving::in_order(stop.clone(), consumer::stop_limit(config) + AFTERWARDS, Box::new(left))
}

/// Waits for all consumers. One that fails stops the others, save a projection that was brought along: it is never in
/// the way.
pub(super) async fn all(consumers: Vec<Member>, stop: &CancellationToken) -> Ended {
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for (consumer, brought_along) in consumers {
        let Consumer { name, status, task, .. } = consumer;
        running.spawn(async move { (name, brought_along, status, task.await) });
    }
    let (mut all, mut failed) = (Vec::new(), None);
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok((name, _, _, Ok(finished))) => {
                said(name, finished.tally);
                all.push((name, finished, begun.elapsed()));
            }
            Ok((name, true, status, Err(error))) => {
                status.raise("consumer", format!("failed for good, until a restart: {error}"));
                failed = failed.or(Some(failure(name, &error)));
            }
            Ok((name, false, _, Err(error))) => {
                stop.cancel();
                failed = Some(failure(name, &error));
            }
            Err(error) => {
                stop.cancel();
                failed = Some(Failure::internal(format!("a consumer panicked, which is a bug: {error}")));
            }
        }
    }
    (all, failed)
}

fn said(system: &str, tally: Tally) {
    tracing::info!(system, records = tally.total(), outcomes = %tally, "Consumer stopped");
    if tally.abandoned > 0 {
        tracing::info!(system, records = tally.abandoned, "Left in flight; will be read again");
    }
}

fn summary(system: &str, Finished { tally, reached_end }: Finished, took: Duration) -> Value {
    let seconds = took.as_secs_f64();
    let mut summary = json!({
        "system": system,
        "reached_end": reached_end,
        "records": tally.total(),
        "seconds": (seconds * 1000.0).round() / 1000.0,
        "records_per_second": (tally.total() as f64 / seconds).round(),
    });
    if let Some(fields) = summary.as_object_mut() {
        fields.extend(outcomes(tally));
    }
    summary
}

fn outcomes(tally: Tally) -> Map<String, Value> {
    Outcome::ALL.into_iter().map(|outcome| (outcome.name().to_owned(), tally.count(outcome).into())).collect()
}

fn failure(system: &str, error: &ConsumerError) -> Failure {
    let message = format!("{system}: {error}");
    match error {
        ConsumerError::Feed(pipeline::kafka::FeedError::Configuration(_)) => Failure::config(message),
        ConsumerError::Feed(pipeline::kafka::FeedError::Fatal(_)) => Failure::again(message),
        _ => Failure::internal(message),
    }
}
