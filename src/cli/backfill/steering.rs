//! How a backfill is held up and told its rate: by options, signals and HTTP, and by the lag of the live consumer.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};
use signal_hook::consts::{SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::PaceArgs;
use crate::cli::CommandFailure;
use crate::cli::members::outcomes;
use crate::config::{Config, Http, values};
use crate::maintenance::backfill::BackfillProgress;
use crate::maintenance::live_lag::{LEAST_FRESHNESS, LagBounds, watch_lag};
use crate::maintenance::throttle::Throttle;
use crate::run::http::{Continued, Health, HttpServer, ReasonLine, Steering};
use crate::run::telemetry;
use crate::systems::Setup;

/// The throttle that the options ask for.
pub(super) fn throttle(args: &PaceArgs, progress: &BackfillProgress) -> Result<Arc<Throttle>, CommandFailure> {
    let wrong = || CommandFailure::usage("--rate is a number of records a second, at least 1");
    let rate = args.rate.map(|rate| NonZeroU32::new(rate).ok_or_else(wrong)).transpose()?;
    Ok(Arc::new(Throttle::new(rate, progress.status.clone())))
}

/// What steers while it is kept.
pub(super) struct SteeringHandles {
    _lag: Option<AbortOnDropHandle<()>>,
    _http: Option<AbortOnDropHandle<()>>,
}

/// Begins to steer.
///
/// # Errors
/// When signals cannot be heard, or the address of the HTTP server is taken.
pub(super) async fn steer(
    args: &PaceArgs,
    config: &Config,
    setup: &Setup,
    throttle: &Arc<Throttle>,
    progress: &Arc<BackfillProgress>,
) -> Result<SteeringHandles, CommandFailure> {
    hear(throttle.clone())?;
    let bounds = bounds(args)?;
    let lag = bounds.any().then(|| {
        let (client, group) = (config.kafka.client_config(), setup.group.clone());
        AbortOnDropHandle::new(tokio::spawn(watch_lag(client, group, bounds, throttle.clone())))
    });
    let http = match args.http_port {
        None => None,
        Some(port) => {
            let metrics = telemetry::metrics().map_err(|error| CommandFailure::internal(error.to_string()))?;
            let server = HttpServer::bind(&Http { port, ..config.http.clone() }).await?;
            let shown = Arc::new(SteeredBackfill { throttle: throttle.clone(), progress: progress.clone() });
            let serving = server.steers(shown.clone()).serve(shown, metrics, CancellationToken::new());
            Some(AbortOnDropHandle::new(tokio::spawn(serving)))
        }
    };
    Ok(SteeringHandles { _lag: lag, _http: http })
}

/// How far the live consumer may be behind.
fn bounds(args: &PaceArgs) -> Result<LagBounds, CommandFailure> {
    let wrong = || CommandFailure::usage("--max-freshness is a duration such as 5s, and at least 2s");
    let parse = |text: &String| values::age(text).filter(|most| *most >= LEAST_FRESHNESS).ok_or_else(wrong);
    let freshness = args.max_freshness.as_ref().map(parse).transpose()?;
    Ok(LagBounds { records: args.max_lag, age: args.max_lag_seconds.map(Duration::from_secs), freshness })
}

/// SIGUSR1 pauses, SIGUSR2 resumes.
fn hear(throttle: Arc<Throttle>) -> Result<(), CommandFailure> {
    let failed = |error| CommandFailure::internal(format!("signals cannot be heard: {error}"));
    let mut signals = Signals::new([SIGUSR1, SIGUSR2]).map_err(failed)?;
    let listen = move || {
        for signal in signals.forever() {
            if signal == SIGUSR1 { throttle.pause() } else { throttle.resume() }
        }
    };
    thread::Builder::new().name("steering".into()).spawn(listen).map_err(failed)?;
    Ok(())
}

/// A backfill as the HTTP server sees it.
struct SteeredBackfill {
    throttle: Arc<Throttle>,
    progress: Arc<BackfillProgress>,
}

impl Steering for SteeredBackfill {
    fn pause(&self) {
        self.throttle.pause();
    }

    fn resume(&self) {
        self.throttle.resume();
    }

    fn set_rate(&self, rate: Option<NonZeroU32>) {
        self.throttle.set_rate(rate);
    }

    fn standing(&self) -> Value {
        json!({
            "paused": self.throttle.is_paused(),
            "rate": self.throttle.rate(),
            "lines": BackfillProgress::count(&self.progress.lines),
            "waits_for": self.reasons(),
        })
    }
}

impl Health for SteeredBackfill {
    fn reasons(&self) -> Vec<ReasonLine> {
        self.progress.status.standing().into_iter().map(ReasonLine::from).collect()
    }

    fn projections(&self) -> Vec<ReasonLine> {
        Vec::new()
    }

    fn details(&self) -> Value {
        let details = [
            ("backfill".to_owned(), self.standing()),
            ("outcomes".to_owned(), outcomes(*self.progress.tally.lock()).into()),
        ];
        Value::Object(Map::from_iter([(self.progress.status.system().to_owned(), Map::from_iter(details).into())]))
    }

    fn proceed(&self, _system: &str) -> Continued {
        // What a consumer waits for with its breaker open ends a backfill.
        Continued::NotOpen
    }
}
