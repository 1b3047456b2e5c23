//! The consumers of one process: made, shown to the HTTP server, kept running.
//!
//! It guarantees that a projection that was brought along is never in its primary's way: it stays out of readiness, and one that
//! fails is started again, later each time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use pipeline::sink::Order;
use pipeline::{Outcome, Tally};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::CommandFailure;
use crate::config::Config;
use crate::run::consumer::{Consumer, ConsumerError, ConsumerView, RunOptions, RunSummary};
use crate::run::http::{Continued, Health, ReasonLine};
use crate::run::tuned::{show_delivery, show_rate};
use crate::stores::follow_up::Refusal;
use crate::systems::{self, Chosen, ConsumerGroup, Definition};

/// Refused follow-ups that `/health` names; it counts them all.
const NAMED: usize = 10;
/// The first and the longest pause before a projection is started again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// After a run of this length the pauses begin anew.
const WELL: Duration = Duration::from_secs(600);

/// What is shown of a consumer now: a projection that was started again shows itself anew.
#[derive(Clone)]
pub(super) struct Current(Arc<RwLock<ConsumerView>>);

impl Current {
    fn new(shown: ConsumerView) -> Self {
        Self(Arc::new(RwLock::new(shown)))
    }

    pub(super) fn now(&self) -> ConsumerView {
        self.0.read().clone()
    }

    fn set(&self, shown: ConsumerView) {
        *self.0.write() = shown;
    }
}

type Make = Box<dyn Fn() -> Result<Consumer, CommandFailure> + Send>;

/// A consumer of this process.
pub(super) struct Member {
    consumer: Consumer,
    brought_along: bool,
    current: Current,
    /// Makes the consumer once more.
    make: Make,
}

impl Member {
    pub(super) fn name(&self) -> &'static str {
        self.consumer.name
    }

    pub(super) fn current(&self) -> Current {
        self.current.clone()
    }

    /// What it reads.
    pub(super) fn topics(&self) -> &[String] {
        &self.consumer.topics
    }

    /// Where it writes.
    pub(super) fn target(&self) -> &str {
        &self.consumer.target
    }
}

/// Makes the consumers of these systems and of the projections that they bring along.
pub(super) fn consumers(
    names: &[String],
    config: &Config,
    options: &RunOptions,
) -> Result<Vec<Member>, CommandFailure> {
    let chosen = systems::choose(names, config)?;
    let config = Arc::new(config.share_among(systems::groups_of(&chosen, config).len()));
    let each = |Chosen { system, brought_along }: Chosen| {
        (system.groups)(&config).into_iter().map(move |group| (system, group, brought_along))
    };
    let made = |(system, group, brought_along): (&'static Definition, ConsumerGroup, bool)| {
        let (config, options) = (config.clone(), options.clone());
        let make = move || -> Result<Consumer, CommandFailure> {
            let setup = system.setup_of(&config, group.clone(), Order::Log)?;
            Ok(Consumer::new(setup, &(system.tuned)(&config), &options)?)
        };
        let consumer = make()?;
        let current = Current::new(consumer.shown.clone());
        Ok(Member { consumer, brought_along, current, make: Box::new(make) })
    };
    chosen.into_iter().flat_map(each).map(made).collect()
}

/// A system as the HTTP server sees it.
struct Watched {
    name: &'static str,
    brought_along: bool,
    current: Current,
}

struct Systems(Vec<Watched>);

/// What the HTTP server says of them.
pub(super) fn health(members: &[Member]) -> Arc<dyn Health> {
    let watched = |member: &Member| Watched {
        name: member.name(),
        brought_along: member.brought_along,
        current: member.current(),
    };
    Arc::new(Systems(members.iter().map(watched).collect()))
}

impl Systems {
    fn reasons_of(&self, brought_along: bool) -> Vec<ReasonLine> {
        let reasons = |system: &Watched| {
            let name = system.name;
            let reason = move |standing: pipeline::status::Reason| {
                let line = ReasonLine::from(standing);
                ReasonLine { source: format!("{name}: {}", line.source), ..line }
            };
            system.current.now().status.standing().into_iter().map(reason).collect::<Vec<_>>()
        };
        self.0.iter().filter(|system| system.brought_along == brought_along).flat_map(reasons).collect()
    }
}

impl Health for Systems {
    fn reasons(&self) -> Vec<ReasonLine> {
        self.reasons_of(false)
    }

    fn projections(&self) -> Vec<ReasonLine> {
        self.reasons_of(true)
    }

    fn details(&self) -> Value {
        let detail = |system: &Watched| {
            let shown = system.current.now();
            let reasons: Vec<ReasonLine> = shown.status.standing().into_iter().map(ReasonLine::from).collect();
            let outcomes = outcomes(*shown.tally.borrow());
            let mut detail = json!({"ready": reasons.is_empty(), "reasons": reasons, "outcomes": outcomes});
            let more = [
                ("refused_follow_ups", shown.follow_ups.map(|follow_ups| list_refusals(&follow_ups.standing()))),
                ("delivery", shown.delivery.map(|delivery| show_delivery(&delivery))),
                ("rate", shown.rate.map(|rate| show_rate(&rate))),
            ];
            let more = more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            if let Some(detail) = detail.as_object_mut() {
                detail.extend(more);
            }
            (system.name.to_owned(), detail)
        };
        self.0.iter().map(detail).collect::<serde_json::Map<_, _>>().into()
    }

    fn proceed(&self, system: &str) -> Continued {
        match self.0.iter().find(|watched| watched.name == system) {
            Some(watched) if watched.current.now().proceed.proceed() => Continued::Yes,
            Some(_) => Continued::NotOpen,
            None => Continued::Unknown,
        }
    }
}

fn list_refusals(standing: &[Refusal]) -> Value {
    let named = standing.iter().take(NAMED);
    let named: Vec<Value> = named.map(|one| json!({"document": one.document, "reason": one.why})).collect();
    json!({"count": standing.len(), "documents": named})
}

/// What the consumers came to and how long they took, by their names, and why one of them failed.
pub(super) type Ended = (Vec<(&'static str, RunSummary, Duration)>, Option<CommandFailure>);

/// How often it is looked for reasons that have stood for long.
const REMIND: Duration = Duration::from_secs(5);

/// Says again what has stood for a minute, for ever.
pub(super) async fn remind(shown: Vec<Current>) {
    loop {
        tokio::time::sleep(REMIND).await;
        shown.iter().for_each(|current| current.now().status.remind());
    }
}

/// Waits for all consumers. One that fails stops the others, save a projection that was brought along: with `again` that one is
/// started again.
pub(super) async fn all(members: Vec<Member>, again: bool, stop: &CancellationToken) -> Ended {
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for member in members {
        let stop = stop.clone();
        running.spawn(async move {
            let (name, brought_along) = (member.name(), member.brought_along);
            let ended = if brought_along && again { keep_running(member, &stop).await } else { once(member).await };
            (name, brought_along, ended)
        });
    }
    let (mut all, mut failed) = (Vec::new(), None);
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok((name, _, Ok(finished))) => {
                say(name, finished.tally);
                all.push((name, finished, begun.elapsed()));
            }
            Ok((name, true, Err(error))) => failed = failed.or(Some(failure(name, &error))),
            Ok((name, false, Err(error))) => {
                stop.cancel();
                failed = Some(failure(name, &error));
            }
            Err(error) => {
                stop.cancel();
                failed = Some(CommandFailure::internal(format!("a consumer panicked, which is a bug: {error}")));
            }
        }
    }
    (all, failed)
}

async fn once(member: Member) -> Result<RunSummary, ConsumerError> {
    let ended = member.consumer.task.await;
    if let Err(error) = &ended {
        member.consumer.shown.status.raise("consumer", format!("failed for good, until a restart: {error}"));
    }
    ended
}

/// Starts a consumer again whenever it fails.
async fn keep_running(member: Member, stop: &CancellationToken) -> Result<RunSummary, ConsumerError> {
    let Member { consumer: Consumer { name, mut task, .. }, current, make, .. } = member;
    let mut pause = PAUSES.0;
    loop {
        let begun = Instant::now();
        let error = match task.await {
            Err(error) if !stop.is_cancelled() => error,
            ended => return ended,
        };
        if begun.elapsed() > WELL {
            pause = PAUSES.0;
        }
        metrics::counter!("millrace_projection_failures_total", "system" => name).increment(1);
        task = loop {
            let why = format!("failed, and is started again in {} s: {error}", pause.as_secs());
            current.now().status.raise("consumer", why);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return Err(error),
            }
            pause = (pause * 2).min(PAUSES.1);
            match make() {
                Ok(consumer) => {
                    tracing::warn!(system = name, "Projection started again");
                    current.set(consumer.shown);
                    break consumer.task;
                }
                Err(failure) => tracing::warn!(system = name, why = failure.message, "Projection not started again"),
            }
        };
    }
}

fn say(system: &str, tally: Tally) {
    tracing::info!(system, records = tally.total(), outcomes = %tally, "Consumer stopped");
    if tally.abandoned > 0 {
        tracing::info!(system, records = tally.abandoned, "Left in flight; will be read again");
    }
}

fn failure(system: &str, error: &ConsumerError) -> CommandFailure {
    use pipeline::kafka::FeedError;
    let message = format!("{system}: {error}");
    match error {
        ConsumerError::Feed(FeedError::Configuration(_)) => CommandFailure::config(message),
        ConsumerError::Feed(FeedError::Fatal(_) | FeedError::Stuck(..)) => CommandFailure::again(message),
        _ => CommandFailure::internal(message),
    }
}

/// The counts of the outcomes by their names.
pub(super) fn outcomes(tally: Tally) -> Map<String, Value> {
    Outcome::ALL.into_iter().map(|outcome| (outcome.name().to_owned(), tally.count(outcome).into())).collect()
}
