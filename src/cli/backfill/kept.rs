//! The checkpoint of a backfill and its file of rejects, as the options say.

use std::path::{Path, PathBuf};

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

pub(super) fn open_state(
    args: &BackfillArgs,
    purpose: Purpose,
    parts: &[Box<dyn SourcePart>],
) -> Result<Kept, CommandFailure> {
    let path = args.state.clone().unwrap_or_else(|| default_path(&purpose, parts));
    let of_rejects = args.rejects.clone().unwrap_or_else(|| path.with_extension("rejects.ndjson"));
    let unwritable = |error: std::io::Error| {
        CommandFailure::usage(format!("the file of rejects {} cannot be written: {error}", of_rejects.display()))
    };
    for file in [&path, &of_rejects] {
        if let Some(part) = parts.iter().find(|part| is_of(&***part, file)) {
            let why = format!("{} is a source, which nothing is written to", part.at().topic);
            return Err(CommandFailure::usage(why));
        }
    }
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

/// Whether a part is this file.
fn is_of(part: &dyn SourcePart, file: &Path) -> bool {
    file.canonicalize().is_ok_and(|whole| part.name() == format!("file:{}", whole.display()))
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
