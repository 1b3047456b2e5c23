//! Calls that wait for a broker, each on a thread of its own. Whoever asks looks for the answer, and waits only where a limit says so.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::task::Poll;
use std::time::{Duration, Instant};

/// A call that is under way.
#[derive(Debug)]
pub(super) struct PendingCall<T> {
    answer: Receiver<T>,
    pub begun: Instant,
}

impl<T: Send + 'static> PendingCall<T> {
    pub(super) fn begin(name: &str, call: impl FnOnce() -> T + Send + 'static) -> Self {
        let (done, answer) = channel();
        // Nobody looks any more when it took too long.
        let run = move || drop(done.send(call()));
        if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(run) {
            tracing::warn!(%error, name, "No thread for a question to the brokers");
        }
        Self { answer, begun: Instant::now() }
    }

    /// The answer, if it is there; `None` when there will be none.
    pub(super) fn look(&self) -> Poll<Option<T>> {
        match self.answer.try_recv() {
            Ok(answer) => Poll::Ready(Some(answer)),
            Err(TryRecvError::Empty) => Poll::Pending,
            Err(TryRecvError::Disconnected) => Poll::Ready(None),
        }
    }

    /// As `look`, after waiting for so long at most.
    pub(super) fn wait(&self, limit: Duration) -> Poll<Option<T>> {
        match self.answer.recv_timeout(limit) {
            Ok(answer) => Poll::Ready(Some(answer)),
            Err(RecvTimeoutError::Timeout) => Poll::Pending,
            Err(RecvTimeoutError::Disconnected) => Poll::Ready(None),
        }
    }
}

/// A question that is asked now and then, once at a time.
#[derive(Debug)]
pub(super) struct Question<T> {
    name: &'static str,
    call: Option<PendingCall<T>>,
    not_before: Option<Instant>,
}

impl<T: Send + 'static> Question<T> {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, call: None, not_before: None }
    }

    /// Whether it may be asked now.
    pub(super) fn is_free(&self) -> bool {
        self.call.is_none() && self.not_before.is_none_or(|then| then <= Instant::now())
    }

    pub(super) fn ask(&mut self, call: impl FnOnce() -> T + Send + 'static) {
        self.call = Some(PendingCall::begin(self.name, call));
    }

    /// The answer, once, with when it was asked for; it may be asked again after the pause.
    pub(super) fn take(&mut self, pause: Duration) -> Option<(Option<T>, Instant)> {
        let call = self.call.take()?;
        match call.look() {
            Poll::Pending => {
                self.call = Some(call);
                None
            }
            Poll::Ready(answer) => {
                self.not_before = Some(Instant::now() + pause);
                Some((answer, call.begun))
            }
        }
    }
}
