//! Lines of librdkafka that say the same again: one a minute is enough.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::json_lines::LogFields;

/// How often one line is said again.
const AGAIN: Duration = Duration::from_secs(60);
/// Lines that are remembered; with more of them all are forgotten, and said anew.
const KNOWN: usize = 256;

/// Lets a line of librdkafka pass once a minute.
#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<HashMap<String, Instant>>);

impl Repeats {
    fn passes(&self, line: &str, now: Instant) -> bool {
        let mut said = self.0.lock();
        let shape = shape(line);
        if said.get(&shape).is_some_and(|last| now.saturating_duration_since(*last) < AGAIN) {
            return false;
        }
        if said.len() >= KNOWN {
            said.clear();
        }
        said.insert(shape, now);
        true
    }
}

/// The line without its numbers, and without how often and in which state it happened.
fn shape(line: &str) -> String {
    let line = line.split(" (after ").next().unwrap_or(line);
    line.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let mut fields = LogFields::default();
        event.record(&mut fields);
        let text = fields.text("message");
        // What its bindings log on their own comes under another target.
        if event.metadata().target() != "librdkafka" && !text.starts_with("librdkafka") {
            return true;
        }
        self.passes(&format!("{text} {}", fields.text("reason")), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_passes_once_a_minute_whatever_its_numbers() {
        let (repeats, begun) = (Repeats::default(), Instant::now());
        let line =
            |n: u64| format!("FAIL [thrd:h:1/bootstrap]: Connect to ipv4#1.2.3.4:{n} failed (after {n}ms in state X)");
        let passed: Vec<u64> =
            (0..150).filter(|n| repeats.passes(&line(*n), begun + Duration::from_secs(*n))).collect();
        assert_eq!(passed, [0, 60, 120]);
        assert!(repeats.passes("another line", begun));
    }
}
