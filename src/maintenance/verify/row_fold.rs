//! Verification of a system whose log tells what was done to rows: its operations are folded, and the rows compared.
//!
//! It takes the log's end first and waits until the group has committed it, reads the log up to there, the rows, and what was
//! written to the log meanwhile: rows that this is about are not judged. Memory is bounded; where letters stood, and what is to
//! be asked again, is held in memory.

use std::collections::HashSet;
use std::sync::Arc;

use pipeline::sink::Order;

use super::name::DifferenceName;
use super::row_spill::RowBuckets;
use super::topic_log::VerifyLog;
use super::{Finding, Listener, VerifyError, VerifyOptions, VerifyReport, VerifyStep, finding, note};
use crate::config::Config;
use crate::stores::folded::{
    FoldOptions, FoldedRows, RecordPlace, RowDifference, RowEntry, RowFinding, UnappliedOperation,
};
use crate::stores::target::SetupError;
use crate::systems::{Definition, Setup};

/// Rows that are compared at once.
const AT_ONCE: usize = 500;

/// Rows that follow from operations.
pub(in crate::maintenance) struct FoldedStore {
    pub(in crate::maintenance) setup: Setup,
    pub(in crate::maintenance) rows: Arc<dyn FoldedRows>,
}

/// The rows of a system, where they follow from operations.
pub(in crate::maintenance) fn rows_of(system: &Definition, config: &Config) -> Result<Option<FoldedStore>, SetupError> {
    let Some(group) = (system.groups)(config).into_iter().next() else { return Ok(None) };
    let setup = system.setup_of(config, group, Order::Any)?;
    let rows = setup.bound.reader.as_rows();
    Ok(rows.map(|rows| FoldedStore { setup, rows }))
}

/// As [`super::verify`].
pub(super) async fn verify_rows(
    FoldedStore { setup, rows }: FoldedStore,
    system: &Definition,
    config: &Config,
    options: &VerifyOptions,
    listener: &mut dyn Listener,
) -> Result<VerifyReport, VerifyError> {
    if options.delete_phantoms {
        let why =
            format!("rows of {} that no operation made are the application's own, and are not deleted", system.name);
        return Err(SetupError::Unusable(why).into());
    }
    let (topics, group) = (setup.group.topics.clone(), setup.group.id.clone());
    let mut log = VerifyLog::open(config.kafka.client_config(), topics, group).await?;
    log.await_committed(options.wait).await?;
    let letters = log.letters(system.name).await?;
    let mut report =
        VerifyReport { store: setup.bound.reader.name(), letters: letters.len() as u64, ..VerifyReport::default() };
    let mut reading = FoldReading {
        rows: &*rows,
        letters: &letters,
        buckets: RowBuckets::new(log.offsets() * 2, options.memory)?,
        letters_gone: !log.has_all_letters().await?,
    };
    reading.read_log(&log, false, &mut report, listener).await?;
    reading.read_rows(&mut report, listener).await?;
    log.go_on().await?;
    reading.read_log(&log, true, &mut report, listener).await?;
    listener.at(VerifyStep::Compare);
    let how = FoldOptions { whole: log.is_whole(), repair: options.repair };
    for bucket in reading.buckets.buckets() {
        let mut bucket = bucket?;
        while !bucket.is_empty() {
            let some = bucket.split_off(bucket.len().saturating_sub(AT_ONCE));
            report.documents += some.len() as u64;
            tell(rows.compare(some, how).await?, &mut report, listener);
        }
    }
    tell(rows.stale(options.repair).await?, &mut report, listener);
    Ok(report)
}

/// What is read.
struct FoldReading<'v> {
    rows: &'v dyn FoldedRows,
    letters: &'v HashSet<RecordPlace>,
    buckets: RowBuckets,
    /// Some letters are no longer there.
    letters_gone: bool,
}

impl FoldReading<'_> {
    async fn read_log(
        &mut self,
        log: &VerifyLog,
        later: bool,
        report: &mut VerifyReport,
        listener: &mut dyn Listener,
    ) -> Result<(), VerifyError> {
        let (fetching, mut chunks) = log.chunks();
        while let Some((_, chunk)) = chunks.recv().await {
            let found = self.rows.effects(&chunk, self.letters, later).await?;
            for entry in &found.entries {
                self.buckets.add(entry)?;
            }
            for UnappliedOperation { at, id, why, unexplained } in found.unapplied {
                let unexplained = unexplained || self.letters_gone;
                let name = if unexplained { DifferenceName::Unexplained } else { DifferenceName::Missing };
                let told = Finding { at: Some(at), reason: Some(why), ..finding(name, &id, &[], None) };
                note(report, listener, told);
            }
            if !later {
                report.records += chunk.len() as u64;
                listener.at(VerifyStep::Log(report.records, log.offsets()));
            }
        }
        fetching.await.map_err(|error| VerifyError::Kafka(error.to_string()))?
    }

    async fn read_rows(&mut self, report: &mut VerifyReport, listener: &mut dyn Listener) -> Result<(), VerifyError> {
        let (buckets, mut broken) = (&mut self.buckets, None);
        let mut visit = |entry: RowEntry| {
            report.held += 1;
            if report.held.is_multiple_of(5_000) {
                listener.at(VerifyStep::Store(report.held));
            }
            broken = buckets.add(&entry).err().or(broken.take());
        };
        self.rows.read_rows(&mut visit).await?;
        Ok(broken.map_or(Ok(()), Err)?)
    }
}

fn tell(found: Vec<RowFinding>, report: &mut VerifyReport, listener: &mut dyn Listener) {
    for RowFinding { difference, id, at, why, mended } in found {
        let name = match difference {
            RowDifference::Missing => DifferenceName::Missing,
            RowDifference::Altered => DifferenceName::Altered,
            RowDifference::Resurrected => DifferenceName::Resurrected,
            RowDifference::Phantom => DifferenceName::Phantom,
            RowDifference::Unexplained => DifferenceName::Unexplained,
            RowDifference::CacheStale => DifferenceName::CacheStale,
        };
        report.repaired += u64::from(mended);
        note(report, listener, Finding { at, reason: Some(why), ..finding(name, &id, &[], None) });
    }
}
