//! Where a document came from that no event of the log is about: a line of a backfill's sources, as far as they can be read.

use pipeline::Record;

use super::content_of;
use super::outcomes::{EventSource, LoggedEvent};
use crate::maintenance::backfill::records_of;
use crate::maintenance::jobs::{Job, JobBook};
use crate::run::blocking::blocking;
use crate::stores::reader::StoredVersion;
use crate::systems::Setup;
use crate::systems::definition::Bare;

/// A document that is asked for.
pub(super) struct Backfilled<'d> {
    pub(super) bare: Option<Bare>,
    pub(super) setup: &'d Setup,
    pub(super) system: &'static str,
    pub(super) id: &'d str,
}

impl Backfilled<'_> {
    /// Adds the line that the store's document was written from. Where it is not found, gives the backfills that may have
    /// written it.
    pub(super) async fn look(&self, jobs: &JobBook, held: StoredVersion, events: &mut Vec<LoggedEvent>) -> Vec<String> {
        let mut maybe = Vec::new();
        for (id, job) in jobs.writers(self.system, &self.setup.bound.target, held.version) {
            let (records, unread) = self.search(job).await;
            for record in records {
                let event = self.event(record).await;
                if let Some(event) = event.filter(|event| event.fits(held)) {
                    events.push(event);
                    return Vec::new();
                }
            }
            if !unread.is_empty() {
                let sources = job.describe_sources();
                maybe.push(format!("the backfill {id} of {sources} may have written it ({})", unread.join("; ")));
            }
        }
        maybe
    }

    /// Records about the document, and what could not be read.
    async fn search(&self, job: &Job) -> (Vec<Record>, Vec<String>) {
        let (job, bare, id) = (job.clone(), self.bare, self.id.to_owned());
        let binding = self.setup.bound.binding.clone();
        let read = move || Ok(records_of(&job, bare, |record| binding.is_about(record, &id)));
        let read = blocking(std::convert::identity::<String>, read).await;
        read.unwrap_or_else(|why| (Vec::new(), vec![why]))
    }

    async fn event(&self, record: Record) -> Option<LoggedEvent> {
        let what = content_of(&*self.setup.bound.binding, self.id, &record).await?;
        Some(LoggedEvent {
            topic: record.at.topic,
            partition: record.at.partition,
            offset: record.offset,
            source: EventSource::Backfill,
            what,
            letter: None,
            committed: true,
        })
    }
}
