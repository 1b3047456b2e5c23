//! The prune of a backfill: what it would delete, the question whether it may, and the deletes.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};

use chrono::DateTime;
use serde_json::{Value, json};

use super::named_sources::{AUDIT, KAFKA};
use super::{BackfillArgs, choice, named_sources, setup};
use crate::cli::CommandFailure;
use crate::config::Config;
use crate::maintenance::backfill::{
    BackfillProgress, OffsetRange, PruneError, STDIN, Sample, Snapshot, SourceIdentity, SourcePart,
};
use crate::maintenance::jobs::VersionRange;
use crate::run::blocking::blocking;
use crate::run::consumer::engine_options;
use crate::systems::{Definition, Setup};

/// What names the sources as they were read.
pub(super) type Identities = Vec<(String, SourceIdentity)>;

/// Refuses what cannot be pruned, before anything is done.
///
/// # Errors
/// Where a part of a snapshot would be taken for the whole, or nobody can be asked.
pub(super) fn refuse(args: &BackfillArgs) -> Result<(), CommandFailure> {
    if !args.prune {
        return Ok(());
    }
    let choice = &args.choice;
    let chosen = choice.ids.is_some() || choice.from.is_some() || choice.to.is_some();
    let whole = |source: &String| source != STDIN && !source.starts_with(KAFKA) && source != AUDIT;
    let why = match () {
        () if args.as_of.is_none() => "--prune is for whole snapshots of documents: say of what time, with --as-of",
        () if chosen || !choice.fields.is_empty() || !choice.partitions.is_empty() => {
            "--prune is for whole snapshots: it would delete whatever --ids, --from, --to, --where or --partition leaves out"
        }
        () if !args.sources.iter().all(whole) => {
            "--prune reads its sources twice: give files or objects of a bucket, and nothing else"
        }
        () if !args.dry_run && !args.yes && !stdin().is_terminal() => {
            "--prune asks before it deletes, and nobody is at a terminal: look with --dry-run, then give --yes"
        }
        () => return Ok(()),
    };
    Err(CommandFailure::usage(why))
}

pub(super) fn identities(parts: &[Box<dyn SourcePart>]) -> Identities {
    parts.iter().map(|part| (part.name().to_owned(), part.identity().clone())).collect()
}

/// What a prune came to.
#[derive(Debug)]
pub(super) struct Pruned {
    pub(super) found: Sample,
    pub(super) deleted: u64,
}

/// A snapshot that is held against the store.
pub(super) struct Pruning<'a> {
    pub(super) args: &'a BackfillArgs,
    pub(super) system: &'static Definition,
    pub(super) config: &'a Config,
}

impl Pruning<'_> {
    async fn snapshot(&self, setup: &Setup, known: &Identities) -> Result<Snapshot, CommandFailure> {
        let reading = choice::reading(self.args, self.system)?;
        let Some((_, time)) = reading.bare.clone() else { return Err(CommandFailure::internal("no time")) };
        let as_of = DateTime::parse_from_rfc3339(&time).map_err(|error| CommandFailure::internal(error.to_string()))?;
        let range = OffsetRange { from: None, to: None };
        let parts = named_sources::parts(&self.args.sources, &[], range, reading, self.system, self.config).await?;
        if identities(&parts) != *known {
            return Err(CommandFailure::again("the sources have changed meanwhile: nothing is pruned; run it again"));
        }
        Snapshot::read(parts, setup.bound.binding.clone(), as_of.to_utc(), self.system.versions).await.map_err(failure)
    }

    /// What would be deleted.
    pub(super) async fn look(&self, known: &Identities) -> Result<Sample, CommandFailure> {
        let setup = setup(self.system, self.config)?;
        let snapshot = self.snapshot(&setup, known).await?;
        Ok(snapshot.find_absent(&setup).await.map_err(failure)?.0)
    }

    /// Shows what would be deleted, asks, and deletes it.
    pub(super) async fn prune(
        &self,
        known: &Identities,
        progress: &BackfillProgress,
    ) -> Result<Pruned, CommandFailure> {
        let setup = setup(self.system, self.config)?;
        let deletion = self.system.deletion;
        let deletion = deletion.ok_or_else(|| CommandFailure::usage("this system has no event that deletes"))?;
        let snapshot = self.snapshot(&setup, known).await?;
        let (found, first) = snapshot.find_absent(&setup).await.map_err(failure)?;
        let mut deleted = 0;
        if found.count > 0 && (self.args.yes || ask(&found).await?) {
            VersionRange::widen(&mut progress.versions.lock(), snapshot.versions());
            let options = engine_options(self.config, &setup.group.id);
            deleted = snapshot.delete_absent(&setup, deletion, &options, first).await.map_err(failure)?;
        }
        Ok(Pruned { found, deleted })
    }
}

pub(super) fn as_json(pruned: &Pruned) -> Value {
    json!({ "found": pruned.found.count, "examples": pruned.found.examples, "deleted": pruned.deleted })
}

/// Whether everything that was found is deleted.
pub(super) fn judge(pruned: &Pruned) -> Result<(), CommandFailure> {
    match pruned.found.count.saturating_sub(pruned.deleted) {
        0 => Ok(()),
        kept => Err(CommandFailure::findings(format!(
            "{kept} documents that the snapshot does not hold are kept: it was answered with no, or they are newer now"
        ))),
    }
}

/// Asks at the terminal.
async fn ask(found: &Sample) -> Result<bool, CommandFailure> {
    let question = format!(
        "{} documents are older than the snapshot, and not in it, such as {}.\nDelete them? [y/N] ",
        found.count,
        found.examples.join(", ")
    );
    blocking(CommandFailure::internal, move || {
        let failed = |error: std::io::Error| CommandFailure::internal(format!("nobody can be asked: {error}"));
        write!(stderr(), "{question}").and_then(|()| stderr().flush()).map_err(failed)?;
        let mut answer = String::new();
        stdin().lock().read_line(&mut answer).map_err(failed)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    })
    .await
}

fn failure(error: PruneError) -> CommandFailure {
    let message = error.to_string();
    match error {
        PruneError::Store(_) | PruneError::Replay(_) => CommandFailure::unavailable(message),
        PruneError::Empty => CommandFailure::usage(message),
        PruneError::Source(..) | PruneError::Rejected(..) | PruneError::Refused(..) | PruneError::Stopped(_) => {
            CommandFailure::again(message)
        }
    }
}
