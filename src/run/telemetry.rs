//! Logs and metrics: how the program says what it does.
//!
//! One JSON object a line on stderr, flat, with the fields of the enclosing spans; on a terminal a form for people. It
//! waits for nothing and guarantees that a line is whole: it is written in one piece.

mod json_lines;
mod repeats;

use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogSettings};
use json_lines::JsonLines;
use repeats::Repeats;

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("LOG_LEVEL is no filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logging is set up already: {0}")]
    Logging(#[from] tracing_subscriber::util::TryInitError),
    #[error("the log cannot be written to {0}: {1}; correct LOG_DIR")]
    File(String, std::io::Error),
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] BuildError),
}

/// Starts logging for the whole process; once.
pub fn init(log: &LogSettings) -> Result<(), TelemetryError> {
    let terminal = std::io::stderr().is_terminal();
    let (combined, errors) = match &log.dir {
        Some(dir) => (Some(open_log(dir, "combined.log")?), Some(open_log(dir, "error.log")?.only(LevelFilter::ERROR))),
        None => (None, None),
    };
    let registry = tracing_subscriber::registry().with(filter(&log.level)?).with(Repeats::default());
    let registry = registry.with(combined).with(errors);
    match log.format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json }) {
        LogFormat::Json => registry.with(JsonLines::new(std::io::stderr)).try_init()?,
        LogFormat::Pretty => {
            let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(terminal);
            registry.with(lines).try_init()?;
        }
    }
    Ok(())
}

/// Lines at the end of a file, which somebody else may cut short.
fn open_log(dir: &Path, name: &str) -> Result<JsonLines<Arc<File>>, TelemetryError> {
    let path = dir.join(name);
    let opened = std::fs::create_dir_all(dir).and_then(|()| File::options().create(true).append(true).open(&path));
    let file = opened.map_err(|error| TelemetryError::File(path.display().to_string(), error))?;
    Ok(JsonLines::new(Arc::new(file)))
}

// librdkafka and sqlx are talkative at info; whoever wants that names their targets. What the binding of librdkafka says on its own
// repeats what librdkafka says.
fn filter(level: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    let quieter = level.trim().parse::<LevelFilter>().is_ok_and(|plain| plain < LevelFilter::WARN);
    let chatter = if quieter { "" } else { "librdkafka=warn,sqlx=warn," };
    let directives = format!("rdkafka=off,{chatter}{level}");
    EnvFilter::builder().parse(directives)
}

const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const RECORDS: [f64; 12] = [1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0];

/// The recorder of metrics, installed at the first call.
pub fn metrics() -> Result<PrometheusHandle, TelemetryError> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Full("millrace_batch_records".to_owned()), &RECORDS)?
        // What is not measured any more (the lag of a partition that went elsewhere) is left out, not frozen.
        .idle_timeout(MetricKindMask::GAUGE, Some(Duration::from_secs(15)));
    let handle = builder.install_recorder()?;
    Ok(HANDLE.get_or_init(|| handle).clone())
}

/// Folds what histograms collect, so that it does not grow while nobody scrapes; until the token is cancelled.
pub async fn keep_up(handle: PrometheusHandle, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(5))).await.is_some() {
        handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, log: impl FnOnce()) -> Vec<String> {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let lines = JsonLines::new(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(filter(level).unwrap()).with(lines);
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_is_flat_json_with_the_fields_of_its_spans() {
        let lines = logged("info", || {
            let outer = tracing::info_span!("run", system = "transactions", group = "g", late = tracing::field::Empty);
            let _outer = outer.enter();
            let inner = tracing::info_span!("batch", seq = 7_u64, group = "inner");
            let _inner = inner.enter();
            outer.record("late", true);
            tracing::info!(records = 10, share = 0.5, text = "a \"b\"\nc", shown = %"x", level = "mine", "Batch indexed");
        });
        assert_eq!(lines.len(), 1);
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        let time = line["timestamp"].as_str().unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok() && time.ends_with('Z') && time.len() == 24);
        let mut expected = json!({
            "level": "info", "event": "Batch indexed", "system": "transactions", "group": "inner", "late": true, "seq": 7,
            "records": 10, "share": 0.5, "text": "a \"b\"\nc", "shown": "x", "level_": "mine",
        });
        expected["timestamp"] = time.into();
        assert_eq!(line, expected);
        assert!(lines[0].starts_with("{\"timestamp\":\""));
        assert!(lines[0].contains("\"level\":\"info\",\"event\":\"Batch indexed\",\"system\":"));
    }

    #[test]
    fn foreign_lines_name_their_target_and_librdkafka_is_quiet() {
        let log = || {
            tracing::info!(target: "librdkafka", "chatter");
            tracing::warn!(target: "librdkafka", "trouble");
            tracing::error!(target: "librdkafka", "end");
        };
        let lines = logged("info", log);
        assert_eq!(lines.len(), 2);
        assert_eq!(serde_json::from_str::<Value>(&lines[0]).unwrap()["target"], "librdkafka");
        assert_eq!(logged("error", log).len(), 1);
        assert_eq!(logged("info,librdkafka=debug", log).len(), 3);
    }

    #[test]
    fn files_hold_all_and_errors_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (combined, errors) =
            (open_log(dir.path(), "combined.log").unwrap(), open_log(dir.path(), "error.log").unwrap());
        let subscriber = tracing_subscriber::registry().with(combined).with(errors.only(LevelFilter::ERROR));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("run", system = "database");
            let _span = span.enter();
            tracing::info!("all is well");
            tracing::error!("it is not");
        });
        let lines = |name| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!((lines("combined.log").lines().count(), lines("error.log").lines().count()), (2, 1));
        assert!(lines("error.log").contains("\"event\":\"it is not\",\"system\":\"database\""));
        assert!(matches!(open_log(&dir.path().join("combined.log"), "x"), Err(TelemetryError::File(..))));
    }

    #[test]
    fn metrics_are_rendered_with_their_buckets() {
        let handle = metrics().unwrap();
        metrics().unwrap();
        metrics::histogram!("millrace_batch_duration_seconds").record(0.2);
        metrics::histogram!("millrace_batch_records").record(10.0);
        let text = handle.render();
        assert!(text.contains("millrace_batch_duration_seconds_bucket{le=\"0.25\"} 1"), "{text}");
        assert!(text.contains("millrace_batch_records_bucket{le=\"10\"} 1"), "{text}");
    }
}
