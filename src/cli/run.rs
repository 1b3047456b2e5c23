//! `millrace run`: the consumers, their HTTP server, and an orderly end.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::members::{Member, all, consumers, health, outcomes, remind};
use super::{CommandFailure, RunArgs, headway, leaving};
use crate::config::{Config, LogFormat};
use crate::run::clock::peak_memory;
use crate::run::consumer::{self, RunOptions, RunSummary};
use crate::run::http::HttpServer;
use crate::run::telemetry;

/// What comes after the consumers have stopped: the HTTP server's end, the summaries, the runtime's end.
const AFTERWARDS: Duration = Duration::from_secs(4);

/// Runs the named systems, or those of the configuration, until a signal or, with `--once`, the end of the log.
///
/// # Errors
/// A configuration that does not fit, an address that is taken, or a consumer that failed for good.
pub async fn run(args: RunArgs, config: Config) -> Result<(), CommandFailure> {
    let names = if args.systems.is_empty() { &config.systems } else { &args.systems };
    let options = RunOptions { once: args.once, stop: CancellationToken::new() };
    let consumers = consumers(names, &config, &options)?;
    let metrics = telemetry::metrics().map_err(|error| CommandFailure::internal(error.to_string()))?;
    let server =
        HttpServer::bind(&config.http).await.map_err(|error| CommandFailure::unavailable(error.to_string()))?;
    let addr = server.addr();
    let serving = CancellationToken::new();
    let http = tokio::spawn(server.serve(health(&consumers), metrics, serving.clone()));
    stop_on_signal(&consumers, &config, &options.stop)?;
    if std::io::stderr().is_terminal() && config.log.format != Some(LogFormat::Json) {
        let routes = consumers.iter().map(|member| (member.name(), member.topics(), member.target()));
        // Where nobody reads them, they are not missed.
        drop(std::io::stderr().write_all(first_lines(routes, addr).as_bytes()));
    }

    let _telling = args.headway.then(|| headway::tell(&consumers, &options.stop)).transpose()?;
    let shown = consumers.iter().map(Member::current).collect();
    let _reminding = AbortOnDropHandle::new(tokio::spawn(remind(shown)));
    let (ended, failed) = all(consumers, !args.once, &options.stop).await;
    serving.cancel();
    // The consumers' answer is the one that counts.
    http.await.ok();
    let mut short = None;
    for (name, finished, took) in ended.into_iter().filter(|_| args.once || args.headway) {
        super::print_json(&summary(name, finished, took))?;
        if args.once && !finished.reached_end {
            let stopped = format!("{name}: stopped before the end of the log; what is left is read by the next run");
            short = Some(CommandFailure::again(stopped));
        }
    }
    failed.or(short).map_or(Ok(()), Err)
}

/// For a person at a terminal: what each consumer reads, where it writes, and where its health is.
fn first_lines<'m>(routes: impl Iterator<Item = (&'m str, &'m [String], &'m str)>, addr: SocketAddr) -> String {
    let mut lines = String::new();
    for (name, topics, target) in routes {
        let read = if topics.len() > 2 { format!("{} topics", topics.len()) } else { topics.join(", ") };
        writeln!(lines, "{name} reads {read}, and writes to {target}").ok();
    }
    writeln!(lines, "http://{addr}/readyz says whether it works; docs/trouble.md explains what it says. Ctrl-C stops.")
        .ok();
    lines
}

/// Stops at the first signal, in order; at the second, or when that takes too long, at once.
pub(super) fn stop_on_signal(
    consumers: &[Member],
    config: &Config,
    stop: &CancellationToken,
) -> Result<(), CommandFailure> {
    let running: Vec<_> = consumers.iter().map(|member| (member.name(), member.current())).collect();
    let left = move || {
        let finished: Vec<_> =
            running.iter().map(|(name, current)| format!("{name} {}", current.now().tally.borrow().total())).collect();
        format!("whatever is in flight; it is read again by the next run; records finished: {}", finished.join(", "))
    };
    leaving::in_order(stop.clone(), consumer::stop_limit(config) + AFTERWARDS, Box::new(left))
}

fn summary(system: &str, RunSummary { tally, reached_end, pace }: RunSummary, took: Duration) -> Value {
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
        if let Some(pace) = pace {
            let busy = json!({
                "records": pace.records,
                "seconds": pace.wall.as_secs_f64(),
                "process_cpu_seconds": pace.cpu,
                "process_peak_memory_bytes": peak_memory(),
            });
            fields.insert("busy".to_owned(), busy);
        }
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_name_topics_store_and_address() {
        let (one, many) = (["t".to_owned()], ["a", "b", "c"].map(str::to_owned));
        let routes = [("users", &one[..], "mongodb/db:27017/users"), ("reactions", &many[..], "postgres/db/reactions")];
        let lines = first_lines(routes.into_iter(), SocketAddr::from(([127, 0, 0, 1], 8080)));
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines[0], "users reads t, and writes to mongodb/db:27017/users");
        assert_eq!(lines[1], "reactions reads 3 topics, and writes to postgres/db/reactions");
        assert!(lines[2].contains("http://127.0.0.1:8080/readyz"), "{}", lines[2]);
    }
}
