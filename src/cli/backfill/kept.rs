//! The checkpoint of a backfill and its file of rejects, as the options say.

use std::path::PathBuf;

use super::BackfillArgs;
use crate::cli::CommandFailure;
use crate::maintenance::backfill::{
    Checkpoint, CheckpointError, Purpose, Rejects, STDIN, SourcePart, StateFile, default_path,
};

/// What is kept in files: how far it is, and what was rejected.
pub(super) struct Kept {
    pub(super) checkpoint: Checkpoint,
    pub(super) state: Option<StateFile>,
    pub(super) path: Option<PathBuf>,
    pub(super) rejects: Rejects,
}

pub(super) fn kept(
    args: &BackfillArgs,
    purpose: Purpose,
    parts: &[Box<dyn SourcePart>],
) -> Result<Kept, CommandFailure> {
    let path = args.state.clone().unwrap_or_else(|| default_path(&purpose, parts));
    let of_rejects = args.rejects.clone().unwrap_or_else(|| path.with_extension("rejects.ndjson"));
    let unwritable = |error: std::io::Error| {
        CommandFailure::usage(format!("the file of rejects {} cannot be written: {error}", of_rejects.display()))
    };
    let fresh = Checkpoint::begin(purpose, parts);
    if args.sources.iter().any(|word| word == STDIN) {
        if args.state.is_some() {
            return Err(CommandFailure::usage("standard input cannot be read twice, so --state is of no use with it"));
        }
        let rejects = Rejects::begin(of_rejects.clone()).map_err(unwritable)?;
        return Ok(Kept { checkpoint: fresh, state: None, path: None, rejects });
    }
    let state = StateFile::take(&path).map_err(of_state)?;
    let earlier = if args.restart { None } else { state.load().map_err(of_state)? };
    let (checkpoint, rejects) = match earlier {
        None => (fresh, Rejects::begin(of_rejects.clone())),
        Some(earlier) => {
            let checkpoint = fresh.resume(earlier, &path).map_err(of_state)?;
            let places = parts.iter().filter_map(|part| {
                let known = checkpoint.parts.get(part.name())?;
                Some((part.at().clone(), known.place.next))
            });
            let rejects = Rejects::resume(of_rejects.clone(), &places.collect());
            (checkpoint, rejects)
        }
    };
    let rejects = rejects.map_err(unwritable)?;
    Ok(Kept { checkpoint, state: Some(state), path: Some(path), rejects })
}

fn of_state(error: CheckpointError) -> CommandFailure {
    let message = error.to_string();
    match error {
        CheckpointError::InUse(_) => CommandFailure::again(message),
        CheckpointError::Unreadable(..)
        | CheckpointError::Other(..)
        | CheckpointError::Changed { .. }
        | CheckpointError::Unwritable(..) => CommandFailure::usage(message),
    }
}
