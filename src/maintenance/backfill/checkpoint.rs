//! The checkpoint of a backfill: up to where each part of its sources is written, in a file.
//!
//! It is replaced as a whole by a rename, after what it tells was acknowledged. One process has it at a time.
//!
//! It is the engine's frontier, translated: the offsets of a file are its line numbers, and for each line at which a batch was cut
//! the byte is kept until the frontier has passed it.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::parts::{Place, SourceIdentity, SourcePart};
use crate::maintenance::jobs::{self, VersionRange};

/// Of the file's layout.
const LAYOUT: u32 = 1;

/// What a backfill is of, where it goes and what it chooses: a checkpoint is good for one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purpose {
    pub system: String,
    /// Names the store.
    pub target: String,
    /// The options that decide which records are written, and how.
    pub choice: String,
}

/// A part, and up to where it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartProgress {
    pub identity: SourceIdentity,
    pub place: Place,
    /// Whether nothing is left of it.
    pub finished: bool,
}

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    layout: u32,
    #[serde(flatten)]
    pub purpose: Purpose,
    /// Names it in `millrace jobs`, over all of its runs.
    #[serde(default = "jobs::new_id")]
    pub job: String,
    /// Of all events that it offered to the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<VersionRange>,
    /// By the names of the parts.
    pub parts: BTreeMap<String, PartProgress>,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, Error)]
pub enum CheckpointError {
    #[error("the checkpoint {0} is in use by another backfill")]
    InUse(String),
    #[error("the checkpoint {0} cannot be read: {1}; mend it, or begin anew with --restart")]
    Unreadable(String, io::Error),
    #[error("the checkpoint {0} is of another {1}, {2}: name another file with --state, or begin anew with --restart")]
    Other(String, &'static str, String),
    #[error("{part} is not as it was when {state} was written ({what}): begin anew with --restart")]
    Changed { state: String, part: String, what: &'static str },
    #[error("the checkpoint {0} cannot be written: {1}")]
    Unwritable(String, io::Error),
}

impl Checkpoint {
    /// At the start of each part.
    pub fn begin(purpose: Purpose, parts: &[Box<dyn SourcePart>]) -> Self {
        let fresh = |part: &dyn SourcePart| {
            let progress = PartProgress { identity: part.identity().clone(), place: part.start(), finished: false };
            (part.name().to_owned(), progress)
        };
        let parts = parts.iter().map(|part| fresh(&**part)).collect();
        Self { layout: LAYOUT, purpose, job: jobs::new_id(), versions: None, parts }
    }

    /// The size of the parts that are not finished.
    pub fn size_left(&self, parts: &[Box<dyn SourcePart>]) -> u64 {
        let left = |name: &str| self.parts.get(name).is_none_or(|known| !known.finished);
        parts.iter().filter(|part| left(part.name())).map(|part| part.size()).sum()
    }

    /// Takes over what an earlier one tells of these parts; what it tells of others stays as it is.
    ///
    /// # Errors
    /// Where that one is of something else, or a part has changed since.
    pub fn resume(self, earlier: Self, state: &Path) -> Result<Self, CheckpointError> {
        let state = || state.display().to_string();
        let pairs = [
            ("layout", LAYOUT.to_string(), earlier.layout.to_string()),
            ("system", self.purpose.system.clone(), earlier.purpose.system.clone()),
            ("store", self.purpose.target.clone(), earlier.purpose.target.clone()),
            ("selection", self.purpose.choice.clone(), earlier.purpose.choice.clone()),
        ];
        if let Some((what, _, theirs)) = pairs.into_iter().find(|(_, ours, theirs)| ours != theirs) {
            let theirs = if theirs.is_empty() { "of everything".to_owned() } else { theirs };
            return Err(CheckpointError::Other(state(), what, theirs));
        }
        let (job, versions, mut parts) = (earlier.job, earlier.versions, earlier.parts);
        for (name, fresh) in self.parts {
            match parts.get(&name).map(|known| difference(&known.identity, &fresh.identity)) {
                Some(None) => {}
                Some(Some(what)) => return Err(CheckpointError::Changed { state: state(), part: name, what }),
                None => drop(parts.insert(name, fresh)),
            }
        }
        Ok(Self { layout: self.layout, purpose: self.purpose, job, versions, parts })
    }
}

/// What differs between two parts of one name.
fn difference(known: &SourceIdentity, found: &SourceIdentity) -> Option<&'static str> {
    match (known, found) {
        (known, found) if known == found => None,
        (
            SourceIdentity::File { size, modified, .. },
            SourceIdentity::File { size: found_size, modified: found_modified, .. },
        ) => Some(match (size == found_size, modified == found_modified) {
            (false, _) => "its size differs",
            (true, false) => "it was modified since",
            (true, true) => "its content differs",
        }),
        (SourceIdentity::Object { .. }, SourceIdentity::Object { .. }) => Some("it was written anew since"),
        _ => Some("it is something else"),
    }
}

/// The file of a checkpoint, held by this process alone.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// Beside it, because the file itself is replaced.
    _lock: File,
}

impl StateFile {
    /// Takes it, whether it is there yet or not.
    ///
    /// # Errors
    /// Where another process has it, or its folder cannot be written to.
    pub fn take(path: &Path) -> Result<Self, CheckpointError> {
        let shown = || path.display().to_string();
        let beside = with_ending(path, ".lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&beside);
        let lock = lock.map_err(|error| CheckpointError::Unwritable(shown(), error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(CheckpointError::InUse(shown())),
            Err(TryLockError::Error(error)) => Err(CheckpointError::Unwritable(shown(), error)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds; none where it is not there yet.
    ///
    /// # Errors
    /// Where it cannot be read, or is none of ours.
    pub fn load(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let unreadable = |error| CheckpointError::Unreadable(self.path.display().to_string(), error);
        match std::fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| unreadable(error.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Replaces what it holds. When this returns, it is on disk.
    ///
    /// # Errors
    /// Where it cannot be written; it then holds what it held.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let unwritable = |error| CheckpointError::Unwritable(self.path.display().to_string(), error);
        replace(&self.path, checkpoint).map_err(unwritable)
    }
}

fn replace(path: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
    let new = with_ending(path, ".new");
    let mut file = File::create(&new)?;
    file.write_all(serde_json::to_string_pretty(checkpoint)?.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    // The rename is on disk when its folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The path with something behind its name.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The checkpoint's name where none is given: of the system and the set of its sources, in the working directory.
pub fn default_path(purpose: &Purpose, parts: &[Box<dyn SourcePart>]) -> PathBuf {
    let mut names: Vec<&str> = parts.iter().map(|part| part.name()).collect();
    names.sort_unstable();
    let mut hash = Sha256::new();
    for text in [&*purpose.target, &*purpose.choice].into_iter().chain(names) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    let digest = hex::encode(hash.finalize());
    PathBuf::from(format!("backfill-{}-{}.json", purpose.system, digest.get(..10).unwrap_or_default()))
}
