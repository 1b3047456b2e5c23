//! Work beside a consumer: it begins once, goes in rounds, and ends in order.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pipeline::sink::Failure;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::stores::target::StaticFuture;

/// How long what is left may take at a stop.
const LAST: Duration = Duration::from_millis(1_500);

type Begin = Box<dyn FnOnce(CancellationToken) -> StaticFuture<()> + Send>;

/// A task that is begun once and ends when it is told to.
pub struct BackgroundTask {
    begin: Mutex<Option<Begin>>,
    running: Mutex<Option<AbortOnDropHandle<()>>>,
    stop: CancellationToken,
}

impl BackgroundTask {
    /// `work` is begun by [`Self::start`], and ends soon after its token is cancelled.
    pub(super) fn new<F>(work: impl FnOnce(CancellationToken) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let begin: Begin = Box::new(|stop| Box::pin(work(stop)));
        Self { begin: Mutex::new(Some(begin)), running: Mutex::new(None), stop: CancellationToken::new() }
    }

    /// Begins, once. Must be called inside a tokio runtime.
    pub fn start(&self) {
        if let Some(begin) = self.begin.lock().take() {
            *self.running.lock() = Some(AbortOnDropHandle::new(tokio::spawn(begin(self.stop.clone()))));
        }
    }

    /// Ends it, and waits until it has.
    pub async fn close(&self) {
        self.stop.cancel();
        let running = self.running.lock().take();
        if let Some(running) = running {
            running.await.ok();
        }
    }
}

/// How a round ended.
pub(super) enum RoundEnd {
    /// There may be more to do at once.
    More,
    /// There is nothing to do now.
    Idle(Duration),
    /// Something is left that cannot be done now.
    Left(Duration),
}

/// Work that goes in rounds.
#[async_trait]
pub(super) trait RoundWork: Send + 'static {
    /// What is logged once while rounds fail.
    const STANDSTILL: &'static str;
    /// The pause after a round that failed.
    const AWAY: Duration;

    /// Does some of it.
    async fn round(&mut self) -> Result<RoundEnd, Failure>;

    /// The last thing that is done; `whole` says whether nothing was left.
    async fn finish(&mut self, _whole: bool) {}
}

/// Rounds until it is told to stop and nothing is left, or what is left takes too long. `wake` ends a pause.
pub(super) async fn go_in_rounds(mut work: impl RoundWork, wake: Arc<Notify>, stop: CancellationToken) {
    let whole = tokio::select! {
        () = rounds(&mut work, &wake, &stop) => true,
        () = async { stop.cancelled().await; tokio::time::sleep(LAST).await } => false,
    };
    work.finish(whole).await;
}

async fn rounds<W: RoundWork>(work: &mut W, wake: &Notify, stop: &CancellationToken) {
    let mut failing = false;
    loop {
        let pause = match work.round().await {
            Ok(RoundEnd::Idle(_)) | Err(_) if stop.is_cancelled() => return,
            Ok(RoundEnd::More) => Duration::ZERO,
            Ok(RoundEnd::Idle(pause) | RoundEnd::Left(pause)) => pause,
            Err(failure) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(reason = %failure.why, "{}", W::STANDSTILL);
                }
                tokio::time::sleep(W::AWAY).await;
                continue;
            }
        };
        failing = false;
        if !pause.is_zero() {
            tokio::select! {
                () = wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
            }
        }
    }
}
