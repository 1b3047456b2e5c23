//! The sign of life of a backfill, beside it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::maintenance::backfill::{BackfillError, BackfillReport, JobReporter};

/// How long Kafka may take at the end. What it did not take is said.
const LAST_WORD: Duration = Duration::from_secs(5);

/// A backfill that the state topic is told of.
pub(super) struct ToldJob {
    stop: CancellationToken,
    beating: AbortOnDropHandle<JobReporter>,
}

impl ToldJob {
    pub(super) fn begin(reporter: JobReporter) -> Self {
        let stop = CancellationToken::new();
        Self { beating: AbortOnDropHandle::new(tokio::spawn(reporter.beat(stop.clone()))), stop }
    }

    /// Tells how it ended.
    pub(super) async fn end(self, ended: &Result<BackfillReport, BackfillError>) {
        self.stop.cancel();
        let last = async {
            if let Ok(reporter) = self.beating.await {
                reporter.end(ended).await;
            }
        };
        if tokio::time::timeout(LAST_WORD, last).await.is_err() {
            tracing::warn!("`millrace jobs` was not told how this backfill ended: Kafka does not answer");
        }
    }
}
