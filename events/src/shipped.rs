//! Owns the files that are shipped: a schema and an example of each event in each version.

use serde_json::Value;

use crate::{EventName, EventVersion, example, schema, write};

/// How the name of a file with a schema ends.
pub const SCHEMA_SUFFIX: &str = ".schema.json";

/// The files, each a path below their folder and a text: `NAME/VERSION.schema.json`, `NAME/VERSION.example.json`.
///
/// # Errors
/// None that is known.
pub fn build_files() -> Result<Vec<(String, String)>, String> {
    let mut files = Vec::new();
    for name in EventName::ALL {
        for version in EventVersion::ALL {
            let path = |suffix: &str| format!("{name}/{}{suffix}", version.as_str());
            files.push((path(SCHEMA_SUFFIX), pretty(&schema(*name, version))?));
            let event = example(*name, version).map_err(|error| error.to_string())?;
            let payload = write(&event).map_err(|error| error.to_string())?;
            let value: Value = serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
            files.push((path(".example.json"), pretty(&value)?));
        }
    }
    Ok(files)
}

fn pretty(value: &Value) -> Result<String, String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| error.to_string())
}
