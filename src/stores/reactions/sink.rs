//! Events as writes: a batch is one transaction, whatever order its events came in.

use std::sync::Arc;

use ::events::Event;
use async_trait::async_trait;
use pipeline::Record;
use pipeline::sink::{Content, Failure, Reject, Sink, SinkLimits, Verdict, Write};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::reaction_group::ReactionGroup;
use super::signal::OutboxSignal;
use super::transact::{AppliedBatch, DigestedEvent, Emission, MarkVerdict, apply};
use crate::stores::postgres::Postgres;
use crate::walk::first_bytes;

/// Events of one transaction.
const MAX_ITEMS: usize = 2_000;
/// Bytes of the events of one transaction.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// What an event weighs in a transaction besides its payload.
const EVENT_BYTES: usize = 500;

/// An event that is to be reacted to.
#[derive(Clone, Debug)]
pub struct ReactionWrite {
    digested: DigestedEvent,
    bytes: usize,
}

impl ReactionWrite {
    pub fn new(event: &Event, record: &Record) -> Self {
        let payload = record.payload.as_deref().unwrap_or_default();
        let digest = Sha256::digest(payload).into();
        let digested = DigestedEvent { event: event.clone(), digest, recorded_ms: record.time_ms() };
        Self { digested, bytes: payload.len() + EVENT_BYTES }
    }
}

impl Write for ReactionWrite {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn content(&self) -> Content {
        Content { deleted: false, digest: first_bytes(&self.digested.digest) }
    }
}

/// Applies the events of one group.
pub struct ReactionSink {
    postgres: Postgres,
    group: ReactionGroup,
    emission: Emission,
    signal: OutboxSignal,
    /// Told when files may have been put on the list of those that go.
    files: Arc<Notify>,
}

impl ReactionSink {
    pub fn new(
        postgres: Postgres,
        group: ReactionGroup,
        emission: Emission,
        signal: OutboxSignal,
        files: Arc<Notify>,
    ) -> Self {
        Self { postgres, group, emission, signal, files }
    }

    fn count(&self, applied: &AppliedBatch) {
        for (event, count) in &applied.ignored {
            let labels = [("system", self.group.consumer()), ("event", *event)];
            metrics::counter!("millrace_events_ignored_total", &labels).increment(*count);
        }
        if applied.below_horizon > 0 {
            metrics::counter!("millrace_events_below_horizon_total", "system" => self.group.consumer())
                .increment(applied.below_horizon as u64);
            tracing::info!(
                system = self.group.consumer(),
                events = applied.below_horizon,
                "Events are older than the marks that are kept: they change the state, and lead to nothing further"
            );
        }
    }
}

#[async_trait]
impl Sink<ReactionWrite> for ReactionSink {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn limits(&self) -> SinkLimits {
        SinkLimits { items: MAX_ITEMS, bytes: MAX_BYTES, ordered: false, one_write_a_document: false }
    }

    async fn write(&self, writes: &[&ReactionWrite]) -> Result<Vec<Verdict>, Failure> {
        let events: Vec<&DigestedEvent> = writes.iter().map(|write| &write.digested).collect();
        let applied = self.postgres.ask(apply(&self.postgres, self.group, &events, self.emission)).await?;
        self.count(&applied);
        // Files are few, so a look too many costs nothing.
        if self.group == ReactionGroup::Media {
            self.files.notify_one();
        }
        if applied.emitted > 0 {
            self.signal.tell(&self.postgres).await;
        }
        Ok(applied.verdicts.into_iter().map(verdict).collect())
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.postgres.ask(async { self.postgres.begin().await?.commit().await }).await
    }
}

fn verdict(marked: MarkVerdict) -> Verdict {
    match marked {
        MarkVerdict::Applied => Verdict::Applied,
        MarkVerdict::Repeated => Verdict::Superseded,
        MarkVerdict::Conflicting => {
            let why = "another event was applied under the same `id`";
            Verdict::Reject(Reject::new("event_id_reused", why))
        }
    }
}
