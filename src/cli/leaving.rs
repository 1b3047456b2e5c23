//! The way out: what a signal does, and a bound on everything that is waited for afterwards.
//!
//! It owns a thread that hears signals, whatever the runtime does. It guarantees that the first signal is acted on, and that
//! the process ends at the second, or when an orderly end takes too long: then it says what it leaves and goes.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::{exit, signal_name};
use tokio_util::sync::CancellationToken;

use super::{CommandExit, CommandFailure};

/// How long a last word may take: whoever reads the log may have stopped reading.
const LAST_WORD: Duration = Duration::from_millis(500);

/// Says what would be left by an end now.
pub(super) type Left = Box<dyn Fn() -> String + Send>;

/// The first signal cancels the token. The second ends the process, and so does `limit` after the first.
///
/// # Errors
/// When signals cannot be heard.
pub(super) fn in_order(stop: CancellationToken, limit: Duration, left: Left) -> Result<(), CommandFailure> {
    hear(move |signals| {
        if signals.recv().is_err() {
            return;
        }
        stop.cancel();
        say(|| tracing::info!("Stopping: finishing what is in flight"));
        let why = match signals.recv_timeout(limit) {
            Ok(signal) => format!("{} came besides", name(signal)),
            Err(_) => format!("an orderly end took longer than {} s", limit.as_secs()),
        };
        let left = left();
        say(move || tracing::error!(why, left, "Ended at once"));
        // What is left is read by the next run.
        exit(CommandExit::Again as i32);
    })
}

/// A signal ends the process, also where the kernel would not: in a container its first process has no default action.
///
/// # Errors
/// When signals cannot be heard.
pub(super) fn at_once() -> Result<(), CommandFailure> {
    hear(|signals| {
        let Ok(signal) = signals.recv() else { return };
        say(move || eprintln!("millrace: stopped by {}", name(signal)));
        exit(128 + signal);
    })
}

fn name(signal: i32) -> &'static str {
    signal_name(signal).unwrap_or("a signal")
}

fn hear(act: impl FnOnce(Receiver<i32>) + Send + 'static) -> Result<(), CommandFailure> {
    let failed = |error| CommandFailure::internal(format!("signals cannot be heard: {error}"));
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(failed)?;
    let (heard, signalled) = channel();
    let listen = move || signals.forever().try_for_each(|signal| heard.send(signal));
    thread::Builder::new().name("signals".into()).spawn(listen).map_err(failed)?;
    thread::Builder::new().name("leaving".into()).spawn(move || act(signalled)).map_err(failed)?;
    Ok(())
}

/// Says something, and waits for it a moment at most.
fn say(what: impl FnOnce() + Send + 'static) {
    let (said, done) = channel();
    let saying = move || {
        what();
        said.send(()).ok();
    };
    if thread::Builder::new().spawn(saying).is_ok() {
        done.recv_timeout(LAST_WORD).ok();
    }
}
