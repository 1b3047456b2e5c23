//! `events check`: the schemas against an older copy of them.

use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

use ::events::{EventName, EventVersion, SCHEMA_SUFFIX, changes, schema};
use serde_json::Value;

use super::super::{CommandFailure, print_line as print};

/// Prints what breaks others.
///
/// # Errors
/// Findings, where anything does; or the folder holds no schemas.
pub(super) fn check(folder: &Path) -> Result<(), CommandFailure> {
    let (mut compared, mut found) = (0, 0);
    for event in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let Some(name) = file_name(&event) else { continue };
        for file in entries(&event)? {
            let Some(version) = file_name(&file).and_then(|name| name.strip_suffix(SCHEMA_SUFFIX)) else { continue };
            compared += 1;
            for line in breaks(name, version, &file)? {
                found += 1;
                print(&format!("{name} {version}: {line}"))?;
            }
        }
    }
    match (compared, found) {
        (0, _) => {
            let folder = folder.display();
            Err(CommandFailure::usage(format!("{folder} holds no schemas: NAME/1.0{SCHEMA_SUFFIX} and so on")))
        }
        (_, 0) => print(&format!("{compared} schemas take all that the older ones took")),
        _ => Err(CommandFailure::findings(format!("{found} changes break what others write or read"))),
    }
}

/// What a schema of now does to the older one in a file.
fn breaks(name: &str, version: &str, file: &Path) -> Result<Vec<String>, CommandFailure> {
    let unreadable = |why: String| CommandFailure::usage(format!("{}: {why}", file.display()));
    let text = read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
    let old: Value = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let version = EventVersion::ALL.into_iter().find(|known| known.as_str() == version);
    Ok(match (EventName::find(name), version) {
        (Some(name), Some(version)) => changes(&old, &schema(name, version)).iter().map(ToString::to_string).collect(),
        (None, _) => vec!["the event is removed".to_owned()],
        (_, None) => vec!["the version is removed".to_owned()],
    })
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, CommandFailure> {
    let unreadable = |error: std::io::Error| CommandFailure::usage(format!("{}: {error}", folder.display()));
    let found: Result<Vec<PathBuf>, _> =
        read_dir(folder).map_err(unreadable)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut found = found.map_err(unreadable)?;
    found.sort();
    Ok(found)
}

fn file_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}
